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
        assert row["mean"] == pytest.approx(100 * one.found.mean)
        assert row["high"] - row["low"] == pytest.approx(200 * (one.found.half_width or 0))
        assert row["wtl"] == f"{one.wins}/{one.found.ties}/{one.losses}"
        assert row["low_at"] <= row["mean_at"] <= row["high_at"]


def test_differences_of_several_decades_are_told_apart(store: Path) -> None:
    found = comparisons(store, "core_s")
    small = forest(found, found[0].quantity, "v10", title="pods")
    sizes = sorted(abs(row["mean"]) for row in small["data"]["values"])
    assert sizes[-1] < 20 * sizes[len(sizes) // 2]
    # Linear as long as none dwarfs the others.
    assert all(row["mean_at"] == row["mean"] for row in small["data"]["values"])
    assert found[0].found is not None
    far = replace(found[0], policy="dear", found=replace(found[0].found, mean=1e4 * sizes[-1]))
    rows = {r["policy"]: r for r in forest([far, *found], far.quantity, "v10", title="pods")["data"]["values"]}
    assert rows["dear"]["mean_at"] < 10
    order = sorted(rows.values(), key=lambda row: row["mean"])
    assert [row["mean_at"] for row in order] == sorted(row["mean_at"] for row in order)
    assert rows[found[1].policy]["mean_at"] * rows[found[1].policy]["mean"] >= 0
