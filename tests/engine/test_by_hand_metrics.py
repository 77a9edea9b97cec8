"""MODEL.md sections 4 and 7: episodes, integrals, latencies and hazards. Answers by hand in comments."""

from __future__ import annotations

from dataclasses import fields

import pytest
from by_hand import COSTS, ev, host, policy, row, trace

from gmemgpu.engine.reference import ReferenceEngine
from gmemgpu.engine.registry import available_engines
from gmemgpu.model.cost import Costs
from gmemgpu.model.metric import METRIC_NAMES, MetricRow
from gmemgpu.model.policy import ORACLE
from gmemgpu.units import PAGES_PER_REGION, REGION_BYTES

EPISODES = ("episodes", "reoptimized", "overtaken", "never")


def episodes(found: MetricRow) -> tuple[int, ...]:
    return tuple(found[name] for name in EPISODES)


NEVER = policy("none")


def test_rows_hold_every_metric_as_python_integers() -> None:
    of = [trace(), trace(ev(5, "assign"), ev(9, "release"))]
    by = [NEVER, policy("region_free"), ORACLE]
    found = ReferenceEngine().evaluate(of, by, COSTS)
    assert [len(rows) for rows in found] == [3, 3]
    for one in (one for rows in found for one in rows):
        assert tuple(one) == METRIC_NAMES
        histogram = one.pop("latency_histogram")
        assert {type(value) for value in (*one.values(), *histogram)} == {int}
    assert ReferenceEngine().evaluate([], by, COSTS) == []
    assert ReferenceEngine().evaluate(of, [], COSTS) == [[], []]


def test_reference_always_runs() -> None:
    assert ReferenceEngine.name == "reference"
    assert ReferenceEngine().missing() is None


# Free episodes


def test_host_where_nothing_happens_is_free_and_fresh() -> None:
    found = row(trace(horizon=1000, on=host(3)), NEVER)
    assert found["optimizable_ns"] == 3000
    assert episodes(found) == (0, 0, 0, 0)
    assert found["latency_histogram"] == []
    assert (found["passes"], found["latency_p50_ns"], found["latency_max_ns"], found["pass_wall_max_ns"]) == (
        0,
        -1,
        -1,
        0,
    )


def test_last_region_may_be_partial() -> None:
    on = host(memory_bytes=REGION_BYTES + 3 * 4096)
    found = row(trace(ev(100, "use", 1, 3), horizon=1000, on=on), policy("none", boot=True))
    # Two regions of 1000 each; the second bit is set at 2000, too late.
    assert (found["optimizable_ns"], found["attempts"], found["in_use_ns"]) == (2000, 2, 3 * 900)


def test_episodes_of_a_guest_s_going() -> None:
    # Fresh [0, 100), busy [100, 300), free [300, 600) overtaken, busy [600, 700), free [700, 1000) never.
    events = [ev(100, "assign"), ev(300, "release"), ev(600, "assign"), ev(700, "share")]
    found = row(trace(*events, horizon=1000), NEVER)
    assert found["optimizable_ns"] == 100 + 300 + 300
    assert episodes(found) == (2, 0, 1, 1)


def test_region_is_free_when_its_last_page_goes() -> None:
    # Pages 0, 1 (inode 1) and 2 (a VMSA page): free from 400 only. Assigning twice is assigning once.
    events = [
        ev(0, "assign", pages=2), ev(0, "assign", pages=2), ev(0, "assign", page=2, inode=-1),
        ev(200, "release", page=1), ev(300, "release", page=0), ev(400, "release", page=2, inode=-1),
        ev(500, "release", pages=3),
    ]  # fmt: skip
    found = row(trace(*events, horizon=1000), NEVER)
    assert found["optimizable_ns"] == 600
    assert episodes(found) == (1, 0, 0, 1)


@pytest.mark.parametrize("kind", ["invalidate", "freed", "use", "unuse"])
def test_other_kinds_free_nothing(kind: str) -> None:
    assert row(trace(ev(0, "assign"), ev(10, kind), horizon=1000), NEVER)["optimizable_ns"] == 0


def test_release_by_another_inode_clears_the_page() -> None:
    found = row(trace(ev(0, "assign", vm=1, inode=1), ev(10, "release", vm=2, inode=2), horizon=1000), NEVER)
    assert found["optimizable_ns"] == 990


