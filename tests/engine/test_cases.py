"""jobs/cases/: small situations, each with figures that follow by arithmetic, on every engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from gmemgpu.engine.registry import available_engines
from gmemgpu.sweeping.run.plan import make_plan
from gmemgpu.sweeping.run.shard import shard_rows
from gmemgpu.sweeping.spec import read_spec
from gmemgpu.sweeping.spec.expectation import check_expectations

SPECS = sorted((Path(__file__).parents[2] / "jobs" / "cases").glob("*.toml"))

# The reference has an array for each region that a trace touches, and counts all its pages anew; an emulated device
# takes a thousand passes over two thousand regions one thread after another.
LARGE = {"first-page", "last-page", "past-the-delay", "every-9-s"}


@pytest.mark.parametrize(
    ("path", "engine"),
    [
        pytest.param(
            path,
            engine.name,
            id=f"{path.stem}-{engine.name}",
            marks=[pytest.mark.slow] if engine.name in ("reference", "cupy") and path.stem in LARGE else [],
        )
        for path in SPECS
        for engine in available_engines()
    ],
)
def test_a_case_gives_the_figures_that_it_expects(path: Path, engine: str) -> None:
    spec = read_spec(path)
    plan = make_plan(spec, engine)
    found, _ = shard_rows(plan.shards, plan.setting)
    checked = check_expectations(spec.expect, [row for rows in found for row in rows])
    assert checked.n_figures
    assert checked.unmet == ()
