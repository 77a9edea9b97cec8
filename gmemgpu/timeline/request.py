"""Hooks: which events of a trace request work, when, and for which regions, VM or inode."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gmemgpu.model.event import FOLIO_PAGES, Kind
from gmemgpu.model.policy import Hook
from gmemgpu.model.trace import Int32Array, Int64Array, Trace
from gmemgpu.timeline.episode import FreeRuns
from gmemgpu.units import PAGES_PER_REGION

__all__ = ["Requests", "folios_of", "hook_requests"]

_EVENT_HOOKS: dict[Hook, tuple[Kind, ...]] = {
    "conversion": (Kind.RELEASE, Kind.SHARE),
    "invalidate_folio": (Kind.INVALIDATE,),
    "free_folio": (Kind.RELEASE,),
    "freed": (Kind.FREED,),
    "folio_1g": (Kind.RELEASE,),
    "freed_1g": (Kind.FREED,),
    "evict_begin": (Kind.EVICT_BEGIN,),
    "evict_end": (Kind.EVICT_END,),
    "inode_free": (Kind.INODE_FREE,),
    "vm_destroy": (Kind.VM_DESTROY,),
}
_OWNED_ONLY: tuple[Hook, ...] = ("conversion", "invalidate_folio", "free_folio", "freed")
"""Hooks that live in guest_memfd and so never see a page that no inode owns."""
_FOLIO_1G_ONLY: tuple[Hook, ...] = ("folio_1g", "freed_1g")


@dataclass(frozen=True, slots=True, eq=False)
class Requests:
    """
    The firings of one hook, in time order.

    Parameters
    ----------
    t_ns : (n,) int64
        Times, ascending.
    vm, inode : (n,) int32
        Identifiers of the requesting event; -1 names none.
    first_region, last_region : (n,) int32
        Regions of the requesting extent, inclusive; 0, -1 if there is none.
    folios : (n,) int64
        Folios that the event covers.
    event : (n,) int64
        Row of the trace; -1 for ``region_free``, which no single event makes.
    """

    t_ns: Int64Array
    vm: Int32Array
    inode: Int32Array
    first_region: Int32Array
    last_region: Int32Array
    folios: Int64Array
    event: Int64Array


def folios_of(trace: Trace, rows: Int64Array) -> Int64Array:
    """
    Count the folios of some events.

    Parameters
    ----------
    trace : Trace
        A valid one.
    rows : (n,) int64
        Its rows.

    Returns
    -------
    (n,) int64
        The last folio of an event may be there in part; 0 for an event without pages.
    """
    return -(-trace.npages[rows] // np.maximum(trace.folio_pages[rows].astype(np.int64), 1))


def hook_requests(hook: Hook, trace: Trace, runs: FreeRuns, covering_cores: Int64Array) -> Requests:
    """
    Collect the requests of a hook.

    Parameters
    ----------
    hook : Hook
        Which events request work.
    trace : Trace
        Cut at its horizon.
    runs : FreeRuns
        Times with no assigned page: ``region_free`` fires when one begins.
    covering_cores : (n_regions,) int64
        Cores whose window covers each region: ``region_free`` fires for covered ones only.

    Returns
    -------
    Requests
        Ties in file order; those of ``region_free`` by region.
    """
    if hook == "region_free":
        fired = runs.fell & (covering_cores[runs.region] > 0)
        region, t_ns = runs.region[fired], runs.begin_ns[fired]
        order = np.lexsort((region, t_ns))
        none = np.full(len(order), -1, np.int32)
        region, no_folios = region[order], np.zeros(len(order), np.int64)
        return Requests(t_ns[order], none, none, region, region, no_folios, none.astype(np.int64))
    rows = np.flatnonzero(np.isin(trace.kind, [int(kind) for kind in _EVENT_HOOKS.get(hook, ())]))
    if hook in _OWNED_ONLY:
        rows = rows[trace.inode[rows] >= 0]
    elif hook in _FOLIO_1G_ONLY:
        rows = rows[trace.folio_pages[rows] == FOLIO_PAGES[-1]]
    npages = trace.npages[rows]
    begin = trace.pfn[rows]
    some = npages > 0
    return Requests(
        t_ns=trace.t_ns[rows],
        vm=trace.vm[rows],
        inode=trace.inode[rows],
        first_region=np.where(some, begin // PAGES_PER_REGION, 0).astype(np.int32),
        last_region=np.where(some, (begin + npages - 1) // PAGES_PER_REGION, -1).astype(np.int32),
        folios=folios_of(trace, rows),
        event=rows,
    )
