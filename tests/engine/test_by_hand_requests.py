"""MODEL.md section 5, hook and timer: when the reference starts passes. Answers by hand in comments."""

from __future__ import annotations

import pytest
from by_hand import COSTS, ev, host, policy, row, rows, trace

from gmemgpu.engine.registry import engine
from gmemgpu.model.policy import Policy
from gmemgpu.model.trace import COLUMNS, Trace
from gmemgpu.units import PAGES_PER_REGION, REGION_BYTES


def starts(of: Trace, by: Policy, metric: str = "passes") -> list[int]:
    """Read the starts of passes off the warm-up: a pass counts if it starts at or after it."""
    looked_at: list[Trace] = []

    def at_or_after(warmup: int) -> int:
        values = {name: getattr(of, name) for name in COLUMNS}
        looked_at.append(Trace(host=of.host, horizon_ns=of.horizon_ns, warmup_ns=warmup, **values))
        # The judge alone finds them one by one.
        return engine("reference").evaluate(looked_at[-1:], [by], COSTS)[0][0][metric]

    def between(low: int, n_low: int, high: int, n_high: int) -> list[int]:
        if n_low == n_high:
            return []
        if high - low == 1:
            return [low] * (n_low - n_high)
        middle = (low + high) // 2
        n_middle = at_or_after(middle)
        return between(low, n_low, middle, n_middle) + between(middle, n_middle, high, n_high)

    found = between(0, at_or_after(0), of.horizon_ns, at_or_after(of.horizon_ns))
    rows(looked_at, by)
    return found


def destroys(*times_ns: int) -> list[tuple[int, ...]]:
    return [ev(t_ns, "vm_destroy") for t_ns in times_ns]


# Hook


EVERY_KIND = [
    ev(0, "assign", pages=5000),
    *[
        ev(t_ns, kind, pages=1025, inode=inode, folio=512)
        for t_ns, kind, inode in [
            (10, "invalidate", 1), (11, "invalidate", 1), (12, "invalidate", 1), (13, "invalidate", -1),
            (20, "release", 1), (21, "release", 1), (22, "release", -1),
            (30, "freed", 1), (31, "freed", -1),
            (40, "share", 1), (41, "share", -1),
            (50, "use", 1), (51, "unuse", 1),
        ]
    ],
    ev(60, "evict_begin"), ev(61, "evict_begin", inode=-1),
    ev(70, "evict_end"), ev(71, "evict_end"), ev(72, "evict_end", inode=-1),
    ev(80, "inode_free", inode=-1),
    *[ev(90 + i, "vm_destroy", vm=i - 1) for i in range(4)],
    ev(99, "invalidate", pages=PAGES_PER_REGION, folio=PAGES_PER_REGION, inode=-1),
    ev(100, "release", pages=PAGES_PER_REGION, folio=PAGES_PER_REGION, inode=-1),
    # Whole again and given back; the second of no pages, the third no folio of 1 GiB.
    ev(101, "freed", pages=PAGES_PER_REGION, folio=PAGES_PER_REGION),
    ev(102, "freed", pages=0, folio=PAGES_PER_REGION, inode=-1),
    ev(103, "freed", pages=PAGES_PER_REGION, folio=512, inode=-1),
]  # fmt: skip


@pytest.mark.parametrize(
    ("hook", "requests", "folios"),
    [
        # 1025 pages in folios of 512: 3 folios an event, the last of one page.
        ("none", 0, 0),
        ("conversion", 3, 9),  # 2 releases and 1 share with an inode
        ("invalidate_folio", 3, 9),
        ("free_folio", 2, 6),
        ("freed", 2, 4),  # also whole folios
        # Life-cycle events: all of the name, inode and vm -1 included; no folios.
        ("evict_begin", 2, 0),
        ("evict_end", 3, 0),
        ("inode_free", 1, 0),
        ("vm_destroy", 4, 0),
        ("region_free", 1, 0),  # at 100: before, pages 1025…4999 stayed assigned
        ("folio_1g", 1, 1),  # whatever the inode
        ("freed_1g", 2, 1),  # likewise
    ],
)
def test_hook_fires_once_per_event(hook: str, requests: int, folios: int) -> None:
    found = row(trace(*EVERY_KIND), policy(hook))
    assert (found["requests"], found["request_folios"]) == (requests, folios)


