"""How a worker whose device failed tells the client: by events, since results of tasks are never fetched."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["StandIn", "tell_client", "stand_in"]

_TOPIC = "gmemgpu-stand-in"


@dataclass(frozen=True, slots=True)
class StandIn:
    """
    What numpy did in a device's place.

    Parameters
    ----------
    n_shards : int
        Computed by numpy.
    reason : str
        What the first device to fail said.
    """

    n_shards: int
    reason: str


def tell_client(part_ids: Iterable[str], reason: str) -> None:
    """Tell the client, if this is a task on a worker, that numpy computed these parts."""
    from distributed import get_worker

    try:
        worker = get_worker()
    except ValueError:
        return
    worker.log_event(_TOPIC, {"parts": list(part_ids), "reason": reason})


def stand_in(client: Client, part_ids: Collection[str]) -> StandIn | None:
    """Ask the scheduler what its workers told of these parts; None if no device failed."""
    told = [message for _, message in client.get_events(_TOPIC)]
    # A scheduler that is there already may remember other sweeps.
    known = set(part_ids)
    ours = [message for message in told if not known.isdisjoint(message["parts"])]
    if not ours:
        return None
    return StandIn(len({part for message in ours for part in message["parts"]}), ours[0]["reason"])
