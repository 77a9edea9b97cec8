"""The columns of a decision table: what each is, how it is written, and which way is better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from gmemgpu.model.metric import MetricRow
from gmemgpu.units import NS_PER_S

__all__ = ["Quantity", "QUANTITIES", "METRICS_READ"]

Unit = Literal["share", "ns", "s", "count"]
Ratios = dict[str, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """
    One column.

    Parameters
    ----------
    key : str
        Name in JSON and CSV, and for ``--sort``.
    header : str
        What a table says above it.
    unit : {"share", "ns", "s", "count"}
        Of the exported number; tables write shares in % and times in a unit that suits.
    high_is_good : bool
    value : callable
        From a row's metrics and ratios to a number, or None where it has no meaning.
    """

    key: str
    header: str
    unit: Unit
    high_is_good: bool = False
    value: Callable[[MetricRow, Ratios], float | None]


def _ratio(name: str) -> Callable[[MetricRow, Ratios], float | None]:
    return lambda row, ratios: ratios[name]


def _metric(name: str) -> Callable[[MetricRow, Ratios], float | None]:
    # Metrics write -1 for a latency that does not exist.
    return lambda row, ratios: None if row[name] < 0 else float(row[name])


QUANTITIES = (
    Quantity(key="coverage", header="coverage", unit="share", high_is_good=True, value=_ratio("coverage")),
    Quantity(key="benefit", header="benefit", unit="share", high_is_good=True, value=_ratio("benefit")),
    Quantity(key="latency_p50_ns", header="latency p50", unit="ns", value=_metric("latency_p50_ns")),
    Quantity(key="latency_p99_ns", header="latency p99", unit="ns", value=_metric("latency_p99_ns")),
    Quantity(key="never", header="never", unit="count", value=_metric("never")),
    Quantity(
        key="core_seconds",
        header="core-s",
        unit="s",
        value=lambda row, ratios: (row["leader_busy_ns"] + row["follower_busy_ns"]) / NS_PER_S,
    ),
    Quantity(key="ipis_per_new", header="IPIs/region", unit="count", value=_ratio("ipis_per_new")),
    Quantity(key="pass_wall_max_ns", header="longest pass", unit="ns", value=_metric("pass_wall_max_ns")),
    Quantity(key="regret", header="regret", unit="share", value=_ratio("regret")),
)
"""In the order of the table."""

METRICS_READ = (
    "optimizable_ns",
    "optimized_core_ns",
    "in_use_optimized_core_ns",
    "attempts_new",
    "ipis",
    "leader_busy_ns",
    "follower_busy_ns",
    "latency_p50_ns",
    "latency_p99_ns",
    "never",
    "pass_wall_max_ns",
)
"""Metrics that these columns and the ratios behind them need."""
