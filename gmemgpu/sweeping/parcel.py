"""What goes to a worker, packed here and unpacked there: the scheduler in between passes bytes on."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from gmemgpu.sweeping.shard import Setting, Shard

__all__ = ["Compute", "Parcel", "Packer", "compute_parcel"]

Compute: TypeAlias = Callable[[Sequence[Shard], Setting, Any], None]
"""Of shards, their setting and a place; what a worker runs."""
Parcel: TypeAlias = tuple[bytes, bytes]
"""Shards and setting."""


class Packer:
    """
    Packs shards with the setting that they share.

    Left to itself, Dask pickles each task's arguments in the client, unpickles them in the scheduler and pickles them
    once more: three quarters of a millisecond a task, which 64 workers wait for in turn.

    Parameters
    ----------
    setting : Setting
    """

    def __init__(self, setting: Setting) -> None:
        self._setting = pickle.dumps(setting)

    def pack(self, shards: Sequence[Shard]) -> Parcel:
        """Pack the shards of a task."""
        return pickle.dumps(shards), self._setting


@lru_cache(maxsize=1)
def _setting(packed: bytes) -> Setting:
    setting: Setting = pickle.loads(packed)
    return setting


def compute_parcel(parcel: Parcel, compute: Compute, where: Any) -> None:
    """
    Unpack a parcel and compute it.

    Parameters
    ----------
    parcel : Parcel
    compute : callable
    where : object
        Its third argument.

    Raises
    ------
    Exception
        Whatever `compute` does.
    """
    shards, setting = parcel
    compute(pickle.loads(shards), _setting(setting), where)
