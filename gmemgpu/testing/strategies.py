"""Hypothesis strategies over the whole space of the model: what every engine must agree on."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_args

import numpy as np
from hypothesis import strategies as st

from gmemgpu.model.cost import Costs
from gmemgpu.model.event import EXTENT_KINDS, FOLIO_PAGES, Kind
from gmemgpu.model.host import Host
from gmemgpu.model.policy import Busy, Executor, Gate, Hook, Policy, Scope, Timer
from gmemgpu.model.trace import Trace
from gmemgpu.units import PAGES_PER_BLOCK, PAGES_PER_REGION, REGION_BYTES

__all__ = ["TICK_NS", "hosts", "traces", "policies", "costs"]

TICK_NS = 40_000
"""A third of a clean attempt: events fall into passes, onto their ends, and between them."""


# Half regions: a hole may be a region, the ends of two, or reach past the end of memory; holes overlap and touch.
_NO_HOLES: st.SearchStrategy[list[tuple[int, int]]] = st.just([])
_HOLES = _NO_HOLES | st.lists(
    st.tuples(st.integers(0, 9), st.integers(1, 4)).map(
        lambda halves: (halves[0] * PAGES_PER_REGION // 2, halves[1] * PAGES_PER_REGION // 2)
    ),
    max_size=3,
)


@st.composite
def _hosts(draw: Any) -> Host:
    nodes = draw(st.sampled_from([1, 1, 2, 3]))
    if draw(st.booleans()):
        memory_bytes = nodes * draw(st.integers(1, 6 // nodes)) * REGION_BYTES
    else:
        memory_bytes = nodes * 4096 * draw(st.integers(1, 5 * PAGES_PER_REGION // nodes))
    pages = memory_bytes // 4096
    holes = [(pfn, min(npages, pages - pfn)) for pfn, npages in draw(_HOLES) if pfn < pages]
    return Host(
        memory_bytes=memory_bytes,
        nodes=nodes,
        cores=nodes * draw(st.integers(1, 4)),
        threads_per_core=draw(st.integers(1, 2)),
        window_bytes=draw(st.sampled_from([0, 1, 2, 4, 2048])) * REGION_BYTES,
        window=draw(st.sampled_from(["global", "node"])),
        holes=tuple(holes),
    )


_KINDS = [
    *[Kind.ASSIGN] * 6,
    *[Kind.RELEASE] * 5,
    Kind.SHARE,
    Kind.INVALIDATE,
    Kind.FREED,
    *[Kind.USE] * 2,
    Kind.UNUSE,
    *[Kind.EVICT_BEGIN] * 2,
    *[Kind.EVICT_END] * 2,
    Kind.INODE_FREE,
    Kind.VM_DESTROY,
    Kind.SNP_SHUTDOWN_BEGIN,
    Kind.SNP_SHUTDOWN_END,
    Kind.SNP_INIT,
    Kind.KVM_UNLOAD,
]


# What is drawn for every event is built once: Hypothesis takes longer to look at a new strategy than to draw from it.
_GRAINS = st.sampled_from([1, PAGES_PER_BLOCK, PAGES_PER_REGION // 2, PAGES_PER_REGION, PAGES_PER_REGION])
_N_GRAINS = st.sampled_from([0, 1, 1, 2, 3])
_IN_GRAINS = st.sampled_from([True, True, False])
_PAUSES_NS = st.sampled_from([0, 0, 1, TICK_NS, TICK_NS, 3 * TICK_NS, 10 * TICK_NS])
_CALM_KINDS, _ANY_KINDS = st.sampled_from(_KINDS[:-4]), st.sampled_from(_KINDS)
_VMS, _INODES, _FOLIO_PAGES = st.integers(-1, 2), st.integers(-1, 3), st.sampled_from(FOLIO_PAGES)


@st.composite
def _extents(draw: Any, host: Host) -> tuple[int, int]:
    # They repeat, overlap, cross region borders, or end with the host or at a hole; sometimes empty.
    pages = host.pages
    grain = draw(_GRAINS)
    pfn = min(draw(st.integers(0, pages // grain)) * grain, pages)
    npages = draw(_N_GRAINS) * (grain if draw(_IN_GRAINS) else 1)
    for begin, end in host.hole_spans():
        if begin <= pfn < end:
            pfn = end
        elif pfn < begin:
            pages = begin
            break
    return pfn, min(npages, pages - pfn)


@st.composite
def _traces(draw: Any, max_events: int) -> Trace:
    host = draw(_hosts())
    t = 0
    rows: list[tuple[int, int, int, int, int, int, int]] = []
    destroyed: set[int] = set()
    calm = draw(st.booleans())
    anywhere = _extents(host)
    pool = draw(st.lists(anywhere, min_size=1, max_size=4))
    anew_or_not = st.one_of(st.sampled_from(pool), anywhere)
    for _ in range(draw(st.integers(0, max_events))):
        t += draw(_PAUSES_NS)
        kind = draw(_CALM_KINDS if calm else _ANY_KINDS)
        vm = draw(_VMS)
        inode = draw(_INODES)
        if kind == Kind.VM_DESTROY and vm in destroyed:
            continue
        if kind == Kind.VM_DESTROY and vm >= 0:
            destroyed.add(vm)
        if kind in EXTENT_KINDS:
            pfn, npages = draw(anew_or_not)
            rows.append((t, kind, pfn, npages, vm, inode, draw(_FOLIO_PAGES)))
        else:
            rows.append((t, kind, 0, 0, vm, inode, 0))
    # Not so early that no event counts: such a trace is refused.
    first = rows[0][0] if rows else 0
    horizon_ns = max(first + 1, t + draw(st.sampled_from([-10 * TICK_NS, 0, 1, 5 * TICK_NS, 40 * TICK_NS])))
    columns = np.array(rows, np.int64).reshape(-1, 7).T
    return Trace(
        host=host,
        horizon_ns=horizon_ns,
        warmup_ns=draw(st.sampled_from([0, 0, horizon_ns // 3, horizon_ns // 3 // TICK_NS * TICK_NS])),
        t_ns=columns[0],
        kind=columns[1].astype(np.int8),
        pfn=columns[2],
        npages=columns[3],
        vm=columns[4].astype(np.int32),
        inode=columns[5].astype(np.int32),
        folio_pages=columns[6].astype(np.int32),
    )


_TIMER_KINDS = st.sampled_from(["fixed", "fixed", "debounce", "debounce", "periodic"])
_PERIODS_NS = st.sampled_from([TICK_NS, 7 * TICK_NS, 50_001])
_DELAYS_NS = st.sampled_from([0, 1, TICK_NS, 3 * TICK_NS, 5 * TICK_NS, 20 * TICK_NS])


_DELAYS_OR_NONE_NS = st.none() | _DELAYS_NS


@st.composite
def _timers(draw: Any) -> Timer:
    # Every kind, with delays that meet the ticks of traces.
    kind = draw(_TIMER_KINDS)
    if kind == "periodic":
        return Timer("periodic", draw(_PERIODS_NS))
    delay_ns = draw(_DELAYS_NS)
    return Timer(kind, delay_ns, draw(_DELAYS_OR_NONE_NS) if kind == "debounce" else None)


_TIMERS = _timers()
_HOOKS, _BUSY, _SCOPES = (st.sampled_from(get_args(words)) for words in (Hook, Busy, Scope))
_GATES, _EXECUTORS = (st.sampled_from(get_args(words)) for words in (Gate, Executor))


@st.composite
def _policies(draw: Any) -> Policy:
    timer = draw(_TIMERS)
    return Policy(
        name="drawn",
        hook="none" if timer.kind == "periodic" else draw(_HOOKS),
        timer=timer,
        busy=draw(_BUSY),
        scope=draw(_SCOPES),
        gate=draw(_GATES),
        executor=draw(_EXECUTORS),
        boot=draw(st.booleans()),
    )


def hosts() -> st.SearchStrategy[Host]:
    """
    Draw small hosts.

    Returns
    -------
    SearchStrategy of Host
        Uneven last regions, windows that miss some of them, uneven coverage, holes.
    """
    return _hosts()


def traces(max_events: int = 40) -> st.SearchStrategy[Trace]:
    """
    Draw valid traces of any shape.

    Parameters
    ----------
    max_events : int
        Most rows of a trace.

    Returns
    -------
    SearchStrategy of Trace
        Ties, idempotent events, several inodes a VM, pages of no inode, SNP shut down and begun again.
    """
    return _traces(max_events)


def policies() -> st.SearchStrategy[Policy]:
    """
    Draw policies from the whole space of MODEL.md section 5.

    Returns
    -------
    SearchStrategy of Policy
        Named ones and others alike, with delays that meet the ticks of traces.
    """
    return _policies()


def costs() -> st.SearchStrategy[Costs]:
    """
    Draw costs.

    Returns
    -------
    SearchStrategy of Costs
        The packaged ones; any others, zero included; and such that every visit and every end of a pass falls on a tick
        of traces, where something else may happen.
    """
    names = [field.name for field in fields(Costs)]
    drawn = st.sampled_from([0, 1, 7, 60, 3_000, TICK_NS, 121_000, 10**9])
    ticks = {name: st.sampled_from([0, TICK_NS, TICK_NS, 2 * TICK_NS, 3 * TICK_NS]) for name in names}
    # A scan ends somewhere within its 512 blocks: without a time for each it takes as long wherever that is.
    on_ticks = st.builds(Costs, **{**ticks, "block": st.just(0)})
    return st.one_of(st.just(Costs()), st.builds(Costs, **dict.fromkeys(names, drawn)), on_ticks)
