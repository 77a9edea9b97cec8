"""MODEL.md section 6: what a pass costs and what becomes of its attempts. Answers by hand in comments."""

from __future__ import annotations

from dataclasses import fields

import pytest
from by_hand import ev, host, policy, row, trace

from gmemgpu.engine.reference import ReferenceEngine
from gmemgpu.model.cost import Costs
from gmemgpu.model.metric import MetricRow
from gmemgpu.units import PAGES_PER_REGION, REGION_BYTES

COSTED = ("scan_wall_ns", "ipis", "rmpopts", "leader_busy_ns", "follower_busy_ns", "rmp_bytes_read")
OUTCOMES = ("attempts_new", "attempts_cached", "attempts_failed", "attempts_wasted")

CLASSES = {
    # One region; the pass that counts starts at 50 000.
    "clean": [ev(0, "assign"), ev(10_000, "release"), ev(50_000, "vm_destroy")],
    "cached": [ev(10_000, "vm_destroy"), ev(50_000, "vm_destroy")],
    "fail(0)": [ev(0, "assign", page=511), ev(50_000, "vm_destroy")],
    "fail(3)": [ev(0, "assign", page=3 * 512), ev(0, "assign", page=9 * 512), ev(50_000, "vm_destroy")],
    "fail(511)": [ev(0, "assign", page=PAGES_PER_REGION - 1), ev(50_000, "vm_destroy")],
}


def outcomes(found: MetricRow) -> tuple[int, ...]:
    assert sum(found[name] for name in OUTCOMES) == found["attempts"]
    return tuple(found[name] for name in OUTCOMES)


# 4 cores of 2 threads. L: clean 10 + 512, cached 30, fail(k) 10 + k + 1. Busy 7, 5, 3. 64 bytes a block.
@pytest.mark.parametrize(
    ("executor", "target", "expected"),
    [
        ("leader_followers", "clean", (522 + 478, 3, 4, 522, 3 * 7, 64 * 512)),
        ("leader_followers", "cached", (30 + 70, 3, 4, 30, 3 * 5, 0)),
        ("leader_followers", "fail(0)", (11 + 39, 3, 4, 11, 3 * 3, 64)),
        ("leader_followers", "fail(3)", (14 + 39, 3, 4, 14, 3 * 3, 64 * 4)),
        ("leader_followers", "fail(511)", (522 + 39, 3, 4, 522, 3 * 3, 64 * 512)),
        ("leader_first", "clean", (522 + 478, 3, 4, 522, 3 * 7, 64 * 512)),
        ("leader_first", "cached", (30 + 70, 3, 4, 30, 3 * 5, 0)),
        ("leader_first", "fail(3)", (14, 0, 1, 14, 0, 64 * 4)),
        ("all_cores", "clean", (2000, 3, 4, 7, 3 * 7, 64 * 512 * 4)),
        ("all_cores", "cached", (200, 3, 4, 5, 3 * 5, 0)),
        ("all_cores", "fail(3)", (60, 3, 4, 3, 3 * 3, 64 * 4 * 4)),
        ("all_threads", "clean", (3000, 7, 8, 7, 7 * 7, 64 * 512 * 8)),
        ("all_threads", "cached", (300, 7, 8, 5, 7 * 5, 0)),
        ("all_threads", "fail(3)", (70, 7, 8, 3, 7 * 3, 64 * 4 * 8)),
        # serial: each core 1000 + L, one after another.
        ("serial", "clean", (4 * 1522, 3, 4, 1522, 3 * 1522, 64 * 512 * 4)),
        ("serial", "cached", (4 * 1030, 3, 4, 1030, 3 * 1030, 0)),
        ("serial", "fail(3)", (4 * 1014, 3, 4, 1014, 3 * 1014, 64 * 4 * 4)),
    ],
)
def test_cost_of_one_attempt(executor: str, target: str, expected: tuple[int, ...]) -> None:
    found = row(trace(*CLASSES[target], warmup=50_000), policy(executor=executor))
    assert tuple(found[name] for name in COSTED) == expected
    assert found["pass_wall_max_ns"] == expected[0]


# 2 nodes of 2 cores, 4 regions, windows of 3: node 0 covers 0, 1, 2 and node 1 covers 2, 3; so C = 2, 2, 4, 2.
@pytest.mark.parametrize(
    ("executor", "expected"),
    [
        ("leader_followers", (4000, 1 + 1 + 3 + 1, 10, 4 * 522, 6 * 7, 64 * 512 * 4)),
        ("all_cores", (8000, 6, 10, 4 * 7, 6 * 7, 64 * 512 * 10)),
        ("all_threads", (12_000, 3 + 3 + 7 + 3, 20, 4 * 7, 16 * 7, 64 * 512 * 20)),
        ("serial", (10 * 1522, 6, 10, 4 * 1522, 6 * 1522, 64 * 512 * 10)),
    ],
)
def test_each_region_has_its_own_cores(executor: str, expected: tuple[int, ...]) -> None:
    on = host(4, nodes=2, window="node", window_bytes=3 * REGION_BYTES)
    found = row(trace(on=on), policy("none", boot=True, executor=executor))
    assert tuple(found[name] for name in COSTED) == expected


