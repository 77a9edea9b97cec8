"""A run in words: golden texts of a small one, and what holds for any."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from by_hand import COSTS, ev, host, policy, trace
from hypothesis import given, settings
from hypothesis import strategies as st
from two_teardowns import two_teardowns

from gmemgpu.catalogue import choose_policies, named_policies
from gmemgpu.engine.registry import engine
from gmemgpu.explain.region_text import region_lines
from gmemgpu.explain.replay import record_run
from gmemgpu.explain.run_json import write_run
from gmemgpu.explain.run_text import moment_lines, run_lines
from gmemgpu.model.cost import Costs
from gmemgpu.model.policy import Policy
from gmemgpu.model.trace import Trace
from gmemgpu.testing.strategies import policies, traces

(V10,) = choose_policies(["v10"], named_policies())

PASSES_1_2 = """\
pass 1 at 15.000 s, for 1 request
  5.000 s  vm_destroy of VM 1: sets the timer, due 15.000 s
  visits 4 regions in 290 us: 1 set, 3 busy (1 still converting)
  set         0
  busy        1: 262,144 pages of VM 1, still converting
  busy        2: 262,144 pages of VM 2
  busy        3: 1 page of VM 2, of no guest_memfd

pass 2 at 45.000 s, for 2 requests
  30.000 s  vm_destroy of VM 2: sets the timer, due 40.000 s
  35.000 s  vm_destroy of VM 3: puts the timer off, due 45.000 s
  visits 4 regions in 501.3 us: 3 set, 1 busy
  set         0-1, 3
  busy        2: 262,144 pages of VM 4
"""
RUN = f"""\
v10: hook vm_destroy, timer debounce(10 s), busy rerun, scope window, gate all,
  executor leader_followers, a boot pass.
3 requests: 2 set the timer, 1 put it off.
3 passes ran: 1 at boot, 2 on request.

pass 0 at 0.000 s, after boot or SNP_INIT; in the warm-up, not counted
  visits 4 regions in 184.4 us: 4 busy
  busy        0: 262,144 pages of VM 1
  busy        1: 262,144 pages of VM 1
  busy        2: 262,144 pages of VM 2
  busy        3

{PASSES_1_2}"""
REGION_2 = """\
region 2, covered by 4 cores
0.000 s  busy for 30.5 s: VM 2
    1 pass before it; pass 1 at 15.000 s found 262,144 pages of VM 2
30.500 s  free for 12.5 s: never optimized: later requests put the pass off past
  its end (35.000 s vm_destroy of VM 3)
43.000 s  busy for 17 s to the horizon: VM 4
    pass 2 at 45.000 s found 262,144 pages of VM 4
"""
REGION_1 = """\
region 1, covered by 4 cores
0.000 s  busy for 16 s: VM 1
    1 pass before it; pass 1 at 15.000 s found 262,144 pages of VM 1, still
      converting
16.000 s  free for 44 s to the horizon: set by pass 2 at 45.000 s, 29 s after it
  began
"""
AT_36_S = f"""\
At 36.000 s regions are: 4 free and not optimized.
No pass runs.
A pass is due at 45.000 s, for 2 requests, put off 1 time so far.

