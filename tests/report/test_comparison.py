from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest

from gmemgpu.cli.main import main
from gmemgpu.errors import SpecError
from gmemgpu.metrics.quantity import MORE_QUANTITIES, QUANTITIES
from gmemgpu.metrics.table import metric_arrow_type
from gmemgpu.report import comparison
from gmemgpu.report.comparison import Comparison, ComparisonTable, comparison_table
from gmemgpu.report.comparison_grid import compact_lines
from gmemgpu.report.comparison_text import comparison_lines
from gmemgpu.report.export import comparison_json
from gmemgpu.sweeping.store.read import StoredRows

METRICS = sorted({name for one in (*QUANTITIES, *MORE_QUANTITIES) for name in one.columns} - {"cores"})
WIDE = 2**70


def row(label: str, seed: int, policy: str, share: float, **metrics: int) -> dict[str, Any]:
    """One row in which a policy recovers `share` of what is free."""
    return {
        "label": label,
        "preset": "p",
        "seed": seed,
        "policy": policy,
        "cores": 4,
        **dict.fromkeys(METRICS, 0),
        "optimizable_ns": 8 * WIDE,
        "optimized_core_ns": int(share * 32) * WIDE,
        "in_use_optimized_core_ns": int(share * 32) * WIDE,
        **metrics,
    }


def stored(rows: Sequence[dict[str, Any]], n_parts: int = 1) -> StoredRows:
    columns = {
        name: pa.array([row[name] for row in rows], metric_arrow_type(name) if name in METRICS else None)
        for name in rows[0]
    }
    return StoredRows(name="test", table=pa.table(columns), axes=(), n_parts=n_parts, n_parts_done=1)


# Three seeds that differ from each other far more than the policies do.
ROWS = [
    row(label, seed, policy, share[seed], never=never[seed])
    for label in ("a", "b")
    for policy, share, never in (
        ("slow", (0.25, 0.5, 0.75), (10, 200, 3000)),
        ("v10", (0.25, 0.5, 0.75), (13, 204, 3005)),
        ("fast", (0.5, 0.75, 1.0), (10, 204, 3006)),
        ("oracle", (1.0, 1.0, 1.0), (0, 0, 0)),
    )
    for seed in range(3)
]


def one(table: ComparisonTable, policy: str, quantity: str, group: int = 0) -> Comparison:
    (found,) = (
        found for found in table.groups[group].comparisons if found.policy == policy and found.quantity.key == quantity
    )
    return found


def test_differences_are_taken_on_the_same_traces() -> None:
    found = one(comparison_table(stored(ROWS)), "slow", "never")
    assert found.found is not None
    # −3, −4, −5: the median, which three seeds do not bound.
    assert (found.found.value, found.found.baseline) == (200.0, 204.0)
    assert (found.found.difference, found.found.n, found.found.half_width) == (-4.0, 3, None)
    assert (found.wins, found.found.ties, found.losses) == (3, 0, 0)


def test_the_baseline_is_the_applied_policy_else_v10_else_the_first() -> None:
    renamed = [{**one, "policy": one["policy"].replace("v10", "merged")} for one in ROWS]
    others = [{**one, "policy": one["policy"].replace("v10", "third")} for one in ROWS]
    assert comparison_table(stored(ROWS)).baseline == "v10"
    assert comparison_table(stored(renamed)).baseline == "merged"
    assert comparison_table(stored(others)).baseline == "slow"
    assert comparison_table(stored(ROWS), baseline="fast").baseline == "fast"


def test_neither_the_baseline_nor_the_bound_is_compared_unless_asked() -> None:
    def policies(**options: Any) -> list[str]:
        (first, _) = comparison_table(stored(ROWS), quantities=["never"], **options).groups
        return [found.policy for found in first.comparisons]

    assert policies() == ["slow", "fast"]
    assert policies(policies=["fast", "oracle", "v10"]) == ["fast", "oracle"]


def test_a_group_of_scenarios_counts_each_seed_once_and_ratios_are_of_sums() -> None:
    rows = [row_ for row_ in ROWS if (row_["label"], row_["seed"]) != ("b", 2)]
    (group,) = comparison_table(stored(rows), group_by=["preset"]).groups
    assert (group.n_scenarios, group.n_seeds) == (2, 3)
    (found,) = (each.found for each in group.comparisons if (each.policy, each.quantity.key) == ("fast", "coverage"))
    assert found is not None
    # Two traces of seeds 0 and 1, one of seed 2.
    assert (found.value, found.n) == (pytest.approx((0.5 + 0.5 + 0.75 + 0.75 + 1.0) / 5), 3)
    assert found.difference == pytest.approx(0.25)