def test_classes_of_one_pass_add_up() -> None:
    # Boot sets 0 … 2, fails on 3. At 50 000: 0 cached, 1 busy, 2 clean (a new episode), 3 clean: 100 + 50 + 2 × 1000.
    events = [
        ev(0, "assign", 3), ev(10_000, "assign", 1), ev(10_000, "assign", 2),
        ev(20_000, "release", 2), ev(20_000, "release", 3), ev(50_000, "vm_destroy"),
    ]  # fmt: skip
    found = row(trace(*events, on=host(4), warmup=50_000), policy(boot=True))
    assert found["scan_wall_ns"] == 2150
    assert outcomes(found) == (2, 1, 1, 0)
    assert row(trace(*events, on=host(4)), policy(boot=True))["pass_wall_max_ns"] == 3050


def test_first_block_is_the_lowest_that_is_still_assigned() -> None:
    # Blocks 2 and 5 were assigned; 2 has been released: fail(5), L = 10 + 6.
    events = [ev(0, "assign", page=2 * 512), ev(0, "assign", page=5 * 512), ev(1, "release", page=2 * 512)]
    found = row(trace(*events, ev(50, "vm_destroy")), policy())
    assert (found["scan_wall_ns"], found["rmp_bytes_read"]) == (16 + 39, 64 * 6)


# Outcomes. Two regions, boot pass from 0: region 0 is visited at 0, region 1 at 1000, complete at 2000.


@pytest.mark.parametrize(
    ("assign_ns", "expected"),
    [
        (999, (1, 0, 1, 0)),  # busy at the visit: failed, at the cost of a clean region
        (1000, (1, 0, 1, 0)),
        (1001, (1, 0, 0, 1)),
        (2000, (1, 0, 0, 1)),  # the episode ends at the completion
        (2001, (2, 0, 0, 0)),
    ],
)
def test_region_assigned_during_the_pass(assign_ns: int, expected: tuple[int, ...]) -> None:
    found = row(trace(ev(assign_ns, "assign", 1), on=host(2)), policy("none", boot=True))
    assert outcomes(found) == expected
    assert found["scan_wall_ns"] == 2000
    # The bit was set for one ns in the last case, and region 0's from 1000 to the horizon.
    assert found["optimized_ns"] == 99_000 + (assign_ns == 2001)


def test_region_freed_during_the_pass() -> None:
    # Class fail(0) at 0, free at the visit of 1000.
    events = [ev(0, "assign", 1), ev(1000, "release", 1)]
    everyone = row(trace(*events, on=host(2)), policy("none", boot=True))
    # All are asked: it succeeds, and costs what a failure costs; complete at 1050, 50 after the fall.
    assert outcomes(everyone) == (2, 0, 0, 0)
    assert (everyone["scan_wall_ns"], everyone["latency_max_ns"]) == (1050, 50)
    leader_first = row(trace(*events, on=host(2)), policy("none", boot=True, executor="leader_first"))
    # The others were not asked: it fails, and not for being early.
    assert outcomes(leader_first) == (1, 0, 1, 0)
    assert (leader_first["scan_wall_ns"], leader_first["attempts_early"]) == (1011, 0)


def test_region_assigned_and_freed_between_start_and_visit_needs_its_bit_anew() -> None:
    # Boot sets both by 2000. The pass of 5000 visits region 1 at 5100, in class cached, in a new episode.
    events = [ev(5000, "vm_destroy"), ev(5010, "assign", 1), ev(5100, "release", 1)]
    found = row(trace(*events, on=host(2), warmup=5000), policy(boot=True))
    assert outcomes(found) == (1, 1, 0, 0)
    assert (found["scan_wall_ns"], found["latency_max_ns"]) == (200, 100)


def test_fall_and_rise_at_one_instant_keep_nothing_and_rise_and_fall_keep_the_bit() -> None:
    rise_and_fall = [ev(3000, "assign"), ev(3000, "release"), ev(5000, "vm_destroy")]
    assert outcomes(row(trace(*rise_and_fall), policy(boot=True))) == (1, 1, 0, 0)
    fall_and_rise = [ev(0, "assign"), ev(3000, "release"), ev(3000, "assign"), ev(5000, "vm_destroy")]
    found = row(trace(*fall_and_rise), policy(boot=True))
    assert outcomes(found) == (0, 0, 2, 0)
    assert found["episodes"] == 0


