"""jobs/cases/: small situations, each with figures that follow by arithmetic, on every engine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from gmemgpu.engine.registry import available_engines
from gmemgpu.generator import generate
from gmemgpu.sweeping.run.plan import make_plan
from gmemgpu.sweeping.run.shard import shard_rows
from gmemgpu.sweeping.spec import read_spec
from gmemgpu.sweeping.spec.expectation import check_expectations
from gmemgpu.trace.warn import trace_doubts

SPECS = sorted((Path(__file__).parents[2] / "jobs" / "cases").glob("*.toml"))

# Hundreds of regions: the reference has an array for each and counts all its pages anew, in seconds. An emulated device
# runs the threads of a timeline one after another: minutes for the two whose regions change one by one.
LARGE = {"first-page", "last-page", "past-the-delay", "every-9-s"}
NOT_EMULATED = {"past-the-delay", "every-9-s"}


def pairs() -> list[ParameterSet]:
    found = []
    for path in SPECS:
        for engine in available_engines():
            if engine.name == "cupy" and "strict_cupy" in sys.modules and path.stem in NOT_EMULATED:
                continue
            marks = [pytest.mark.slow] if engine.name == "reference" and path.stem in LARGE else []
            found.append(pytest.param(path, engine.name, id=f"{path.stem}-{engine.name}", marks=marks))
    return found


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_a_case_means_what_its_events_say(path: Path) -> None:
    for scenario in read_spec(path).scenarios:
        assert trace_doubts(generate(scenario.workload, seed=0).trace) == []


@pytest.mark.parametrize(("path", "engine"), pairs())
def test_a_case_gives_the_figures_that_it_expects(path: Path, engine: str) -> None:
    spec = read_spec(path)
    plan = make_plan(spec, engine)
    found, _ = shard_rows(plan.shards, plan.setting)
    checked = check_expectations(spec.expect, [row for rows in found for row in rows])
    assert checked.n_figures
    assert checked.unmet == ()
