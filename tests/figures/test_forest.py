from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gmemgpu.figures.forest import forest
from gmemgpu.report.comparison import Comparison, compare


def comparisons(store: Path, metric: str) -> list[Comparison]:
    return list(compare(store, quantities=[metric]).groups[0].comparisons)


def test_a_forest_has_the_differences_of_the_comparison(store: Path) -> None:
    found = comparisons(store, "coverage")
    spec = forest(found, found[0].quantity, "v10", title="pods")
    rows = {row["policy"]: row for row in spec["data"]["values"]}
    assert list(rows) == [one.policy for one in found]
    for one in found:
        assert one.found is not None
        row = rows[one.policy]
        assert row["difference"] == pytest.approx(100 * one.found.difference)
        assert row["high"] - row["low"] == pytest.approx(200 * (one.found.half_width or 0))
        assert row["wtl"] == f"{one.wins}/{one.found.ties}/{one.losses}"
        assert row["low_at"] <= row["difference_at"] <= row["high_at"]


def test_differences_of_several_decades_are_told_apart(store: Path) -> None:
    found = comparisons(store, "core_s")
    small = forest(found, found[0].quantity, "v10", title="pods")
    sizes = sorted(abs(row["difference"]) for row in small["data"]["values"])
    assert sizes[-1] < 20 * sizes[len(sizes) // 2]
    # Linear as long as none dwarfs the others.
    assert all(row["difference_at"] == row["difference"] for row in small["data"]["values"])
    assert found[0].found is not None
    far = replace(found[0], policy="dear", found=replace(found[0].found, difference=1e4 * sizes[-1]))
    rows = {r["policy"]: r for r in forest([far, *found], far.quantity, "v10", title="pods")["data"]["values"]}
    assert rows["dear"]["difference_at"] < 10
    order = sorted(rows.values(), key=lambda row: row["difference"])
    assert [row["difference_at"] for row in order] == sorted(row["difference_at"] for row in order)
    assert rows[found[1].policy]["difference_at"] * rows[found[1].policy]["difference"] >= 0


@pytest.mark.parametrize(
    ("mean", "half_width", "text"),
    [
        (2.3e-6, 4.1e-6, "+0.0002 ±0.0004"),
        (-2e-7, 3e-8, "−0.000020 ±0.000003"),
        (0.4, 3e-6, "+40.0000 ±0.0003"),
        (2e-12, 3e-12, "0.000000 ±<0.000001"),
        (4e-5, 0.0, "+0.004"),
        (4e-6, 0.0, "+0.0004"),
        (0.011, 0.0123, "+1.1 ±1.2"),
    ],
)
def test_small_differences_show_their_first_digit(store: Path, mean: float, half_width: float, text: str) -> None:
    one = comparisons(store, "coverage")[0]
    assert one.found is not None
    small = replace(one, found=replace(one.found, difference=mean, low=mean - half_width, high=mean + half_width))
    (row,) = forest([small], small.quantity, "v10", title="pods")["data"]["values"]
    assert row["text"] == text