def test_extent_across_regions_touches_each() -> None:
    # The last page of region 0, all of 1, the first page of 2; region 3 stays free.
    events = [
        ev(0, "assign", 0, PAGES_PER_REGION + 2, page=PAGES_PER_REGION - 1),
        ev(400, "release", 1, PAGES_PER_REGION),
    ]
    assert row(trace(*events, on=host(4), horizon=1000), NEVER)["optimizable_ns"] == 1000 + 600


def test_assigned_and_released_at_one_instant_was_never_busy() -> None:
    found = row(trace(ev(500, "assign"), ev(500, "release"), horizon=1000), NEVER)
    assert found["optimizable_ns"] == 1000
    assert episodes(found) == (0, 0, 0, 0)


def test_released_and_assigned_at_one_instant_was_never_free() -> None:
    found = row(trace(ev(0, "assign"), ev(500, "release"), ev(500, "assign"), horizon=1000), NEVER)
    assert found["optimizable_ns"] == 0
    assert episodes(found) == (0, 0, 0, 0)


def test_snp_init_cuts_an_episode_and_the_rest_is_fresh() -> None:
    # Region 0: [300, 600) of a guest, then [600, 1000) fresh. Region 1: [0, 600) and [600, 1000), both fresh.
    events = [ev(0, "assign"), ev(300, "release"), ev(600, "snp_init")]
    found = row(trace(*events, on=host(2), horizon=1000), NEVER)
    assert found["optimizable_ns"] == 700 + 1000
    assert episodes(found) == (1, 0, 1, 0)


def test_fall_at_a_snp_init_is_fresh() -> None:
    found = row(trace(ev(0, "assign"), ev(600, "snp_init"), ev(600, "release"), horizon=1000), NEVER)
    assert found["optimizable_ns"] == 400
    assert episodes(found) == (0, 0, 0, 0)


def test_fresh_episode_that_a_guest_ends_is_no_episode() -> None:
    # Fresh [0, 600) and [600, 800), then busy.
    found = row(trace(ev(600, "snp_init"), ev(800, "assign"), horizon=1000), NEVER)
    assert found["optimizable_ns"] == 800
    assert episodes(found) == (0, 0, 0, 0)


def test_snp_off_ends_an_episode_and_counts_nowhere() -> None:
    # Off in [500, 800). Region 0 falls at 300: [300, 500) overtaken, [800, 1000) fresh.
    # Region 1 falls at 600, while off: its first episode begins with SNP, at 800.
    events = [
        ev(0, "assign", 0), ev(0, "assign", 1), ev(300, "release", 0), ev(450, "snp_shutdown_begin"),
        ev(500, "snp_shutdown_end"), ev(600, "release", 1), ev(800, "snp_init"),
    ]  # fmt: skip
    found = row(trace(*events, on=host(2), horizon=1000), NEVER)
    assert found["optimizable_ns"] == 200 + 200 + 200
    assert episodes(found) == (1, 0, 1, 0)


def test_snp_off_at_time_zero_leaves_no_fresh_episode_there() -> None:
    found = row(trace(ev(0, "snp_shutdown_end"), ev(400, "snp_init"), horizon=1000), NEVER)
    assert found["optimizable_ns"] == 600


def test_uncovered_regions_are_optimizable_but_have_no_episodes() -> None:
    on = host(2, window_bytes=REGION_BYTES)
    events = [ev(0, "assign", 0), ev(0, "assign", 1), ev(400, "release", 0), ev(400, "release", 1)]
    found = row(trace(*events, on=on, horizon=1000), NEVER)
    assert found["optimizable_ns"] == 1200
    assert episodes(found) == (1, 0, 0, 1)
    oracle = row(trace(*events, on=on, horizon=1000), ORACLE)
    assert (oracle["optimizable_ns"], oracle["optimized_ns"], oracle["optimized_core_ns"]) == (1200, 600, 2400)


# Bits


