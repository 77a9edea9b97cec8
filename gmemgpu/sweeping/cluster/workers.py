"""What a sweep must know of the workers that it was given, wherever they run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Workers"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """
    Workers to submit tasks to.

    Parameters
    ----------
    client : distributed.Client
    n_expected : int
        Tasks that can run at once when all workers are up; 0 if nobody knows.
    n_slots : callable
        The same by what is up now; raises GmemgpuError if it is certain that none will come.
    resources : dict of str to float
        What every task needs; a worker may then hold several tasks while it runs one.
    dashboard : str or None
        Address of Dask's web page, if there is one.
    whose : str
        Who starts workers, for people; empty if they are all up.
    remedy : str
        What people can do when none is up.
    patience_s : float or None
        How long to wait for one when there is none; None without end.
    replace : callable or None
        Has the worker of an address replaced by another; None if that is not ours to do.
    """

    client: Client
    n_expected: int
    n_slots: Callable[[], int]
    resources: dict[str, float]
    dashboard: str | None
    whose: str = ""
    remedy: str = "start some"
    patience_s: float | None = None
    replace: Callable[[str], None] | None = None
