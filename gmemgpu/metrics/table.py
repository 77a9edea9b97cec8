"""Metric rows as one plain columnar table, exact in memory and in Arrow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gmemgpu.model.metric import METRICS

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["MetricTable", "metric_arrow_type"]

_WIDE = {metric.name: metric.wide for metric in METRICS}


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
        Either int64, or decimal128(38, 0) for what can pass 2**63.

    Raises
    ------
    KeyError
        If there is no such metric.
    """
    import pyarrow as pa

    return pa.decimal128(38, 0) if _WIDE[name] else pa.int64()


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class MetricTable:
    """
    One row for each (trace, policy): labels first, ``policy`` before all, then the metrics.

    Parameters
    ----------
    columns : dict of str to list
        Equally long; metrics are Python integers of any size, labels (``policy``, ``trace``, a seed …) text or numbers.

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

    def rows(self) -> list[dict[str, Any]]:
        """Return one dict a row, in column order."""
        return [dict(zip(self.columns, values, strict=True)) for values in zip(*self.columns.values(), strict=True)]

    def to_arrow(self) -> pa.Table:
        """
        Return an Arrow table of the rows.

        Returns
        -------
        pyarrow.Table
            Metrics as int64 or decimal128(38, 0), labels as Arrow infers them.
        """
        import pyarrow as pa

        arrays = {
            name: pa.array(values, metric_arrow_type(name) if name in _WIDE else None)
            for name, values in self.columns.items()
        }
        return pa.table(arrays)

    def to_pandas(self) -> pd.DataFrame:
        """
        Return a data frame of the rows.

        Returns
        -------
        pd.DataFrame
            Metrics that can pass 2**63 stay Python integers in object columns.

        Raises
        ------
        ModuleNotFoundError
            If pandas is not installed.
        """
        try:
            import pandas as pd
        except ModuleNotFoundError:
            raise ModuleNotFoundError('to_pandas needs pandas; run: pip install "gmemgpu[pandas]"') from None

        series = {
            name: pd.Series(values, dtype=(object if _WIDE[name] else "int64") if name in _WIDE else None)
            for name, values in self.columns.items()
        }
        return pd.DataFrame(series)
