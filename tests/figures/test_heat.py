from __future__ import annotations

from gmemgpu.figures.heat import heat
from gmemgpu.figures.pareto import Value
from gmemgpu.metrics.quantity import quantity_named


def value(mean: float) -> Value:
    return Value(mean, mean, mean, f"{mean} ±0.1", f"{mean}")


def test_dark_is_good_and_a_missing_figure_is_a_dash() -> None:
    cost, gain = quantity_named("core_s"), quantity_named("coverage")
    assert cost is not None
    assert gain is not None
    columns = [("pods", {"v3": value(0.2), "v10": value(0.9)}), ("cloud", {"v3": value(0.5), "v10": None})]
    cells = {(cell["policy"], cell["group"]): cell for cell in heat(columns, gain)["data"]["values"]}
    assert len(cells) == 4
    assert cells["v10", "pods"]["good"] > cells["v3", "cloud"]["good"] > cells["v3", "pods"]["good"]
    assert cells["v10", "cloud"]["good"] is None
    assert cells["v10", "cloud"]["cell"] == "–"
    assert cells["v10", "pods"]["cell"] == "0.9"
    dear = {(cell["policy"], cell["group"]): cell for cell in heat(columns, cost)["data"]["values"]}
    assert dear["v10", "pods"]["good"] < dear["v3", "cloud"]["good"] < dear["v3", "pods"]["good"]


def test_columns_do_not_shrink_below_their_figures() -> None:
    gain = quantity_named("coverage")
    assert gain is not None
    many = heat([(f"group {i}", {"v3": value(0.5)}) for i in range(40)], gain)
    assert many["width"] / 40 >= 50
