"""Changes at the very instant of a visit, a completion, a start, SNP's end or the horizon. Answers in comments."""

from __future__ import annotations

from dataclasses import fields

import pytest
from by_hand import ev, host, policy, row, trace

from gmemgpu.engine.registry import available_engines
from gmemgpu.model.cost import Costs
from gmemgpu.model.metric import MetricRow

# A pass over regions 0 and 1 starts at 50 000. Of region 0, clean, it is over at 51 000, when it visits region 1.
REQUEST = ev(50_000, "vm_destroy")


# Before it both regions were the guest's, are clear of it since 1000, and free: whatever the scope, they are targets.
CLEARED = (ev(0, "assign", 0), ev(0, "assign", 1), ev(1000, "release", 0), ev(1000, "release", 1))
ANY_SCOPE = pytest.mark.parametrize("scope", ["window", "dirty", "dirty_retry", "vm", "inode"])


def outcomes(found: MetricRow) -> tuple[int, ...]:
    names = ("attempts_new", "attempts_cached", "attempts_failed", "attempts_wasted", "scan_wall_ns")
    return tuple(found[name] for name in names)


@ANY_SCOPE
@pytest.mark.parametrize(
    ("at_ns", "expected"),
    [
        (50_999, (1, 0, 1, 0, 2000)),  # busy at the visit
        (51_000, (1, 0, 1, 0, 2000)),  # the state at a time is the one after its events
        (51_001, (1, 0, 0, 1, 2000)),  # free at the visit, assigned while it is scanned
        (51_999, (1, 0, 0, 1, 2000)),
        (52_000, (1, 0, 0, 1, 2000)),  # at its completion: the bit is not set
        (52_001, (2, 0, 0, 0, 2000)),
    ],
)
def test_assigned_around_the_visit_of_a_later_region(at_ns: int, expected: tuple[int, ...], scope: str) -> None:
    found = row(trace(*CLEARED, REQUEST, ev(at_ns, "assign", 1), on=host(2)), policy(scope=scope))
    assert outcomes(found) == expected


@ANY_SCOPE
@pytest.mark.parametrize(
    ("at_ns", "executor", "expected"),
    [
        (50_999, "leader_followers", (2, 0, 0, 0, 1050)),  # class fail(0), but free when the cores come to it
        (51_000, "leader_followers", (2, 0, 0, 0, 1050)),
        (51_001, "leader_followers", (1, 0, 1, 0, 1050)),
        (51_000, "leader_first", (1, 0, 1, 0, 1011)),  # the leader alone has looked, and F is 0
    ],
)
def test_released_around_the_visit_of_a_later_region(
    at_ns: int, executor: str, expected: tuple[int, ...], scope: str
) -> None:
    events = (*CLEARED, ev(2000, "assign", 1), REQUEST, ev(at_ns, "release", 1))
    found = row(trace(*events, on=host(2)), policy(executor=executor, scope=scope))
    assert outcomes(found) == expected


@pytest.mark.parametrize("scope", ["vm", "inode"])
@pytest.mark.parametrize(("at_ns", "failed", "empty"), [(49_999, 1, 0), (50_000, 1, 0), (50_001, 0, 1)])
def test_a_guest_owns_a_region_from_the_start_of_the_pass_on(at_ns: int, failed: int, empty: int, scope: str) -> None:
    events = sorted([REQUEST, ev(at_ns, "assign", 1)])
    found = row(trace(*events, on=host(2)), policy(scope=scope))
    assert (found["attempts_failed"], found["passes_empty"]) == (failed, empty)


def test_a_region_that_is_caught_is_cached_for_the_next_pass() -> None:
    # Released at the visit, and set at 51 050. The next pass starts then: both regions are cached.
    events = (ev(0, "assign", 1), REQUEST, ev(51_000, "release", 1), ev(51_050, "vm_destroy", vm=2))
    assert outcomes(row(trace(*events, on=host(2)), policy())) == (2, 2, 0, 0, 1050 + 200)


@pytest.mark.parametrize(("at_ns", "new"), [(50_999, 2), (51_000, 2), (51_001, 1)])
def test_released_at_the_end_of_a_pass_whose_last_visit_costs_nothing(at_ns: int, new: int) -> None:
    # Region 1 is busy at the start, and failing is free: it is visited at 51 000, when the pass ends, and set then.
    free = Costs(**{**{field.name: 0 for field in fields(Costs)}, "round_clean": 1000})
    events = trace(ev(0, "assign", 1), REQUEST, ev(at_ns, "release", 1), on=host(2))
    for engine in available_engines():
        found = engine.evaluate([events], [policy()], free)[0][0]
        assert (found["attempts_new"], found["attempts_failed"]) == (new, 2 - new), engine.name


@pytest.mark.parametrize(
    ("at_ns", "expected"),
    [
        (49_999, (0, 0, 1, 0, 50)),
        (50_000, (0, 0, 1, 0, 50)),  # assigned at the start: its class is fail(0)
        (50_001, (0, 0, 0, 1, 1000)),
        (51_000, (0, 0, 0, 1, 1000)),
        (51_001, (1, 0, 0, 0, 1000)),
    ],
)
def test_assigned_around_the_start_of_a_pass(at_ns: int, expected: tuple[int, ...]) -> None:
    events = sorted([REQUEST, ev(at_ns, "assign")])
    assert outcomes(row(trace(*events), policy())) == expected


