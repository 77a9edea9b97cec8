"""Hook: which events request work (MODEL.md section 5)."""

from __future__ import annotations

from typing import NamedTuple

from gmemgpu.engine.reference.event import Event
from gmemgpu.engine.reference.history import TraceHistory
from gmemgpu.model.event import Kind
from gmemgpu.model.policy import Hook

__all__ = ["Request", "requests_of"]

_LIFE_CYCLE_HOOKS: dict[Hook, Kind] = {
    "evict_begin": Kind.EVICT_BEGIN,
    "evict_end": Kind.EVICT_END,
    "inode_free": Kind.INODE_FREE,
    "vm_destroy": Kind.VM_DESTROY,
}
"""These fire for every event of their name, inode or vm -1 included."""
_GMEM_HOOKS: dict[Hook, tuple[Kind, ...]] = {
    "conversion": (Kind.RELEASE, Kind.SHARE),
    "invalidate_folio": (Kind.INVALIDATE,),
    "free_folio": (Kind.RELEASE,),
    "freed": (Kind.FREED,),
}
"""These fire for pages that a guest_memfd inode owns or owned."""
_FOLIO_1G_HOOKS: dict[Hook, Kind] = {"folio_1g": Kind.RELEASE, "freed_1g": Kind.FREED}
"""These look at the folio alone, whatever the inode."""
_FOLIO_1G_PAGES = 262_144


class Request(NamedTuple):
    """
    One firing of a hook.

    Parameters
    ----------
    t_ns : int
        When it fires.
    vm, inode : int
        Of the event; -1 names none.
    n_folios : int
        Folios that the event covers.
    regions : tuple of int
        Regions of the event's extent, ascending.
    """

    t_ns: int
    vm: int
    inode: int
    n_folios: int
    regions: tuple[int, ...]


# One firing per event, however many folios it covers, and whether or not SNP is on.
def _fires(hook: Hook, event: Event) -> bool:
    if hook in _LIFE_CYCLE_HOOKS:
        return event.kind is _LIFE_CYCLE_HOOKS[hook]
    if hook in _GMEM_HOOKS:
        return event.kind in _GMEM_HOOKS[hook] and event.inode >= 0
    return hook in _FOLIO_1G_HOOKS and event.kind is _FOLIO_1G_HOOKS[hook] and event.folio_pages == _FOLIO_1G_PAGES


def requests_of(hook: Hook, history: TraceHistory) -> list[Request]:
    """
    Return a hook's firings in time order, ties in file order.

    Parameters
    ----------
    hook : Hook
        Which events request work.
    history : TraceHistory
        Events, and the moments at which regions become free.

    Returns
    -------
    list of Request
        Ascending in time.
    """
    if hook == "region_free":
        # Covered regions only; no vm, no inode, no folios.
        return [
            Request(t_ns, -1, -1, 0, (region,)) for t_ns, region in history.falls if history.covering_cores[region] > 0
        ]
    return [
        Request(event.t_ns, event.vm, event.inode, event.n_folios, tuple(event.regions))
        for event in history.events
        if _fires(hook, event)
    ]
