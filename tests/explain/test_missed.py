"""Why a bit was never set: each reason on a trace made for it, and evidence for any reason on any trace."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from by_hand import COSTS, ev, host, policy, trace
from hypothesis import given

from gmemgpu.explain.missed import Miss, MissFinder, Reason
from gmemgpu.explain.record import Fate, PassState, RunRecord
from gmemgpu.explain.replay import record_run
from gmemgpu.explain.visit import VisitOutcome
from gmemgpu.model.cost import Costs
from gmemgpu.model.policy import Policy
from gmemgpu.model.trace import Trace
from gmemgpu.testing.strategies import costs, policies, traces
from gmemgpu.units import PAGES_PER_REGION

ALL = PAGES_PER_REGION


def missed(record: RunRecord) -> dict[tuple[int, int], Miss]:
    """Return the misses among counted episodes, by region and beginning."""
    episodes, finder = record.episodes, MissFinder(record)
    return {
        (int(episodes.region[e]), int(episodes.begin_ns[e])): finder.why(e)
        for e in np.flatnonzero(episodes.counted & (episodes.set_ns < 0)).tolist()
    }


# Region 0: assigned at 0, its VM 1 goes at 1000, the pages at 2000. A clean attempt takes 1000 ns, fail(0) 50.
GONE = (
    ev(0, "assign", 0, ALL),
    ev(1000, "vm_destroy", inode=-1),
    ev(1000, "evict_begin"),
    ev(2000, "release", 0, ALL),
    ev(2000, "evict_end"),
)
OTHER_END = ev(1500, "evict_end", vm=2, inode=2)
CASES: dict[Reason, tuple[Trace, Policy, Miss]] = {
    Reason.CONVERTING: (trace(*GONE), policy(), Miss(Reason.CONVERTING, 0)),
    Reason.WASTED: (
        trace(*GONE, ev(3000, "assign", 0)),
        policy("evict_end"),
        Miss(Reason.WASTED, 0),
    ),
    # Due at 4000; the request at 3500 puts it off to 6500, past the assignment at 5500.
    Reason.PUT_OFF: (
        trace(*GONE, ev(3500, "vm_destroy", vm=2), ev(5500, "assign", 0)),
        policy(timer="debounce(3 us)"),
        Miss(Reason.PUT_OFF, 0, 1),
    ),
    Reason.LATE: (
        trace(*GONE, ev(5500, "assign", 0)),
        policy(timer="fixed(5 us)"),
        Miss(Reason.LATE, 0),
    ),
    # A pass over eight clean regions from 1500 on keeps the one due at 2000 until 9550.
    Reason.WAITED: (
        trace(*GONE[:3], OTHER_END, *GONE[3:], ev(9000, "assign", 0), on=host(9)),
        policy("evict_end"),
        Miss(Reason.WAITED, 1),
    ),
    Reason.LOST: (
        trace(*GONE[:3], OTHER_END, *GONE[3:], on=host(9)),
        policy("evict_end", busy="drop"),
        Miss(Reason.LOST, request=1),
    ),
    # A VMSA page is alone there when the pass comes at 1000, and goes at 2000.
    Reason.NO_GUEST_MEMFD: (
        trace(ev(0, "assign", 0, inode=-1), ev(1000, "vm_destroy", inode=-1), ev(2000, "release", 0, inode=-1)),
        policy(),
        Miss(Reason.NO_GUEST_MEMFD, 0),
    ),
    Reason.SNP_OFF: (
        trace(
            *GONE[:3],
            ev(1500, "snp_shutdown_begin"),
            ev(1500, "snp_shutdown_end"),
            ev(1800, "snp_init"),
            *GONE[3:],
        ),
        policy(timer="fixed(600 ns)"),
        Miss(Reason.SNP_OFF, 0),
    ),
    Reason.NOT_NAMED: (
        trace(*GONE, ev(3000, "inode_free", vm=2, inode=2)),
        policy("inode_free", scope="inode"),
        Miss(Reason.NOT_NAMED),
    ),
    Reason.NO_REQUEST: (trace(*GONE), policy("inode_free"), Miss(Reason.NO_REQUEST)),
}


@pytest.mark.parametrize("reason", CASES, ids=lambda reason: reason.name)
def test_each_reason(reason: Reason) -> None:
    of, by, expected = CASES[reason]
    assert missed(record_run(of, by, COSTS)) == {(0, 2000): expected}


def test_a_region_that_no_window_covers() -> None:
    of = trace(ev(0, "assign", 1, ALL), ev(2000, "release", 1, ALL), on=host(2, window_bytes=1 << 30))
    record = record_run(of, policy(), COSTS)
    (episode,) = np.flatnonzero((record.episodes.region == 1) & ~record.episodes.fresh)
    assert MissFinder(record).why(int(episode)) == Miss(Reason.NOT_COVERED)


@given(trace=traces(), policy=policies(), cost=costs())
def test_a_reason_has_its_evidence(trace: Trace, policy: Policy, cost: Costs) -> None:
    record = record_run(trace, policy, cost)
    requests, passes, episodes = record.requests, record.passes, record.episodes
    finder = MissFinder(record)
    for e in np.flatnonzero((episodes.set_ns < 0) & ~episodes.fresh).tolist():
        found = finder.why(e)
        region, begin_ns, end_ns = int(episodes.region[e]), int(episodes.begin_ns[e]), int(episodes.end_ns[e])
        of: dict[str, Any] = {"start_ns": trace.horizon_ns}
        if found.scan_pass >= 0:
            of = {name: getattr(passes, name)[found.scan_pass] for name in ("start_ns", "state", "due_ns")}
        if found.reason is Reason.WASTED:
            visits = record.visits(found.scan_pass)
            assert visits.outcome[visits.episode == e].tolist() == [VisitOutcome.WASTED]
        elif found.reason is Reason.PUT_OFF:
            assert requests.fate[found.request] == Fate.MOVED
            assert begin_ns <= requests.due_ns[found.request - 1] < end_ns <= requests.due_ns[found.request]
            assert of["start_ns"] >= end_ns
        elif found.reason is Reason.WAITED:
            assert of["start_ns"] >= end_ns
        elif found.reason is Reason.LOST:
            assert requests.fate[found.request] == Fate.LOST
            assert requests.made.t_ns[found.request] < end_ns
        elif found.reason is Reason.CONVERTING:
            # Before it began, or at the start of a pass that reached it afterwards.
            assert of["start_ns"] < begin_ns
        elif found.reason is Reason.SNP_OFF:
            assert of["state"] == PassState.SKIPPED
        elif found.reason is Reason.NOT_COVERED:
            assert record.prepared.cores[region] == 0
        elif found.reason is Reason.NOT_NAMED:
            assert policy.scope in ("vm", "inode", "region")
        elif found.reason is Reason.NO_REQUEST and policy.scope in ("window", "dirty", "dirty_retry"):
            kept = requests.fate != Fate.LOST
            inside = (requests.made.t_ns >= begin_ns) & (requests.made.t_ns < end_ns)
            assert not (kept & inside).any()
        if found.reason is not Reason.WASTED:
            # No pass that visited it while it was free could have done better.
            for k in np.flatnonzero((passes.start_ns >= begin_ns) & (passes.start_ns < end_ns)).tolist():
                visits = record.visits(k)
                mine = (visits.region == region) & (visits.visit_ns < end_ns)
                assert not (visits.outcome[mine] == VisitOutcome.NEW).any()
