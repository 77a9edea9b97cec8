"""Book-keeping: the folios that a policy's count or bitmap would have to be told of (MODEL.md section 7)."""

from __future__ import annotations

from gmemgpu.engine.reference.event import Event
from gmemgpu.engine.reference.history import TraceHistory
from gmemgpu.model.event import Kind
from gmemgpu.model.policy import Policy

__all__ = ["tracker_updates"]


# A count of assigned pages: of all of them, or of those of guest_memfds alone.
def _counts(policy: Policy, event: Event) -> bool:
    if event.kind not in (Kind.ASSIGN, Kind.RELEASE, Kind.SHARE):
        return False
    if policy.hook == "region_free":
        return True
    return policy.gate == "free" or (policy.gate == "gmem_free" and event.inode >= 0)


# A bitmap of regions that were cleared, by whomever.
def _marks(policy: Policy, event: Event) -> bool:
    return policy.scope in ("dirty", "dirty_retry") and event.kind in (Kind.RELEASE, Kind.SHARE)


def tracker_updates(history: TraceHistory, policy: Policy) -> int:
    """
    Count the folios that a policy's trackers are told of, whatever its passes do.

    Parameters
    ----------
    history : TraceHistory
        Events.
    policy : Policy
        Its hook, gate and scope matter.

    Returns
    -------
    int
        A folio that is both counted and marked is told twice.
    """
    return sum(
        event.n_folios * (_counts(policy, event) + _marks(policy, event))
        for event in history.events
        if event.t_ns >= history.warmup_ns
    )
