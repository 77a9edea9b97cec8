"""What is in a trace: counts, ids, spans, and how much of the host it assigns."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from gmemgpu.model.event import Kind
from gmemgpu.model.trace import Int32Array, Trace
from gmemgpu.trace.assigned import replay_assigned
from gmemgpu.units import PAGES_PER_REGION

__all__ = ["trace_info"]


def _n_ids(ids: Int32Array) -> int:
    return len(np.unique(ids[ids >= 0]))


def _touched_regions(trace: Trace, kind: Kind) -> int:
    """Count the regions that extents of a kind ever reached."""
    rows = np.flatnonzero((trace.kind == kind) & (trace.npages > 0))
    pfn, npages = trace.pfn[rows], trace.npages[rows]
    steps = np.zeros(trace.host.n_regions + 1, np.int64)
    np.add.at(steps, pfn // PAGES_PER_REGION, 1)
    np.add.at(steps, (pfn + npages - 1) // PAGES_PER_REGION + 1, -1)
    return int(np.count_nonzero(np.cumsum(steps)))


def trace_info(trace: Trace) -> dict[str, Any]:
    """
    Return a summary of a trace.

    Parameters
    ----------
    trace : Trace
        A valid one.

    Returns
    -------
    dict
        Fit for JSON: ``host``, ``horizon_ns``, ``warmup_ns``, ``regions`` (but for those wholly in a hole) and
        ``regions_covered``, ``events``, ``events_past_horizon``, ``events_by_kind``, ``first_ns`` and ``last_ns``
        (None without events), ``vms``, ``inodes``, ``regions_assigned`` and ``regions_used`` (ever),
        ``assigned_pages_start``, ``_end`` and ``_max``, ``assigned_max_ns`` (when it was first reached),
        ``assigned_share_max`` of the pages that there is memory for, ``free_regions_start``, ``_end`` and ``_min``.
        Events past the horizon count in ``events_past_horizon`` alone.
    """
    live = trace.before_horizon()
    replay = replay_assigned(live)
    # States are what holds after the last event of an instant (MODEL.md section 3); one before the first event.
    last = np.flatnonzero(np.append(live.t_ns[1:] != live.t_ns[:-1], True)) if len(live) else np.zeros(0, np.int64)
    t_ns = np.concatenate([[0], live.t_ns[last]])
    pages = np.concatenate([[0], np.cumsum(replay.pages)[last]])
    n_regions = trace.host.n_regions - len(trace.host.hole_regions())
    free = n_regions - np.concatenate([[0], np.cumsum(replay.regions)[last]])
    # The state before an event at t = 0 never holds for any time.
    start = int(np.searchsorted(t_ns, 0, side="right")) - 1
    t_ns, pages, free = t_ns[start:], pages[start:], free[start:]
    peak = int(np.argmax(pages))
    counts = np.bincount(live.kind, minlength=len(Kind))
    return {
        "host": asdict(trace.host),
        "horizon_ns": int(trace.horizon_ns),
        "warmup_ns": int(trace.warmup_ns),
        "regions": n_regions,
        "regions_covered": sum(cores > 0 for cores in trace.host.covering_cores()),
        "events": len(live),
        "events_past_horizon": len(trace) - len(live),
        "events_by_kind": {kind.text: int(counts[kind]) for kind in Kind},
        "first_ns": int(live.t_ns[0]) if len(live) else None,
        "last_ns": int(live.t_ns[-1]) if len(live) else None,
        "vms": _n_ids(live.vm),
        "inodes": _n_ids(live.inode),
        "regions_assigned": _touched_regions(live, Kind.ASSIGN),
        "regions_used": _touched_regions(live, Kind.USE),
        "assigned_pages_start": int(pages[0]),
        "assigned_pages_end": int(pages[-1]),
        "assigned_pages_max": int(pages[peak]),
        "assigned_max_ns": int(t_ns[peak]),
        "assigned_share_max": int(pages[peak]) / max(trace.host.present_pages, 1),
        "free_regions_start": int(free[0]),
        "free_regions_end": int(free[-1]),
        "free_regions_min": int(free.min()),
    }