@pytest.mark.parametrize("scope", ["window", "dirty", "dirty_retry", "region"])
def test_released_and_requested_at_the_start_of_a_pass(scope: str) -> None:
    # The request of 10 000 is due at 20 000. At that instant the region is released, which is a request as well: it
    # belongs to the pass, the region is free, dirty and named, and no second pass follows.
    events = (ev(0, "assign", pages=2), ev(10_000, "release"), ev(20_000, "release", page=1))
    found = row(trace(*events), policy("conversion", "fixed(10 us)", scope=scope))
    assert outcomes(found) == (1, 0, 0, 0, 1000)
    assert (found["passes"], found["requests"]) == (1, 2)


@pytest.mark.parametrize("scope", ["dirty", "dirty_retry"])
@pytest.mark.parametrize(("at_ns", "new", "empty"), [(49_999, 1, 0), (50_000, 1, 0), (50_001, 0, 1)])
def test_a_region_is_dirty_from_the_start_of_the_pass_on(at_ns: int, new: int, empty: int, scope: str) -> None:
    # Region 0 is never cleared but for this once: a pass that starts earlier has no target.
    events = sorted([ev(0, "assign"), REQUEST, ev(at_ns, "release")])
    found = row(trace(*events), policy(scope=scope))
    assert (found["attempts_new"], found["passes"], found["passes_empty"]) == (new, new, empty)
    assert found["scan_wall_ns"] == 1000 * new


@pytest.mark.parametrize(
    ("at_ns", "expected"),
    [
        (59_999, (2, 1, 1, 0, 2000 + 100 + 50)),
        (60_000, (2, 1, 1, 0, 2000 + 100 + 50)),  # assigned at the start: its class is fail(0)
        (60_001, (2, 1, 1, 0, 2000 + 100 + 100)),  # its class is cached, and the visit at 60 100 finds it busy
    ],
)
def test_assigned_around_the_start_of_a_second_pass(at_ns: int, expected: tuple[int, ...]) -> None:
    # The pass of 50 000 sets both regions' bits: what that of 60 000 finds differs by one change alone.
    events = sorted([REQUEST, ev(60_000, "vm_destroy", vm=2), ev(at_ns, "assign", 1)])
    assert outcomes(row(trace(*events, on=host(2)), policy())) == expected


@pytest.mark.parametrize(
    ("at_ns", "expected"),
    [
        (59_999, (2, 1, 1, 0, 1050 + 100 + 1000)),
        (60_000, (2, 1, 1, 0, 1050 + 100 + 1000)),  # released at the start: its class is clean
        (60_001, (2, 1, 1, 0, 1050 + 100 + 50)),  # its class is fail(0), but it is free at the visit of 60 100
    ],
)
def test_released_around_the_start_of_a_second_pass(at_ns: int, expected: tuple[int, ...]) -> None:
    # The pass of 50 000 sets region 0's bit and fails at region 1.
    events = sorted([ev(0, "assign", 1), REQUEST, ev(60_000, "vm_destroy", vm=2), ev(at_ns, "release", 1)])
    assert outcomes(row(trace(*events, on=host(2)), policy())) == expected


@pytest.mark.parametrize(
    ("at_ns", "expected"),
    [
        (50_000, (0, 0, 0, 0, 0)),  # SNP is off at the start: skipped
        (50_001, (0, 0, 1, 1, 2000)),  # region 0's episode ends before its completion; region 1 is visited with SNP off
        (51_000, (0, 0, 1, 1, 2000)),  # at the completion of the one and the visit of the other: the same
        (51_001, (1, 0, 0, 1, 2000)),
        (52_000, (1, 0, 0, 1, 2000)),
        (52_001, (2, 0, 0, 0, 2000)),
    ],
)
def test_snp_ends_around_a_visit(at_ns: int, expected: tuple[int, ...]) -> None:
    events = sorted([ev(40_000, "snp_shutdown_begin"), REQUEST, ev(at_ns, "snp_shutdown_end")])
    found = row(trace(*events, on=host(2)), policy())
    assert outcomes(found) == expected
    assert (found["passes_skipped"], found["passes_hazard"]) == ((1, 0) if at_ns == 50_000 else (0, 1))


def test_snp_comes_back_at_the_start_of_a_pass() -> None:
    # On again at 50 000, when the pass starts. At 51 000, the visit of region 1, a second snp_init cuts both episodes:
    # region 0's attempt is wasted, and region 1 is set in the new one, at 52 000.
    events = sorted([ev(10_000, "snp_shutdown_end"), REQUEST, ev(50_000, "snp_init"), ev(51_000, "snp_init")])
    found = row(trace(*events, on=host(2)), policy())
    assert outcomes(found) == (1, 0, 0, 1, 2000)
    assert found["optimized_ns"] == 100_000 - 52_000