{PASSES_1_2}"""


def text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


def test_a_run() -> None:
    assert text(run_lines(record_run(two_teardowns(), V10, Costs()))) == RUN


@pytest.mark.parametrize(("region", "expected"), [(1, REGION_1), (2, REGION_2)])
def test_the_life_of_a_region(region: int, expected: str) -> None:
    assert text(region_lines(record_run(two_teardowns(), V10, Costs()), region)) == expected


def test_a_region_at_a_time() -> None:
    found = region_lines(record_run(two_teardowns(), V10, Costs()), 0, t_ns=10**9)
    assert [line.split("  ")[0] for line in found if line[0].isdigit()] == ["0.000 s", "6.000 s"]


def test_a_moment() -> None:
    assert text(moment_lines(record_run(two_teardowns(), V10, Costs()), 36 * 10**9)) == AT_36_S


def test_long_runs_are_cut_in_the_middle() -> None:
    # A request each 10 us, for a thousand passes; the first finds the region free, and then it is set.
    of = trace(*(ev(10_000 * i, "vm_destroy", vm=i, inode=-1) for i in range(1, 1001)), horizon=11_000_000)
    record = record_run(of, policy(), COSTS)
    found = run_lines(record)
    assert len(found) < 60
    assert "... 990 passes left out; --all shows them, --time those around a time" in found
    assert any(line.startswith("pass 0 ") for line in found)
    assert any(line.startswith("pass 999 ") for line in found)
    assert sum(line.startswith("pass ") for line in run_lines(record, whole=True)) == 1000


def test_requests_that_are_lost_or_come_to_nothing() -> None:
    of = trace(
        ev(1000, "vm_destroy", vm=1, inode=-1),
        ev(1500, "vm_destroy", vm=2, inode=-1),
        ev(90_000, "vm_destroy", vm=3, inode=-1),
        on=host(2),
    )
    found = text(run_lines(record_run(of, policy(timer="fixed(20 us)", busy="drop"), Costs())))
    assert "pass 0 at 21,000 ns, for 2 requests\n" in found
    assert "  1,500 ns  vm_destroy of VM 2: joins the pass due 21,000 ns\n" in found
    assert "lost, since a pass ran: 1 request\n  90,000 ns  vm_destroy of VM 3: is lost, since a pass runs\n" in found
    found = text(run_lines(record_run(of, policy(timer="fixed(20 us)"), Costs())))
    assert "at the horizon a pass is still due\n  90,000 ns  vm_destroy of VM 3: sets the timer" in found


def test_what_made_a_region_free_is_named() -> None:
    refcount, dirty = choose_policies(["refcount", "dirty_1s"], named_policies())
    found = text(run_lines(record_run(two_teardowns(), refcount, Costs())))
    assert "  6.000 s  region 0 became free by release of VM 1, inode 1: sets the timer, due\n    6.000 s\n" in found
    assert "  31.000 s  region 3 became free by release of VM 2: sets the timer, due\n    31.000 s\n" in found
    assert "  no region is left for it by scope, gate and window\n" in found
    found = text(run_lines(record_run(two_teardowns(), dirty, Costs())))
    assert "  6.000 s  release of VM 1, inode 1, 262,144 pages in region 0: sets the timer,\n" in found


def test_hazards() -> None:
    of = trace(
        ev(1000, "snp_shutdown_begin"),
        ev(1500, "vm_destroy", vm=1, inode=-1),
        ev(2000, "snp_shutdown_end"),
        ev(3000, "kvm_unload"),
        ev(4000, "vm_destroy", vm=2, inode=-1),
    )
    found = text(run_lines(record_run(of, policy(), COSTS)))
    assert "pass 0 at 1,500 ns, for 1 request; a hazard: SNP is shut down meanwhile\n" in found
    assert "1,500 ns  vm_destroy of VM 1: sets the timer, due 1,500 ns; a hazard: SNP is" in found
    assert "4,000 ns  vm_destroy of VM 2: sets the timer, due 4,000 ns; a hazard: KVM is" in found
    assert "  skipped: SNP is off; its requests are spent\n" in found


HALF = settings(max_examples=settings.default.max_examples // 2)


@HALF
@given(trace=traces(), policy=policies(), region=st.integers(0, 100), at=st.integers(0, 100))
def test_any_run_fits_80_columns_of_ascii(trace: Trace, policy: Policy, region: int, at: int) -> None:
    record = record_run(trace, policy, Costs())
    region, t_ns = region * trace.host.n_regions // 101, at * trace.horizon_ns // 101
    for lines in (
        run_lines(record),
        run_lines(record, whole=True),
        region_lines(record, region),
        region_lines(record, region, t_ns=t_ns),
        moment_lines(record, t_ns),
    ):
        assert lines
        assert all(len(line) <= 80 and line.isascii() and line == line.rstrip() for line in lines)


@HALF
@given(trace=traces(), policy=policies())
def test_json_holds_what_the_metrics_count(trace: Trace, policy: Policy) -> None:
    (row,) = engine("reference").evaluate([trace], [policy], Costs())[0]
    file = io.StringIO()
    write_run(record_run(trace, policy, Costs()), file)
    found = json.loads(file.getvalue())
    counted = [one for one in found["episodes"] if one["counted"]]
    assert {name: found[name] for name in ("reoptimized", "overtaken", "never")} == {
        name: row[name] for name in ("reoptimized", "overtaken", "never")
    }
    assert len(counted) == row["episodes"]
    assert sum("reason" in one for one in counted) == row["overtaken"] + row["never"]
    assert sum(one["t_ns"] >= trace.warmup_ns for one in found["requests"]) == row["requests"]
    ran = [one for one in found["passes"] if one["state"] == "ran" and one["start_ns"] >= trace.warmup_ns]
    assert len(ran) == row["passes"]
    visits = [visit for one in ran for visit in one["visits"]]
    for outcome in ("new", "cached", "failed", "wasted"):
        assert sum(visit["outcome"] == outcome for visit in visits) == row[f"attempts_{outcome}"]
    assert sum(visit["early"] for visit in visits) == row["attempts_early"]


def test_json_of_a_region_at_a_time() -> None:
    file = io.StringIO()
    write_run(record_run(two_teardowns(), V10, Costs()), file, region=2, t_ns=36 * 10**9)
    found = json.loads(file.getvalue())
    assert [one["pass"] for one in found["passes"]] == [1, 2]
    assert [[visit["region"] for visit in one["visits"]] for one in found["passes"]] == [[2], [2]]
    assert [one["fate"] for one in found["requests"]] == ["armed", "armed", "moved"]
    (episode,) = found["episodes"]
    assert (episode["region"], episode["reason"], episode["by_request"]) == (2, "put_off", 2)
    assert np.isclose(episode["end_ns"] - episode["begin_ns"], 12.5e9)
