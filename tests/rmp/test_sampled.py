"""Which images count, and what they say together. Answers by hand in comments."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
from by_hand import ev, host, trace
from hypothesis import given
from hypothesis import strategies as st

from gmemgpu.model.region_scan import RegionScan
from gmemgpu.model.rmp_figure import RMP_FIGURE_NAMES
from gmemgpu.rmp.sampled import ImageTimes, counted_times, rmp_figures

COUNTS = st.sampled_from([0, 0, 1, 2, 16, 17, 512, 513, 262_144])


def scan_of(assigned: list[list[int]]) -> RegionScan:
    pages = np.array(assigned, np.int32)
    return RegionScan(pages, np.where(pages > 0, 0, -1).astype(np.int16))


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (ImageTimes(every_ns=10), [20, 30, 40]),  # multiples from the warm-up to before the horizon
        (ImageTimes(every_ns=15), [30, 45]),
        (ImageTimes(every_ns=60), []),
        (ImageTimes(at_ns=(20, 49, 50, 19, 20)), [20, 49]),
        (ImageTimes(every_ns=20, at_ns=(33, 40)), [20, 33, 40]),
    ],
)
def test_images_count_from_the_warm_up_to_the_horizon(times: ImageTimes, expected: list[int]) -> None:
    assert times.between(20, 50) == expected
    assert counted_times(trace(horizon=50, warmup=20), times) == expected


def test_a_period_begins_with_itself_and_not_with_nothing() -> None:
    assert ImageTimes(every_ns=10).between(0, 31) == [10, 20, 30]


def test_images_do_not_count_while_snp_is_off() -> None:
    of = trace(ev(10, "snp_shutdown_begin"), ev(20, "snp_shutdown_end"), ev(40, "snp_init"), horizon=60)
    # The state at a time is that after its events: off at 20, on again at 40.
    assert counted_times(of, ImageTimes(every_ns=10)) == [10, 40, 50]


def test_figures_add_up_over_images() -> None:
    found = rmp_figures(scan_of([[0, 0, 1, 0, 0, 0], [0, 5, 16, 512, 9000, 0]]))
    assert found == {
        "rmp_images": 2,
        "rmp_regions": 12,
        "rmp_free_regions": 5 + 2,
        "rmp_free_regions_least": 2,
        "rmp_free_run_regions": 3 + 1,
        "rmp_blocked_1_regions": 1,
        "rmp_blocked_1_pages": 1,
        "rmp_blocked_16_regions": 1 + 2,
        "rmp_blocked_16_pages": 1 + 5 + 16,
        "rmp_blocked_512_regions": 1 + 3,
        "rmp_blocked_512_pages": 1 + 5 + 16 + 512,
    }
    assert tuple(found) == RMP_FIGURE_NAMES


def test_a_region_in_a_hole_is_not_free_and_ends_a_run() -> None:
    holes = host(6, holes=[[262_144, 262_144]]).hole_regions()
    found = rmp_figures(scan_of([[0, 0, 0, 0, 1, 0]]), holes)
    assert (found["rmp_regions"], found["rmp_free_regions"], found["rmp_free_run_regions"]) == (5, 4, 2)


def test_without_images_there_is_no_least() -> None:
    found = rmp_figures(RegionScan(np.empty((0, 3), np.int32), np.empty((0, 3), np.int16)))
    assert found == dict.fromkeys(RMP_FIGURE_NAMES, 0) | {"rmp_free_regions_least": -1}


@given(assigned=st.integers(1, 5).flatmap(lambda n: st.lists(st.lists(COUNTS, min_size=n, max_size=n), min_size=1)))
def test_figures_are_those_of_a_count_by_hand(assigned: list[list[int]]) -> None:
    free = [[pages == 0 for pages in image] for image in assigned]
    runs = [max((len(list(run)) for is_free, run in groupby(image) if is_free), default=0) for image in free]
    found = rmp_figures(scan_of(assigned))
    assert found["rmp_free_regions"] == sum(map(sum, free))
    assert found["rmp_free_regions_least"] == min(map(sum, free))
    assert found["rmp_free_run_regions"] == sum(runs)
    for most in (1, 16, 512):
        near = [pages for image in assigned for pages in image if 0 < pages <= most]
        assert found[f"rmp_blocked_{most}_regions"] == len(near)
        assert found[f"rmp_blocked_{most}_pages"] == sum(near)