def test_verdicts_go_by_direction_and_by_holm() -> None:
    table = comparison_table(stored(ROWS), quantities=["coverage", "never", "core_s"])
    assert one(table, "slow", "coverage").verdict == "same"
    assert one(table, "fast", "core_s").verdict == "same"
    # t = −4√3 = −6.93 with 2 degrees of freedom: p = 0.0202, of a median twice that: clear by itself, not among six.
    alone = comparison_table(stored(ROWS), policies=["slow"], quantities=["never"])
    assert one(alone, "slow", "never").verdict == "better"
    turned = comparison_table(stored(ROWS), baseline="slow", policies=["v10"], quantities=["never"])
    assert one(turned, "v10", "never").verdict == "worse"
    among = one(table, "slow", "never")
    assert (among.verdict, among.found is not None and among.found.p) == ("can't tell", pytest.approx(0.0404, abs=1e-4))
    assert among.p_adjusted == pytest.approx(6 * 0.0404, abs=6e-4)
    assert among.seeds is not None
    assert 3 < among.seeds < 20


def test_what_does_not_exist_is_a_dash() -> None:
    found = one(comparison_table(stored(ROWS), quantities=["ipis_per_region"]), "fast", "ipis_per_region")
    assert (found.found, found.verdict, found.seeds) == (None, "–", None)


def test_every_unknown_name_is_reported() -> None:
    with pytest.raises(SpecError) as caught:
        comparison_table(stored(ROWS), baseline="v1O", group_by=["presets"], policies=["fats"], quantities=["nevr"])
    assert [str(problem) for problem in caught.value.problems] == [
        '--baseline: "v1O": unknown name; did you mean "v10"?',
        '--group-by: "presets": unknown name; did you mean "preset"?',
        '--policy: "fats": unknown name; did you mean "fast"?',
        '--metric: "nevr": unknown name; did you mean "never"?',
    ]
    with pytest.raises(SpecError, match='"v10" is the only policy; there is nothing to hold against it'):
        comparison_table(stored([each for each in ROWS if each["policy"] in ("v10", "oracle")]))


def test_a_plain_metric_is_compared_by_its_name() -> None:
    rows = [{**each, "passes": each["seed"] + (each["policy"] == "fast")} for each in ROWS]
    table = comparison_table(stored(rows), policies=["fast"], quantities=["passes"])
    found = one(table, "fast", "passes").found
    assert found is not None
    assert (found.difference, found.value) == (1.0, 2.0)


def test_the_text_is_exact_and_narrow() -> None:
    table = comparison_table(stored(ROWS, n_parts=2), group_by=["preset"], quantities=["coverage", "never"])
    lines = list(comparison_lines(table))
    assert lines[:12] == [
        "preset=p (2 scenarios) · 3 seeds",
        "",
        "coverage [%]  value  less v10  W/T/L  verdict",
        "v10              50",
        "slow             50         0  0/3/0  same",
        "fast             75       +25  3/0/0  can't tell (5)",
        "",
        "never  value  less v10  W/T/L  verdict",
        "v10      204",
        "slow     200        −4  3/0/0  can't tell (4)",
        "fast     204         0  1/1/1  can't tell (–)",
        "",
    ]
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "Not finished: 1 of 2 parts; run the sweep again to go on."


def test_long_names_break_out_and_no_figure_does() -> None:
    long = "a_policy_with_a_name_of_more_than_forty_letters_and_then_some"
    rows = [{**each, "policy": each["policy"].replace("fast", long)} for each in ROWS]
    table = comparison_table(stored(rows), quantities=["never", "coverage", "core_s"])
    for lines in (list(comparison_lines(table, 72)), compact_lines(table.groups[0], table.baseline, 60)):
        assert all(len(line) <= 72 or line == long for line in lines)
        assert long in lines


def test_the_compact_table_has_a_column_a_quantity() -> None:
    table = comparison_table(stored(ROWS), quantities=["coverage", "never", "ipis_per_region"])
    assert compact_lines(table.groups[0], table.baseline) == [
        "     coverage [%]   never   IPIs/region",
        "v10            50     204             –",
        "slow            0 =    −4 ?           –",
        "fast          +25 ?     0 ?           –",
    ]


def test_the_command_prints_differences_as_text_and_as_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(comparison, "read_rows", lambda directory, columns: stored(ROWS))
    assert main(["show", "results", "--baseline", "--metric", "never"]) == 0
    assert "less v10" in capsys.readouterr().out
    assert main(["show", "results", "--baseline", "slow", "--json"]) == 0
    told = capsys.readouterr().out
    assert told == comparison_json(comparison_table(stored(ROWS), baseline="slow")) + "\n"
    first = json.loads(told)["groups"][0]["comparisons"][0]
    assert (first["quantity"], first["policy"], first["difference"], first["verdict"]) == ("coverage", "v10", 0, "same")
    assert (first["n"], first["wins"], first["ties"], first["losses"]) == (3, 0, 3, 0)


def test_options_that_do_not_go_together(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "results", "--baseline", "--csv", "--sort", "never"]) == 2
    told = capsys.readouterr().err
    assert "--sort: differences stay in the order of the policies; leave it out" in told
    assert "--csv: holds no differences; use --json" in told
    assert main(["show", "results", "--baseline", "--pivot", "seed"]) == 2
    assert "--pivot: holds no differences; use --group-by" in capsys.readouterr().err