def test_bit_lasts_until_the_episode_ends() -> None:
    # Boot sets at 1000; assigned 5000 … 7000; set again at 8000 by the request of 7000.
    events = [ev(5000, "assign"), ev(7000, "release")]
    found = row(trace(*events, horizon=10_000), policy("region_free", boot=True))
    assert found["optimized_ns"] == 4000 + 2000
    assert found["optimized_core_ns"] == 4 * 6000
    assert episodes(found) == (1, 1, 0, 0)
    assert found["latency_max_ns"] == 1000


def test_optimized_core_ns_weighs_each_region_by_its_cores() -> None:
    # C = 2, 2, 4, 2 (see the executors' test); bits set at 1000, 2000, 3000, 4000.
    on = host(4, nodes=2, window="node", window_bytes=3 * REGION_BYTES)
    found = row(trace(on=on, horizon=10_000), policy("none", boot=True))
    assert found["optimized_ns"] == 9000 + 8000 + 7000 + 6000
    assert found["optimized_core_ns"] == 2 * 9000 + 2 * 8000 + 4 * 7000 + 2 * 6000


def test_integrals_can_pass_63_bits() -> None:
    horizon = 2**62
    found = row(trace(ev(0, "use", pages=PAGES_PER_REGION), horizon=horizon), policy("none", boot=True))
    assert found["in_use_ns"] == PAGES_PER_REGION * horizon
    assert found["in_use_optimized_core_ns"] == 4 * PAGES_PER_REGION * (horizon - 1000)


# Pages in use


def test_in_use_counts_hv_owned_pages() -> None:
    events = [
        ev(100, "use", pages=10),  # 10 until 200
        ev(100, "use", pages=5),  # idempotent
        ev(200, "assign", page=2, pages=4),  # 6 until 300
        ev(300, "share", page=2, pages=4),  # 10 again until 400: the second bitmap was left alone
        ev(400, "unuse", pages=3),  # 7 until 500
        ev(400, "unuse", pages=2),
        ev(500, "share", page=20, pages=9),  # share does not set use: still 7
    ]
    found = row(trace(*events, horizon=1000), NEVER)
    assert found["in_use_ns"] == 1000 + 600 + 1000 + 700 + 7 * 500
    assert found["in_use_optimized_core_ns"] == 0


def test_in_use_profits_while_the_bit_is_set() -> None:
    # Boot sets at 1000; 10 pages in use in [500, 3000) and 20 from 3000; busy in [4000, 5000); never set again.
    events = [
        ev(500, "use", pages=10),
        ev(3000, "use", pages=20),
        ev(4000, "assign", page=100),
        ev(5000, "release", page=100),
    ]
    found = row(trace(*events, horizon=6000), policy("none", boot=True))
    assert found["in_use_ns"] == 10 * 2500 + 20 * 3000
    assert found["in_use_optimized_core_ns"] == 4 * (10 * 2000 + 20 * 1000)


def test_times_with_snp_off_count_nowhere() -> None:
    events = [ev(0, "use", pages=10), ev(2000, "snp_shutdown_end"), ev(5000, "snp_init")]
    found = row(trace(*events, horizon=10_000), policy("none", boot=True))
    assert found["in_use_ns"] == 10 * 7000
    assert found["optimized_ns"] == 1000 + 4000
    assert found["in_use_optimized_core_ns"] == 4 * 10 * 5000


# Warm-up


def test_warm_up_cuts_integrals() -> None:
    events = [ev(0, "use", pages=10), ev(4000, "assign", page=50), ev(6000, "release", page=50)]
    found = row(trace(*events, horizon=10_000, warmup=3000), policy("region_free", boot=True))
    # Free [3000, 4000) and [6000, 10000); set until 4000 and from 7000.
    assert found["optimizable_ns"] == 1000 + 4000
    assert found["optimized_ns"] == 1000 + 3000
    assert found["in_use_ns"] == 10 * 7000
    assert found["in_use_optimized_core_ns"] == 4 * 10 * 4000
    # Set during the warm-up, over before it ends.
    assert row(trace(*events, horizon=10_000, warmup=4500), policy("none", boot=True))["optimized_ns"] == 0


