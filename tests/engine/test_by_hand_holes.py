"""MODEL.md section 3, holes: a region wholly inside is nobody's, any other is like all. Answers by hand in comments."""

from __future__ import annotations

import pytest
from by_hand import ev, host, policy, row, trace

from gmemgpu.model.host import Host
from gmemgpu.model.policy import ORACLE
from gmemgpu.units import PAGES_PER_REGION, REGION_BYTES

R = PAGES_PER_REGION
BOOT = policy("none", boot=True)


def test_a_region_in_a_hole_counts_nowhere() -> None:
    on = host(3, holes=[[R, R]])
    of = trace(ev(0, "use", 2, pages=10), horizon=10_000, on=on)
    found, bound = row(of, BOOT), row(of, ORACLE)
    # The boot pass goes from region 0 to 2: bits at 1000 and 2000.
    assert (found["optimizable_ns"], found["passes"], found["attempts_new"]) == (20_000, 1, 2)
    assert (found["optimized_ns"], found["optimized_core_ns"]) == (9000 + 8000, 4 * 17_000)
    assert (found["in_use_ns"], found["in_use_optimized_core_ns"]) == (100_000, 4 * 10 * 8000)
    assert (bound["optimizable_ns"], bound["optimized_ns"]) == (20_000, 20_000)


def test_episodes_beside_a_hole() -> None:
    events = [ev(0, "assign", 0), ev(0, "assign", 2), ev(500, "release", 0), ev(500, "release", 2)]
    found = row(trace(*events, on=host(3, holes=[[R, R]])), policy("region_free", scope="region"))
    assert (found["requests"], found["episodes"], found["attempts"], found["latency_max_ns"]) == (2, 2, 2, 2000)


@pytest.mark.parametrize(
    ("on", "regions"),
    [
        (host(3, holes=[[R + 1, R - 1]]), 3),  # a page of memory is left
        (host(3, holes=[[R - 7, 2 * R + 7]]), 1),  # two regions, and a part of another
        (host(3, holes=[[3 * R // 2, R // 2], [R, R // 2]]), 2),  # two holes that touch
        (host(3, holes=[[R, R - 1], [R + 9, R - 9], [R, R]]), 2),  # and that overlap
        (host(memory_bytes=REGION_BYTES + 3 * 4096, holes=[[R, 3]]), 1),  # all that the last region has
        (host(memory_bytes=REGION_BYTES + 3 * 4096, holes=[[R, 2]]), 2),
        (host(2, holes=[[0, 2 * R]]), 0),
    ],
)
def test_only_regions_without_any_memory_are_nobodys(on: Host, regions: int) -> None:
    found = row(trace(horizon=1000, on=on), BOOT)
    assert (found["optimizable_ns"], found["attempts"]) == (1000 * regions, regions)
    assert (found["passes"], found["passes_empty"]) == ((1, 0) if regions else (0, 1))


def test_windows_begin_where_they_would_without_holes() -> None:
    # Two cores a node, a table of one region: those of node 1 describe region 2, which is a hole.
    on = host(4, nodes=2, window="node", window_bytes=REGION_BYTES, holes=[[2 * R, R]])
    found = row(trace(horizon=10_000, on=on), BOOT)
    assert (found["attempts"], found["ipis"], found["optimizable_ns"]) == (1, 1, 30_000)