def test_hook_fires_for_an_extent_of_no_pages_and_while_snp_is_off() -> None:
    events = [ev(5, "snp_shutdown_begin"), ev(6, "snp_shutdown_end"), ev(7, "release", pages=0), ev(8, "release")]
    found = row(trace(*events), policy("free_folio"))
    assert (found["requests"], found["request_folios"], found["passes_skipped"]) == (2, 1, 2)


def test_region_free_fires_for_any_owner_by_states_and_in_covered_regions_only() -> None:
    on = host(3, window_bytes=2 * REGION_BYTES)
    events = [
        *[ev(0, "assign", region, pages=2, inode=-1) for region in range(3)],
        ev(10, "release", 0),  # one page is left
        ev(20, "release", 0, pages=2),  # falls: request 1
        ev(30, "release", 0, pages=2),  # was free before
        ev(40, "share", 1, pages=2), ev(40, "assign", 1),  # a fall and a rise at once: none
        ev(50, "assign", 0), ev(50, "release", 0),  # a rise and a fall at once: none
        ev(60, "share", 1, pages=2),  # falls: request 2
        ev(70, "release", 2, pages=2),  # region 2 is not covered: none
    ]  # fmt: skip
    assert row(trace(*events, on=on), policy("region_free"))["requests"] == 2


def test_region_free_gives_one_request_per_region() -> None:
    events = [ev(0, "assign", 0, PAGES_PER_REGION * 2), ev(10, "release", 0, PAGES_PER_REGION * 2)]
    found = row(trace(*events, on=host(2)), policy("region_free", scope="region"))
    # Both belong to the pass that starts at 10.
    assert (found["requests"], found["request_folios"], found["passes"], found["attempts_new"]) == (2, 0, 1, 2)


def test_events_at_the_horizon_do_not_exist() -> None:
    assert row(trace(*destroys(99, 100, 101), horizon=100), policy())["requests"] == 1


# Timer: fixed


@pytest.mark.parametrize(
    ("requests", "expected"),
    [
        ([1000, 1200], [1500]),  # the second joins
        ([1000, 1500], [1500]),  # exactly at the start: belongs to the pass
        ([1000, 1501], [1500, 2500]),  # due 2001, but the pass runs until 2500
        ([1000, 2400], [1500, 2900]),  # due after the end
        ([1000, 2500], [1500, 3000]),
    ],
)
def test_fixed_joins_the_pending_timer(requests: list[int], expected: list[int]) -> None:
    assert starts(trace(*destroys(*requests)), policy(timer="fixed(500 ns)")) == expected


def test_immediate_requests_during_a_pass_share_the_next() -> None:
    # The first pass is clean, 1000 long; the second cached, 100 long.
    found = starts(trace(*destroys(1000, 1000, 1001, 1500, 1999, 2000, 2101)), policy())
    assert found == [1000, 2000, 2101]


# Timer: debounce


@pytest.mark.parametrize(
    ("timer", "requests", "expected"),
    [
        ("debounce(500 ns)", [1000, 1200, 1400], [1900]),
        ("debounce(500 ns)", [1000, 1500], [1500]),  # exactly at the start: belongs, and moves nothing
        ("debounce(500 ns)", [1000, 1499], [1999]),
        ("debounce(500 ns, 700 ns)", [1000, 1400, 1600], [1700]),  # 1000 + 700, not 2100
        ("debounce(500 ns, 700 ns)", [1000, 1100], [1600]),
        ("debounce(500 ns, 200 ns)", [1000, 1100], [1200]),  # the cap holds for the first request too
        # The cap is of the batch: 1701 begins another, [1700, 2700) runs, due 2201.
        ("debounce(500 ns, 700 ns)", [1000, 1400, 1600, 1701], [1700, 2700]),
        # 1000 is due at 1300 and runs until 2300; 1400 is due at 1700 and waits; 2200 still moves it, to 2500.
        ("debounce(300 ns)", [1000, 1400, 2200], [1300, 2500]),
        ("debounce(300 ns)", [1000, 1400, 2300], [1300, 2300]),  # exactly at the waiting pass's start
        ("debounce(300 ns, 350 ns)", [1000, 1400, 2200], [1300, 2300]),  # capped at 1750: long over
        ("debounce(0 ns)", [1000, 1000], [1000]),
    ],
)
def test_debounce_moves_the_pending_timer(timer: str, requests: list[int], expected: list[int]) -> None:
    assert starts(trace(*destroys(*requests)), policy(timer=timer)) == expected