def test_warm_up_hides_what_begins_before_it() -> None:
    def at(warmup: int) -> MetricRow:
        of = trace(ev(0, "assign"), ev(2000, "release"), ev(2000, "vm_destroy"), horizon=10_000, warmup=warmup)
        return row(of, policy())

    counted, hidden = at(2000), at(2001)
    assert (episodes(counted), counted["requests"], counted["passes"], counted["attempts"]) == ((1, 1, 0, 0), 1, 1, 1)
    assert (episodes(hidden), hidden["requests"], hidden["passes"], hidden["attempts"]) == ((0, 0, 0, 0), 0, 0, 0)
    # A pass in the warm-up still sets its bit.
    assert hidden["optimized_ns"] == 7000
    assert (hidden["rmpopts"], hidden["scan_wall_ns"], hidden["pass_wall_max_ns"], hidden["latency_max_ns"]) == (
        0,
        0,
        0,
        -1,
    )


def test_warm_up_hides_lost_requests_and_empty_and_skipped_passes() -> None:
    events = [ev(100, "vm_destroy"), ev(200, "vm_destroy"), ev(5000, "vm_destroy"), ev(5100, "vm_destroy")]
    assert row(trace(*events, on=host(40)), policy(busy="drop"))["requests_lost"] == 3  # [100, 40100)
    assert row(trace(*events, on=host(40), warmup=5000), policy(busy="drop"))["requests_lost"] == 2
    empty = policy(scope="region")
    assert [row(trace(*events, warmup=warmup), empty)["passes_empty"] for warmup in (0, 200, 201)] == [4, 3, 2]
    off = [ev(0, "snp_shutdown_end"), *events]
    assert [row(trace(*off, warmup=warmup), empty)["passes_skipped"] for warmup in (0, 200, 201)] == [4, 3, 2]


# Latencies


def test_latency_percentiles_are_nearest_rank() -> None:
    # Ten regions fall at 0+500 … all at 500; bits at 1500, 2500, … 10500: latencies 1000 … 10000.
    on = host(10)
    events = [ev(0, "assign", 0, 10 * PAGES_PER_REGION), ev(500, "release", 0, 10 * PAGES_PER_REGION)]
    found = row(trace(*events, on=on), policy("region_free"))
    assert episodes(found) == (10, 10, 0, 0)
    # Ranks ceil(5.0) = 5, ceil(9.0) = 9, ceil(9.9) = 10.
    assert [found[f"latency_{name}_ns"] for name in ("p50", "p90", "p99", "max")] == [5000, 9000, 10_000, 10_000]
    # Three: ranks ceil(1.5) = 2, ceil(2.7) = 3, ceil(2.97) = 3.
    three = row(
        trace(*events[:1], ev(500, "release", 0, 3 * PAGES_PER_REGION), on=on), policy("region_free", scope="region")
    )
    assert [three[f"latency_{name}_ns"] for name in ("p50", "p90", "p99", "max")] == [2000, 3000, 3000, 3000]
    # Of 1000 floor(log2) is 9, and the bin 8 * (9 - 2) + (1000 >> 6) - 8 = 63.
    assert bins(three) == {63: 1, 71: 1, 75: 1}
    assert bins(found) == dict.fromkeys([63, 71, 75, 79, 81, 83, 85, 87, 88, 89], 1)


def bins(found: MetricRow) -> dict[int, int]:
    histogram = found["latency_histogram"]
    assert not histogram or histogram[-1] > 0
    return {place: count for place, count in enumerate(histogram) if count}


@pytest.mark.parametrize(
    ("latency_ns", "place"),
    [(0, 0), (7, 7), (8, 8), (15, 15), (16, 16), (17, 16), (18, 17), (31, 23), (32, 24), (10**9, 222), (2**60, 464)],
)
def test_bins_of_latencies(latency_ns: int, place: int) -> None:
    # The request is handled so much later; the attempt costs nothing. 10**9: 8 * (29 - 2) + (10**9 >> 26) - 8.
    free = Costs(**{field.name: 0 for field in fields(Costs)})
    of = trace(ev(0, "assign"), ev(5, "release"), horizon=2**61)
    by = policy("region_free", f"fixed({latency_ns} ns)", scope="region")
    for engine in available_engines():
        assert bins(engine.evaluate([of], [by], free)[0][0]) == {place: 1}, engine.name


