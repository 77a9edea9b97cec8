"""Hooks: which events of a trace request work, when, and for which regions, VM or inode."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from gmemgpu.model.event import FOLIO_PAGES, Kind
from gmemgpu.model.policy import Hook
from gmemgpu.timeline.piece import REGION_SHIFT

__all__ = [
    "FOLIO_1G_ONLY",
    "OWNED_ONLY",
    "Requests",
    "folios_of",
    "hook_kinds",
    "hook_rows",
]

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
OWNED_ONLY: tuple[Hook, ...] = ("conversion", "invalidate_folio", "free_folio", "freed")
"""Hooks that live in guest_memfd and so never see a page that no inode owns."""
FOLIO_1G_ONLY: tuple[Hook, ...] = ("folio_1g", "freed_1g")
"""Hooks that see folios of 1 GiB only."""

_SHIFT = np.int8(9)
"""Folios are of 1, 2**9 or 2**18 pages."""


@dataclass(frozen=True, eq=False)
class Requests:
    """
    The firings of one hook, in time order.

    Parameters
    ----------
    events : Trace
        Cut at its horizon; or what has its columns, as arrays of the library `xp`.
    t_ns : (n,) int64
        Times, ascending.
    event : (n,) int64
        Row of the trace; -1 for ``region_free``, which no single event makes.
    region : (n,) int32, optional
        Of ``region_free`` only.
    xp : module
        Whose arrays these are.

    Notes
    -----
    What only some policies read is collected on first use.
    """

    events: Any
    t_ns: Any
    event: Any
    region: Any = None
    xp: Any = np

    def _none(self) -> Any:
        return self.xp.full(len(self.t_ns), -1, np.int32)

    @cached_property
    def vm(self) -> Any:
        """VM of the requesting event, (n,) int32; -1 names none."""
        return self.events.vm[self.event] if self.region is None else self._none()

    @cached_property
    def inode(self) -> Any:
        """Inode of the requesting event, (n,) int32; -1 names none."""
        return self.events.inode[self.event] if self.region is None else self._none()

    @cached_property
    def first_region(self) -> Any:
        """First region of the requesting extent, (n,) int32; 0 if there is none."""
        if self.region is not None:
            return self.region
        begin = self.events.pfn[self.event] >> REGION_SHIFT
        return self.xp.where(self.events.npages[self.event] > 0, begin, 0).astype(np.int32)

    @cached_property
    def last_region(self) -> Any:
        """Last region of the requesting extent, (n,) int32, inclusive; -1 if there is none."""
        if self.region is not None:
            return self.region
        npages = self.events.npages[self.event]
        end = (self.events.pfn[self.event] + npages - 1) >> REGION_SHIFT
        return self.xp.where(npages > 0, end, -1).astype(np.int32)


def folios_of(events: Any, rows: Any, xp: Any = np) -> Any:
    """
    Count the folios that events cover; the last one of an event may be there in part.

    Parameters
    ----------
    events : Trace
        Or what has its columns, as arrays of the library `xp`.
    rows : (n,) int64
        Which events.
    xp : module
        Whose arrays these are.

    Returns
    -------
    (n,) int64
        For each.
    """
    # By shifts: to divide would take twice as long.
    small, _, large = FOLIO_PAGES
    folio_pages, npages = events.folio_pages[rows], events.npages[rows]
    if (folio_pages <= small).all():
        return npages
    shift = (folio_pages > small) * _SHIFT + (folio_pages == large) * _SHIFT
    return (npages + xp.maximum(folio_pages - 1, 0)) >> shift


def hook_kinds(hook: Hook) -> tuple[Kind, ...]:
    """
    Return the kinds of events that request work of a hook.

    Parameters
    ----------
    hook : Hook
        Any.

    Returns
    -------
    tuple of Kind
        Empty for ``region_free`` and ``none``.
    """
    return _EVENT_HOOKS.get(hook, ())


def hook_rows(hook: Hook, rows: Any, events: Any) -> Any:
    """
    Select the events that request work.

    Parameters
    ----------
    hook : Hook
        One whose requests are events.
    rows : (n,) int64
        The events of its kinds, ascending.
    events : Trace
        Or what has its columns, as arrays of another library.

    Returns
    -------
    (m,) int64
        Rows of the trace, ascending.
    """
    if hook in OWNED_ONLY:
        owned = events.inode[rows] >= 0
        return rows if owned.all() else rows[owned]
    if hook in FOLIO_1G_ONLY:
        return rows[events.folio_pages[rows] == FOLIO_PAGES[-1]]
    return rows