@pytest.mark.parametrize(
    ("horizon", "expected"),
    [
        (50_000, (0, 0, 0, 0, 0)),  # starts at the horizon: never
        (50_001, (0, 0, 0, 2, 2000)),  # finished and counted in full, but no completion is before the horizon
        (51_000, (0, 0, 0, 2, 2000)),
        (51_001, (1, 0, 0, 1, 2000)),
        (52_000, (1, 0, 0, 1, 2000)),
        (52_001, (2, 0, 0, 0, 2000)),
    ],
)
def test_the_horizon_around_a_visit(horizon: int, expected: tuple[int, ...]) -> None:
    found = row(trace(ev(49_000, "vm_destroy"), horizon=horizon, on=host(2)), policy(timer="fixed(1 us)"))
    assert outcomes(found) == expected


def test_a_request_at_the_end_of_a_pass_is_not_lost() -> None:
    # The pass lasts from 50 000 to 51 000. Strictly within it drop loses a request; at its start and end it does not.
    events = [REQUEST, *(ev(t, "vm_destroy", vm=t) for t in (50_000, 50_001, 50_999, 51_000))]
    found = row(trace(*events), policy(busy="drop"))
    assert (found["requests"], found["requests_lost"], found["passes"]) == (5, 2, 2)
    assert outcomes(found) == (1, 1, 0, 0, 1100)


def test_a_debounced_request_at_the_delay_joins_and_does_not_move() -> None:
    # Due at 60 000 and requested again then: one pass. One more at 60 001 makes another, at 70 001.
    events = [REQUEST, *(ev(t, "vm_destroy", vm=t) for t in (60_000, 60_001))]
    found = row(trace(*events), policy(timer="debounce(10 us)"))
    assert (found["passes"], found["optimized_ns"]) == (2, 100_000 - 61_000)


def test_dirty_retry_keeps_a_region_that_was_assigned_before_its_visit() -> None:
    # The pass of 50 000 finds both clean: 2000 ns. Region 1 is assigned before its visit at 51 000, which fails;
    # so it is still dirty at 60 000, and busy: fail(0), 50 ns. Region 0 was got right, and is no target any more.
    events = (*CLEARED, REQUEST, ev(50_500, "assign", 1), ev(60_000, "vm_destroy", vm=2))
    found = row(trace(*events, on=host(2)), policy(scope="dirty_retry"))
    assert outcomes(found) == (1, 0, 2, 0, 2000 + 50)
    assert (found["passes"], found["passes_empty"]) == (2, 0)


def test_what_a_boot_pass_sets_is_not_tried_again() -> None:
    # Busy at 0: the first boot pass fails, 50 ns. Dirty from 1000 on, and busy again: so does the pass of 50 000. Free
    # from 55 000 on: the boot pass of 60 000 sets the bit in 1000 ns, and the pass of 80 000 has no target.
    found = row(
        trace(
            ev(0, "assign"),
            ev(1000, "release"),
            ev(2000, "assign"),
            REQUEST,
            ev(55_000, "release"),
            ev(60_000, "snp_init"),
            ev(80_000, "vm_destroy", vm=2),
        ),
        policy(scope="dirty_retry", boot=True),
    )
    assert outcomes(found) == (1, 0, 2, 0, 50 + 50 + 1000)
    assert (found["passes"], found["passes_empty"]) == (3, 1)


@pytest.mark.parametrize(("gate", "failed", "empty"), [("gmem_free", 1, 2), ("free", 0, 3), ("all", 2, 1)])
def test_dirty_retry_with_a_gate_across_an_snp_init(gate: str, failed: int, empty: int) -> None:
    # Dirty from 2000 on. 5000: a page of firmware makes it fail, or `free` drops it. 7500: SNP is off, skipped.
    # 10 000, SNP on again: a guest's page, which both gates drop, else it fails again. 12 000: free, set at 13 000.
    # At 15 000 snp_init clears the bit, but nothing makes the region dirty again: at 20 000 there is no target.
    found = row(
        trace(
            ev(1000, "assign"),
            ev(2000, "release"),
            ev(3000, "assign", page=1, vm=-1, inode=-1),
            ev(5000, "vm_destroy"),
            ev(6000, "snp_shutdown_begin"),
            ev(7000, "snp_shutdown_end"),
            ev(7500, "vm_destroy", vm=2),
            ev(8000, "snp_init"),
            ev(9000, "assign", inode=2),
            ev(10_000, "vm_destroy", vm=3),
            ev(11_000, "release", pages=2, inode=2),
            ev(12_000, "vm_destroy", vm=4),
            ev(15_000, "snp_init"),
            ev(20_000, "vm_destroy", vm=5),
        ),
        policy(scope="dirty_retry", gate=gate),
    )
    assert (found["attempts_new"], found["attempts_failed"], found["passes_empty"]) == (1, failed, empty)
    assert (found["passes"], found["passes_skipped"]) == (1 + failed, 1)
    assert found["optimized_ns"] == 15_000 - 13_000