def test_overtaken_and_never_have_no_latency() -> None:
    # Wasted at its completion of 2500 by the assign; then free from 9000, the pass reaches past the horizon.
    events = [ev(0, "assign"), ev(1500, "release"), ev(2500, "assign"), ev(9000, "release")]
    found = row(trace(*events, horizon=10_000), policy("region_free"))
    assert episodes(found) == (2, 0, 1, 1)
    assert (found["attempts_wasted"], found["latency_p50_ns"], found["latency_max_ns"]) == (2, -1, -1)


# Hazards


@pytest.mark.parametrize(
    ("request_ns", "hazard"),
    [(9, 0), (10, 1), (19, 1), (20, 0), (29, 0), (30, 1), (39, 1), (40, 0)],
)
def test_requests_in_a_shutdown_or_after_unload_are_hazardous(request_ns: int, hazard: int) -> None:
    # Shutdown [10, 20), unloaded [30, 40) until the init; ties by state, so the file order within 10 is no matter.
    host_events = [ev(10, "snp_shutdown_begin"), ev(20, "snp_shutdown_end"), ev(30, "kvm_unload"), ev(40, "snp_init")]
    events = sorted([ev(request_ns, "vm_destroy"), *host_events], key=lambda event: event[0])
    assert row(trace(*events), policy())["requests_hazard"] == hazard
    assert row(trace(*events, warmup=request_ns + 1), policy())["requests_hazard"] == 0


def test_init_does_not_end_a_shutdown() -> None:
    events = [ev(10, "snp_shutdown_begin"), ev(15, "snp_init"), ev(18, "vm_destroy")]
    assert row(trace(*events), policy())["requests_hazard"] == 1


@pytest.mark.parametrize(
    ("begin_ns", "end_ns", "hazard"),
    [
        (900, 1000, 0),  # over at the start, and SNP on again
        (900, 1001, 1),
        (1500, 1600, 1),
        (1999, 3000, 1),
        (2000, 3000, 0),  # begins as the pass ends
    ],
)
def test_pass_in_part_inside_a_shutdown_is_hazardous(begin_ns: int, end_ns: int, hazard: int) -> None:
    # The pass runs [1000, 2000). The init at the end of the shutdown keeps SNP on.
    host_events = [ev(begin_ns, "snp_shutdown_begin"), ev(end_ns, "snp_shutdown_end"), ev(end_ns, "snp_init")]
    events = sorted([ev(1000, "vm_destroy"), *host_events], key=lambda event: event[0])
    found = row(trace(*events), policy())
    assert (found["passes"], found["passes_hazard"]) == (1, hazard)


def test_pass_of_no_length_is_hazardous_by_its_start() -> None:
    free = Costs(**{field.name: 0 for field in fields(Costs)})
    of = trace(ev(10, "snp_shutdown_begin"), ev(10, "vm_destroy"), ev(11, "snp_shutdown_end"))
    found = ReferenceEngine().evaluate([of], [policy()], free)[0][0]
    assert (found["passes"], found["passes_hazard"], found["scan_wall_ns"]) == (1, 1, 0)
    # An empty pass has run nothing.
    empty = ReferenceEngine().evaluate([of], [policy(scope="region")], free)[0][0]
    assert (empty["passes_empty"], empty["passes_hazard"]) == (1, 0)


# Oracle


def test_oracle_optimizes_every_episode_at_once_for_nothing() -> None:
    events = [
        ev(0, "use", pages=10),
        ev(100, "assign", page=50),
        ev(300, "release", page=50),
        ev(600, "assign", page=50),
    ]
    found = row(trace(*events, horizon=1000), ORACLE)
    assert found["optimizable_ns"] == found["optimized_ns"] == 100 + 300
    assert (found["in_use_ns"], found["in_use_optimized_core_ns"]) == (10 * 1000, 4 * 10 * 400)
    assert episodes(found) == (1, 1, 0, 0)
    assert [found[f"latency_{name}_ns"] for name in ("p50", "p90", "p99", "max")] == [0, 0, 0, 0]
    assert found["latency_histogram"] == [1]
    after = METRIC_NAMES.index("latency_histogram") + 1
    assert {found[name] for name in METRIC_NAMES[after:]} == {0}


def test_oracle_without_an_episode_has_no_latency() -> None:
    found = row(trace(), ORACLE)
    assert (found["latency_p50_ns"], found["latency_histogram"]) == (-1, [])
