"""Metric rows as one plain columnar table, exact in memory and in Arrow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gmemgpu.html_table import html_table
from gmemgpu.model.metric import METRICS

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["MetricTable", "metric_arrow_type"]

_METRICS = {metric.name: metric for metric in METRICS}


def metric_arrow_type(name: str) -> pa.DataType:
    """
    Return the Arrow type of a metric's column.

    Parameters
    ----------
    name : str
        One of `METRIC_NAMES`.

    Returns
    -------
    pyarrow.DataType
        Either int64, or decimal128(38, 0) for what can pass 2**63, or a list of int64.

    Raises
    ------
    KeyError
        If there is no such metric.
    """
    import pyarrow as pa

    metric = _METRICS[name]
    if metric.is_list:
        return pa.list_(pa.field("element", pa.int64()))  # the name that Parquet gives it
    return pa.decimal128(38, 0) if metric.wide else pa.int64()


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class MetricTable:
    """
    One row for each (trace, policy): labels first, ``policy`` before all, then the metrics.

    Parameters
    ----------
    columns : dict of str to list
        Equally long; metrics are Python integers of any size, or lists of them; labels (``policy``, ``trace``, a
        seed …) are text or numbers.

    Examples
    --------
    >>> table = MetricTable.from_rows([{"policy": "v10", "passes": 3}, {"policy": "never", "passes": 0}])
    >>> table["passes"]
    [3, 0]
    """

    columns: dict[str, list[Any]]

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, Any]]) -> MetricTable:
        """
        Collect rows that have the same keys.

        Parameters
        ----------
        rows : iterable of mapping
            Column name to value; the first row's order is the table's.

        Raises
        ------
        KeyError
            If a row lacks a column of the first.
        """
        rows = list(rows)
        names = list(rows[0]) if rows else []
        return cls({name: [row[name] for row in rows] for name in names})

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), []))

    def __getitem__(self, name: str) -> list[Any]:
        return self.columns[name]

    def __repr__(self) -> str:
        return f"<MetricTable: {len(self)} rows × {len(self.columns)} columns>"

    def _repr_html_(self) -> str:
        # A line a figure: tables have more figures than policies.
        names = [name for name in self.columns if not (name in _METRICS and _METRICS[name].is_list)]
        heading, *others = names or [""]
        rows = ([name, *map(_cell, self.columns[name])] for name in others)
        return html_table([heading, *map(str, self.columns.get(heading, []))], rows)

    def rows(self) -> list[dict[str, Any]]:
        """Return one dict a row, in column order."""
        return [dict(zip(self.columns, values, strict=True)) for values in zip(*self.columns.values(), strict=True)]

    def to_arrow(self) -> pa.Table:
        """
        Return an Arrow table of the rows.

        Returns
        -------
        pyarrow.Table
            Metrics as `metric_arrow_type` says, labels as Arrow infers them.
        """
        import pyarrow as pa

        arrays = {
            name: pa.array(values, metric_arrow_type(name) if name in _METRICS else None)
            for name, values in self.columns.items()
        }
        return pa.table(arrays)

    def to_pandas(self) -> pd.DataFrame:
        """
        Return a data frame of the rows.

        Returns
        -------
        pd.DataFrame
            Metrics that can pass 2**63 stay Python integers in object columns, lists stay lists.

        Raises
        ------
        ModuleNotFoundError
            If pandas is not installed.
        """
        try:
            import pandas as pd
        except ModuleNotFoundError:
            raise ModuleNotFoundError('to_pandas needs pandas; run: pip install "gmemgpu[pandas]"') from None

        def dtype(name: str) -> type | str | None:
            metric = _METRICS.get(name)
            return None if metric is None else object if metric.wide or metric.is_list else "int64"

        return pd.DataFrame({name: pd.Series(values, dtype=dtype(name)) for name, values in self.columns.items()})


def _cell(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
