"""Figures that a spec expects of its sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gmemgpu.cli.main import main
from gmemgpu.errors import SpecError
from gmemgpu.sweeping.spec import read_spec
from gmemgpu.sweeping.spec.expectation import Expectation, check_expectations

SPEC: dict[str, Any] = {
    "policies": ["v10"],
    "scenario": [{"name": "small"}, {"name": "large", "host": {"memory_bytes": "8 GiB"}}],
    "workload": {"host": {"memory_bytes": "4 GiB", "nodes": 1}, "horizon_ns": "1 min", "event": []},
}
ROWS = [
    {"label": "small", "seed": 0, "policy": "v10", "attempts": 4},
    {"label": "large", "seed": 0, "policy": "v10", "attempts": 8},
    {"label": "large", "seed": 0, "policy": "oracle", "attempts": 0},
]


def expected(**table: Any) -> tuple[Expectation, ...]:
    return read_spec({**SPEC, "expect": [{"policy": "v10", **table}]}).expect


def test_a_figure_is_expected_of_every_scenario_or_of_one() -> None:
    found = check_expectations(expected(attempts=8), ROWS)
    assert found.n_figures == 2
    assert found.unmet == ('scenario "small", seed 0, v10: attempts is 4, expected 8',)
    assert check_expectations(expected(attempts=8, scenario="large"), ROWS).unmet == ()


@pytest.mark.parametrize(("bounds", "n_unmet"), [([4, 8], 0), ([5, 8], 1), ([4, 7], 1), ([5, 7], 2)])
def test_bounds_are_inclusive(bounds: list[int], n_unmet: int) -> None:
    assert len(check_expectations(expected(attempts=bounds), ROWS).unmet) == n_unmet


def test_expectations_do_not_make_another_sweep() -> None:
    assert read_spec({**SPEC, "expect": [{"policy": "v10", "passes": 1}]}).canonical == read_spec(SPEC).canonical


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "expect[0].policy: is missing; name one"),
        ({"policy": "v11"}, "expect[0].policy: 'v11' is no policy of this sweep; "),
        ({"policy": "v2"}, "expect[0].policy: 'v2' is no policy of this sweep; "),
        ({"policy": "v10", "scenario": "smal"}, "expect[0].scenario: 'smal' is no scenario of this sweep; "),
        ({"policy": "v10", "atempts": 1}, 'expect[0].atempts: unknown key; did you mean "attempts"?'),
        ({"policy": "v10", "attempts": 1.5}, "expect[0].attempts: 1.5 is no figure; write an integer, or "),
        ({"policy": "v10", "attempts": [1, 2, 3]}, "expect[0].attempts: [1, 2, 3] is no figure; "),
    ],
)
def test_mistakes_are_named(table: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        read_spec({**SPEC, "expect": [table]})
    assert message in str(caught.value)


def test_the_command_says_whether_they_came_true(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (
        'policies = ["v10"]\n[workload]\nevent = []\nhorizon_ns = "1 min"\n'
        'host = { memory_bytes = "4 GiB", nodes = 1 }\n[[expect]]\npolicy = "v10"\nattempts = 4\npasses = '
    )
    for passes, code in ((1, 0), (2, 1)):
        spec = tmp_path / "s.toml"
        spec.write_text(f"{text}{passes}\n")
        assert main(["sweep", str(spec), "-o", str(tmp_path / "out"), "--workers", "1"]) == code
        said = capsys.readouterr().err.splitlines()
        assert said[-1] == f"{3 - passes} of 2 figures as {spec} expects them"
    assert said[-2] == f'gmemgpu: {spec}: scenario "workload", seed 0, v10: passes is 1, expected 2'
