"""How a worker whose device failed tells the client: by events, since results of tasks are never fetched."""

from __future__ import annotations

from collections.abc import Iterable
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


def stand_in(client: Client) -> StandIn | None:
    """Ask the scheduler what its workers told; None if no device failed."""
    told = [message for _, message in client.get_events(_TOPIC)]
    if not told:
        return None
    return StandIn(len({part for message in told for part in message["parts"]}), told[0]["reason"])
