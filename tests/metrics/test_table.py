from __future__ import annotations

import sys
from decimal import Decimal

import pyarrow as pa
import pytest

from gmemgpu.metrics.table import MetricTable, metric_arrow_type
from gmemgpu.model.metric import METRIC_NAMES, METRICS

BIG = 2**90 + 1


def table() -> MetricTable:
    rows = [{**dict.fromkeys(METRIC_NAMES, value), "latency_histogram": [value] * value} for value in (3, -1)]
    rows[0]["optimized_core_ns"] = BIG
    return MetricTable.from_rows({"policy": name, **row} for name, row in zip(("v10", "never"), rows, strict=True))


def test_rows_and_columns() -> None:
    assert len(table()) == 2
    assert list(table().columns) == ["policy", *METRIC_NAMES]
    assert table()["policy"] == ["v10", "never"]
    assert table()["optimized_core_ns"] == [BIG, -1]
    assert MetricTable.from_rows(table().rows()).columns == table().columns
    assert repr(table()) == f"<MetricTable: 2 rows × {1 + len(METRIC_NAMES)} columns>"


def test_an_empty_table() -> None:
    empty = MetricTable.from_rows([])
    assert (len(empty), empty.rows(), empty.to_arrow().num_rows) == (0, [], 0)


def test_arrow_is_exact_and_typed() -> None:
    arrow = table().to_arrow()
    assert arrow.schema.field("policy").type == pa.string()
    for metric in METRICS:
        kind = pa.decimal128(38, 0) if metric.wide else pa.list_(pa.int64()) if metric.is_list else pa.int64()
        assert arrow.schema.field(metric.name).type == kind
        assert metric_arrow_type(metric.name) == arrow.schema.field(metric.name).type
    assert arrow.column("optimized_core_ns").to_pylist() == [Decimal(BIG), Decimal(-1)]
    assert arrow.column("latency_histogram").to_pylist() == [[3, 3, 3], []]


def test_pandas_is_exact() -> None:
    frame = table().to_pandas()
    assert list(frame.columns) == list(table().columns)
    assert frame["optimized_core_ns"].tolist() == [BIG, -1]
    assert frame["passes"].dtype == "int64"
    assert frame["latency_histogram"].tolist() == [[3, 3, 3], []]


def test_without_pandas_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "gmemgpu\[pandas\]"'):
        table().to_pandas()


def test_rows_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(KeyError):
        MetricTable.from_rows([{"policy": "a", "passes": 1}, {"policy": "b"}])