# Timer: periodic


@pytest.mark.parametrize(
    ("period", "boot", "horizon", "expected"),
    [
        (400, False, 2000, [400, 1600]),  # [400, 1400) clean: 800 and 1200 are no passes; 2000 is the horizon
        (400, False, 2001, [400, 1600, 2000]),
        (500, False, 2000, [500, 1500]),  # 1500 is the end of [500, 1500): not before it
        (600, True, 2000, [0, 1200, 1800]),  # the boot pass runs [0, 1000)
        (1000, True, 2001, [0, 1000, 2000]),
    ],
)
def test_periodic_skips_ticks_before_the_end(period: int, boot: bool, horizon: int, expected: list[int]) -> None:
    of, by = trace(horizon=horizon), policy("none", f"periodic({period} ns)", boot=boot)
    assert starts(of, by) == expected
    assert row(of, by)["passes_skipped"] == 0


def test_periodic_tick_at_the_start_of_a_boot_pass_is_no_pass() -> None:
    # The boot pass of 2000 goes first and runs until 3000.
    of = trace(ev(2000, "snp_init"), horizon=4000)
    assert starts(of, policy("none", "periodic(1000 ns)", boot=True)) == [0, 1000, 2000, 3000]
    assert starts(of, policy("none", "periodic(2000 ns)", boot=True)) == [0, 2000]


# Busy


@pytest.mark.parametrize(
    ("busy", "request_ns", "expected", "lost"),
    [
        ("rerun", 1500, [1000, 2000], 0),
        ("drop", 1001, [1000], 1),
        ("drop", 1999, [1000], 1),
        ("drop", 1000, [1000], 0),  # belongs to the pass
        ("drop", 2000, [1000, 2000], 0),  # the pass is over
    ],
)
def test_request_during_a_pass(busy: str, request_ns: int, expected: list[int], lost: int) -> None:
    of, by = trace(*destroys(1000, request_ns)), policy(busy=busy)
    assert starts(of, by) == expected
    found = row(of, by)
    assert (found["requests"], found["requests_lost"]) == (2, lost)


def test_drop_during_a_boot_pass() -> None:
    # Boot runs [0, 1000). The request at its start is not of the boot pass and not lost; that at 500 is.
    of, by = trace(*destroys(0, 500)), policy(busy="drop", boot=True)
    assert starts(of, by) == [0, 1000]
    assert row(of, by)["requests_lost"] == 1


def test_drop_loses_what_would_have_joined_a_pending_timer_too() -> None:
    # 0 is due at 1800. Boot passes: [0, 1000), whose attempt the init wastes, and [1000, 2000) for the init. 300 is
    # lost though a timer is pending, and does not move it to 2100: its pass starts as soon as boot is over.
    of = trace(ev(0, "vm_destroy"), ev(200, "snp_init"), ev(300, "vm_destroy"))
    by = policy(timer="debounce(1800 ns)", busy="drop", boot=True)
    assert starts(of, by) == [0, 1000, 2000]
    assert row(of, by)["requests_lost"] == 1


def test_requests_after_a_pass_past_the_horizon_are_lost_all_the_same() -> None:
    assert row(trace(*destroys(1000, 1400), horizon=1500), policy(busy="drop"))["requests_lost"] == 1


# Boot passes


def test_boot_passes_queue_first_in_first_out() -> None:
    # [0, 1000) is wasted: an init cuts its episode. Then one pass for each init: clean, then cached.
    of, by = trace(ev(100, "snp_init"), ev(200, "snp_init")), policy("none", boot=True)
    assert starts(of, by) == [0, 1000, 2000]
    found = row(of, by)
    assert (found["attempts_wasted"], found["attempts_new"], found["attempts_cached"]) == (1, 1, 1)


def test_every_init_has_its_own_boot_pass() -> None:
    # Two at once, in a host that is optimized by then: clean, then cached.
    assert starts(trace(ev(5000, "snp_init"), ev(5000, "snp_init")), policy("none", boot=True)) == [0, 5000, 6000]
    # At time 0, beside the one that is always there.
    assert starts(trace(ev(0, "snp_init")), policy("none", boot=True)) == [0, 1000]