def test_snp_off_during_the_pass_fails_the_visits_after_it() -> None:
    # Region 0 is complete at 1000, after SNP went at 1000: wasted. Regions 1 and 2: failed, though no page is assigned.
    found = row(trace(ev(1000, "snp_shutdown_end"), on=host(3)), policy("none", boot=True))
    assert outcomes(found) == (0, 0, 2, 1)
    assert (found["scan_wall_ns"], found["attempts_early"]) == (3000, 0)


def test_snp_init_during_the_pass_clears_what_it_set() -> None:
    # 0 is set at 1000 and cleared at 1500; 1 (visited at 1000) is wasted; 2 is set at 3000 for good.
    # The second boot pass runs [3000, 5100): 0 and 1 are clean, 2 cached.
    found = row(trace(ev(1500, "snp_init"), on=host(3)), policy("none", boot=True))
    assert outcomes(found) == (4, 1, 0, 1)
    assert found["scan_wall_ns"] == 3000 + 2100
    assert found["optimized_ns"] == 500 + (100_000 - 4000) + (100_000 - 5000) + (100_000 - 3000)


@pytest.mark.parametrize(
    ("begin_ns", "end_ns", "early"),
    [
        (500, 2000, 1),  # being evicted at the visit of 1000
        (1000, 2000, 1),
        (500, 1001, 1),
        (1001, 2000, 0),
        (500, 1000, 0),  # over at the visit
    ],
)
def test_early_means_that_the_owner_is_being_evicted_at_the_visit(begin_ns: int, end_ns: int, early: int) -> None:
    events = [ev(0, "assign", 1), ev(begin_ns, "evict_begin"), ev(end_ns, "evict_end")]
    found = row(trace(*events, on=host(2)), policy("none", boot=True))
    assert (found["attempts_failed"], found["attempts_early"]) == (1, early)


def test_early_follows_the_page_s_last_owner() -> None:
    evicted = [ev(0, "assign", inode=1), ev(1, "assign", inode=2), ev(2, "evict_begin", inode=1), ev(9, "vm_destroy")]
    assert row(trace(*evicted), policy())["attempts_early"] == 0
    taken = [ev(0, "assign", inode=2), ev(1, "evict_begin", inode=1), ev(2, "assign", inode=1), ev(9, "vm_destroy")]
    assert row(trace(*taken), policy())["attempts_early"] == 1
    nobody = [ev(0, "assign", inode=-1), ev(1, "evict_begin", inode=-1), ev(9, "vm_destroy")]
    assert row(trace(*nobody), policy())["attempts_early"] == 0


def test_early_counts_with_snp_off_too() -> None:
    # Off at 500; at the visit of 1000 region 1 is busy with an inode under eviction.
    events = [ev(0, "assign", 1), ev(100, "evict_begin"), ev(500, "snp_shutdown_end")]
    found = row(trace(*events, on=host(2)), policy("none", boot=True))
    assert (found["attempts_failed"], found["attempts_early"]) == (1, 1)


def test_pass_across_the_horizon_is_counted_in_full_with_the_state_frozen() -> None:
    # Boot sets 0 … 3 by 4000; 1 and 2 are assigned anew, 2 released. The pass of 5000 visits 0 at 5000, cached;
    # 1 at 5100, fail(0); 2 at 5150, clean, complete at 6150 (wasted: the horizon is 6000); 3 at 6150, still cached.
    events = [
        ev(4100, "assign", 1), ev(4100, "assign", 2), ev(4200, "release", 2), ev(5000, "vm_destroy"),
    ]  # fmt: skip
    found = row(trace(*events, on=host(4), horizon=6000, warmup=5000), policy(boot=True))
    assert outcomes(found) == (0, 2, 1, 1)
    assert (found["scan_wall_ns"], found["attempts"]) == (1250, 4)
    # Two bits set throughout [5000, 6000).
    assert found["optimized_ns"] == 2000


@pytest.mark.parametrize(("horizon", "expected"), [(1000, (0, 0, 1, 2)), (1001, (1, 0, 1, 1))])
def test_visits_after_the_horizon(horizon: int, expected: tuple[int, ...]) -> None:
    # Visits at 0, 1000 and 2000; region 2 is busy for ever.
    found = row(trace(ev(0, "assign", 2), on=host(3), horizon=horizon), policy("none", boot=True))
    assert outcomes(found) == expected
    assert found["scan_wall_ns"] == 2050


def test_bit_counts_from_the_completion_even_of_an_attempt_that_takes_no_time() -> None:
    free = Costs(**{field.name: 0 for field in fields(Costs)})
    found = ReferenceEngine().evaluate([trace(horizon=10)], [policy("none", boot=True)], free)[0][0]
    assert (found["attempts_new"], found["optimized_ns"], found["scan_wall_ns"]) == (1, 10, 0)
