"""What must hold of the reference on anything that the model allows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from gmemgpu.engine.reference import ReferenceEngine
from gmemgpu.model.cost import Costs
from gmemgpu.model.event import Kind
from gmemgpu.model.metric import MetricRow
from gmemgpu.model.policy import ORACLE, Policy, Timer
from gmemgpu.model.trace import COLUMNS, Trace
from gmemgpu.testing.strategies import costs, policies, traces

EPISODE_METRICS = ("optimizable_ns", "in_use_ns", "episodes")
REQUEST_COUNTS = ("requests", "requests_lost", "requests_hazard")


def row(of: Trace, by: Policy, cost: Costs) -> MetricRow:
    return ReferenceEngine().evaluate([of], [by], cost)[0][0]


@given(of=traces(), by=policies(), cost=costs())
def test_outcomes_add_up(of: Trace, by: Policy, cost: Costs) -> None:
    found = row(of, by, cost)
    outcomes = ("attempts_new", "attempts_cached", "attempts_failed", "attempts_wasted")
    assert found["attempts"] == sum(found[name] for name in outcomes)
    assert found["attempts_early"] <= found["attempts_failed"]
    assert found["episodes"] == found["reoptimized"] + found["overtaken"] + found["never"]
    assert found["rmpopts"] == found["ipis"] + found["attempts"]
    assert found["requests_lost"] <= found["requests"]
    assert found["passes_hazard"] <= found["passes"] <= found["attempts"]
    assert found["pass_wall_max_ns"] <= found["scan_wall_ns"]
    assert sum(found["latency_histogram"]) == found["reoptimized"]


@given(of=traces(), by=policies(), cost=costs())
def test_no_policy_passes_the_oracle(of: Trace, by: Policy, cost: Costs) -> None:
    found, bound = ReferenceEngine().evaluate([of], [by, ORACLE], cost)[0]
    for name in ("optimized_ns", "optimized_core_ns", "in_use_optimized_core_ns", "reoptimized"):
        assert found[name] <= bound[name]
    assert bound["optimized_ns"] <= bound["optimizable_ns"]
    assert bound["in_use_optimized_core_ns"] <= of.host.cores * bound["in_use_ns"]
    # What no policy changes is the same for all.
    assert [found[name] for name in EPISODE_METRICS] == [bound[name] for name in EPISODE_METRICS]


@given(of=traces(), by=policies(), cost=costs())
def test_bins_hold_the_percentiles(of: Trace, by: Policy, cost: Costs) -> None:
    found = row(of, by, cost)
    n, counts = found["reoptimized"], found["latency_histogram"]
    for percent in (50, 90, 99, 100) if n else ():
        latency = found["latency_max_ns" if percent == 100 else f"latency_p{percent}_ns"]
        place = next(i for i in range(len(counts)) if sum(counts[: i + 1]) >= -(-n * percent // 100))
        # The edges of bin 8 k + i from 8 on are (8 + i) 2**(k - 1); up to 16 a bin is one value.
        low, width = (place, 1) if place < 16 else ((8 + place % 8) << (place // 8 - 1), 1 << (place // 8 - 1))
        assert low <= latency < low + width
        assert width == 1 or 8 * width <= low


@given(of=traces(), by=policies(), cost=costs(), data=st.data())
def test_splitting_an_extent_at_a_folio_changes_request_counts_only(
    of: Trace, by: Policy, cost: Costs, data: st.DataObject
) -> None:
    splittable = [row for row in range(len(of)) if 0 < of.folio_pages[row] < of.npages[row]]
    assume(splittable)
    at = data.draw(st.sampled_from(splittable))
    folio = int(of.folio_pages[at])
    head = folio * data.draw(st.integers(1, (int(of.npages[at]) - 1) // folio))
    columns = {name: np.insert(getattr(of, name), at, getattr(of, name)[at]) for name in COLUMNS}
    columns["npages"][at] = head
    columns["pfn"][at + 1] += head
    columns["npages"][at + 1] -= head
    split = Trace(host=of.host, horizon_ns=of.horizon_ns, warmup_ns=of.warmup_ns, **columns)
    whole_row, split_row = row(of, by, cost), row(split, by, cost)
    assert {name for name in whole_row if whole_row[name] != split_row[name]} <= set(REQUEST_COUNTS)
    assert all(whole_row[name] <= split_row[name] <= whole_row[name] + 1 for name in REQUEST_COUNTS)


@given(of=traces(), by=policies(), cost=costs(), data=st.data())
def test_a_doubtful_policy_does_nothing_after_the_boot_pass(
    of: Trace, by: Policy, cost: Costs, data: st.DataObject
) -> None:
    hook = data.draw(st.sampled_from(["vm_destroy", "evict_begin", "inode_free", "region_free", "none"]))
    timer = Timer("periodic", 50_001) if hook == "none" else Timer(delay_ns=data.draw(st.sampled_from([0, 50_000])))
    by = replace(by, hook=hook, timer=timer, scope=data.draw(st.sampled_from(["vm", "inode", "region"])))
    assume(by.doubt)
    # A VM's end is no inode's.
    of = replace(of, inode=np.where(of.kind == Kind.VM_DESTROY, -1, of.inode).astype(np.int32))
    found, boot_only = row(of, by, cost), row(of, replace(by, hook="none", timer=Timer()), cost)
    told = {*REQUEST_COUNTS, "request_folios", "passes_empty", "passes_skipped", "tracker_updates"}
    assert {name for name in found if found[name] != boot_only[name]} <= told


@given(of=traces(), by=policies(), cost=costs())
def test_events_after_the_horizon_change_nothing(of: Trace, by: Policy, cost: Costs) -> None:
    assert row(of, by, cost) == row(of.before_horizon(), by, cost)


@given(of=traces(), by=st.lists(policies(), min_size=2, max_size=3), cost=costs())
def test_policies_do_not_disturb_each_other(of: Trace, by: list[Policy], cost: Costs) -> None:
    together = ReferenceEngine().evaluate([of], by, cost)[0]
    assert together == [row(of, one, cost) for one in by]