def test_no_boot_pass_without_boot() -> None:
    assert starts(trace(ev(100, "snp_init")), policy("none")) == []


@pytest.mark.parametrize(
    ("timer", "requests", "expected"),
    [
        ("fixed(1500 ns)", [500], [0, 2000, 3000]),  # due 2000; boot goes first
        ("debounce(1500 ns)", [500], [0, 2000, 3000]),
        ("debounce(1500 ns)", [500, 2000], [0, 2000, 3500]),  # the timer waits behind boot: 2000 moves it
        ("fixed(1500 ns)", [500, 2000], [0, 2000, 3000]),
        ("fixed(1499 ns)", [500], [0, 1999, 2099]),  # the timer could start earlier; its attempt is cached
        ("immediate", [2000], [0, 2000, 3000]),
    ],
)
def test_boot_pass_goes_before_a_pass_of_the_timer(timer: str, requests: list[int], expected: list[int]) -> None:
    of = trace(*sorted([*destroys(*requests), ev(2000, "snp_init")]))
    assert starts(of, policy(timer=timer, boot=True)) == expected


def test_boot_pass_waiting_for_the_running_pass_goes_before_the_waiting_timer() -> None:
    # [0, 1000) boot; [1000, 1100) cached for the request at 500; the init at 1050 and the request at 1020 both wait.
    of = trace(ev(500, "vm_destroy"), ev(1020, "vm_destroy"), ev(1050, "snp_init"))
    # The pass of 1000 ends at 1100. Boot [1100, 2100), clean again after the init; then the request, cached.
    assert starts(of, policy(boot=True)) == [0, 1000, 1100, 2100]


def test_boot_pass_takes_no_requests() -> None:
    # The request at 500 waits for the end of the boot pass, then has a pass of its own.
    assert starts(trace(*destroys(500)), policy(boot=True)) == [0, 1000]


# SNP off, no regions, the horizon


def test_pass_that_would_start_while_snp_is_off_is_skipped() -> None:
    off = [ev(900, "snp_shutdown_begin"), ev(1000, "snp_shutdown_end")]
    of = trace(*sorted([*off, *destroys(999, 1000, 1500), ev(2000, "snp_init"), *destroys(2000)]))
    # 999 passes; that of 999 runs until 1999, so those of 1000 and 1500 wait until then, still off; 2000 is on again.
    assert starts(of, policy()) == [999, 2000]
    assert starts(of, policy(), "passes_skipped") == [1999]


def test_skipped_pass_takes_no_time_and_spends_its_requests() -> None:
    of = trace(ev(0, "snp_shutdown_end"), *destroys(10, 11), ev(50, "snp_init"))
    assert starts(of, policy(boot=True), "passes_skipped") == [0, 10, 11]
    assert starts(of, policy(boot=True)) == [50]


def test_skipped_boot_pass_holds_a_timer_up_for_no_time() -> None:
    # On and off within 2000 leaves SNP off: boot is skipped, the timer can still start at 2000, so that the request at
    # 2000 belongs to it and moves nothing.
    of = trace(*destroys(500), ev(2000, "snp_init"), ev(2000, "snp_shutdown_end"), *destroys(2000))
    assert starts(of, policy(timer="debounce(1500 ns)", boot=True), "passes_skipped") == [2000, 2000]


def test_skipped_periodic_ticks_count() -> None:
    of = trace(ev(50, "snp_shutdown_end"), horizon=301)
    assert starts(of, policy("none", "periodic(100 ns)"), "passes_skipped") == [100, 200, 300]


def test_empty_pass_ends_at_once_and_spends_its_requests() -> None:
    # Gate free and a busy host: nothing to visit.
    of = trace(ev(0, "assign"), *destroys(100, 100, 101))
    by = policy(gate="free")
    assert starts(of, by, "passes_empty") == [100, 101]
    found = row(of, by)
    assert (found["passes"], found["attempts"], found["scan_wall_ns"]) == (0, 0, 0)


@pytest.mark.parametrize(("horizon", "passes"), [(1000, 0), (1001, 1)])
def test_pass_at_the_horizon_never_starts(horizon: int, passes: int) -> None:
    found = row(trace(*destroys(500), horizon=horizon), policy(timer="fixed(500 ns)"))
    assert (found["requests"], found["passes"], found["scan_wall_ns"]) == (1, passes, passes * 1000)
