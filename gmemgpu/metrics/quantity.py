"""The quantities that people compare: what each is called, how it follows from metrics, and which way is better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gmemgpu.metrics.columns import Columns, Floats
from gmemgpu.model.metric import METRICS
from gmemgpu.units import GIB, NS_PER_S, PAGE_BYTES

__all__ = [
    "Quantity",
    "LEAST_BENEFIT",
    "QUANTITIES",
    "TABLE_QUANTITIES",
    "MORE_QUANTITIES",
    "quantity_named",
    "quantity_names",
]

LEAST_BENEFIT = 1e-4
"""Of the memory in use: an oracle under which no more of it profits leaves nothing to take shares of."""

_GIB_H = GIB / PAGE_BYTES * 3600 * NS_PER_S
_PERCENTILES = {f"latency_p{percent}_ns": percent for percent in (50, 90, 99)}
_MORE_IS_GOOD = ("reoptimized", "attempts_new")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """
    One figure of a row.

    Parameters
    ----------
    key : str
        Name in JSON and CSV: the header word in small letters, with the unit of a time.
    header : str
        What a table says above it.
    unit : {"share", "ns", "s", "count"}
        Of the number; tables write shares in % and times in a unit that suits.
    meaning : str
        One sentence, for people.
    columns : tuple of str
        What `numerator` and `denominator` read.
    numerator : callable
        From `Columns` to one float64 a row; not a number where the quantity has no meaning.
    denominator : callable or None
        For a ratio, what `numerator` is divided by; both add up over traces. None for a quantity of its own.
    high_is_good : bool
        Whether the best policy has the highest value.
    in_tables : bool
        Whether tables for people have it; JSON and CSV have all.
    typical : bool
        Whether the seeds' median stands for them: maxima, and counts of what is left over. A mean of such follows from
        a few seeds.
    percent : int or None
        Which percentile of the episodes' latencies it is; None for what is none.
    """

    key: str
    header: str
    unit: Literal["share", "ns", "s", "count"]
    meaning: str
    columns: tuple[str, ...]
    numerator: Callable[[Columns], Floats]
    denominator: Callable[[Columns], Floats] | None = None
    high_is_good: bool = False
    in_tables: bool = True
    typical: bool = False
    percent: int | None = None

    def values(self, rows: Columns) -> Floats:
        """
        Compute the quantity of each row.

        Parameters
        ----------
        rows : Columns
            With `columns`.

        Returns
        -------
        (n_rows,) float64
            Not a number where the quantity has no meaning, as a ratio to nothing.
        """
        numerator = self.numerator(rows)
        if self.denominator is None:
            return numerator
        denominator = self.denominator(rows)
        quotient: Floats = np.divide(
            numerator, denominator, out=np.full(len(numerator), np.nan), where=denominator != 0
        )
        return quotient


def _metric(name: str, header: str, unit: Literal["ns", "count"], meaning: str) -> Quantity:
    return Quantity(
        key=name,
        header=header,
        unit=unit,
        meaning=meaning,
        columns=(name,),
        numerator=lambda rows: rows.existing(name),
        high_is_good=name in _MORE_IS_GOOD,
        typical=name == "never" or "_max_" in name,
        percent=_PERCENTILES.get(name),
    )


def _worth_sharing(rows: Columns) -> Floats:
    # What the oracle has, where that is anything: shares of next to nothing would be shares of chance.
    in_use = rows["cores"] * rows["in_use_ns"]
    best = rows.of_oracle("in_use_optimized_core_ns")
    best[best < LEAST_BENEFIT * in_use] = np.nan
    return best


def _priced(price_ns: int) -> Quantity:
    return Quantity(
        key=f"core_s_at_{price_ns}ns",
        header=f"core-s at {price_ns} ns",
        unit="s",
        meaning=f"CPU time, and {price_ns} ns for each update of a tracker",
        columns=("leader_busy_ns", "follower_busy_ns", "tracker_updates"),
        numerator=lambda rows: (
            (rows["leader_busy_ns"] + rows["follower_busy_ns"] + price_ns * rows["tracker_updates"]) / NS_PER_S
        ),
    )


QUANTITIES = (
    Quantity(
        key="coverage",
        header="coverage",
        unit="share",
        meaning="time × cores × regions optimized, of all time × cores × regions free",
        columns=("cores", "optimizable_ns", "optimized_core_ns"),
        numerator=lambda rows: rows["optimized_core_ns"],
        denominator=lambda rows: rows["cores"] * rows["optimizable_ns"],
        high_is_good=True,
    ),
    Quantity(
        key="benefit",
        header="benefit",
        unit="share",
        meaning="memory in use that profits, integrated over time, of the oracle's, where that is 0.01 % of it or more",
        columns=("cores", "in_use_ns", "in_use_optimized_core_ns"),
        numerator=lambda rows: rows["in_use_optimized_core_ns"],
        denominator=_worth_sharing,
        high_is_good=True,
    ),
    Quantity(
        key="profit_gib_h",
        header="profit GiB·h",
        unit="count",
        meaning="memory in use that profits, integrated over time, mean over cores",
        columns=("cores", "in_use_optimized_core_ns"),
        numerator=lambda rows: rows["in_use_optimized_core_ns"] / rows["cores"] / _GIB_H,
        high_is_good=True,
        in_tables=False,
    ),
    Quantity(
        key="missed_gib_h",
        header="missed GiB·h",
        unit="count",
        meaning="memory in use that would profit with the oracle and does not, integrated over time, mean over cores",
        columns=("cores", "in_use_optimized_core_ns"),
        numerator=lambda rows: rows.behind_oracle("in_use_optimized_core_ns") / rows["cores"] / _GIB_H,
    ),
    _metric("latency_p50_ns", "latency p50", "ns", "median time from free to the bit"),
    _metric("latency_p99_ns", "latency p99", "ns", "99th percentile of the same"),
    _metric("never", "never", "count", "regions still waiting when the trace ended"),
    Quantity(
        key="core_s",
        header="core-s",
        unit="s",
        meaning="CPU time, leaders and followers together",
        columns=("leader_busy_ns", "follower_busy_ns"),
        numerator=lambda rows: (rows["leader_busy_ns"] + rows["follower_busy_ns"]) / NS_PER_S,
    ),
    Quantity(
        key="ipis_per_region",
        header="IPIs/region",
        unit="count",
        meaning="inter-processor interrupts for each region newly optimized",
        columns=("ipis", "attempts_new"),
        numerator=lambda rows: rows["ipis"],
        denominator=lambda rows: rows["attempts_new"],
    ),
    Quantity(
        key="longest_pass_ns",
        header="longest pass",
        unit="ns",
        meaning="one core busy, and in older versions all of them, for so long",
        columns=("pass_wall_max_ns",),
        numerator=lambda rows: rows["pass_wall_max_ns"],
        typical=True,
    ),
    Quantity(
        key="regret",
        header="regret",
        unit="share",
        meaning="time × cores × regions optimized by the oracle and not by the policy, of the oracle's",
        columns=("optimized_core_ns",),
        numerator=lambda rows: rows.behind_oracle("optimized_core_ns"),
        denominator=lambda rows: rows.of_oracle("optimized_core_ns"),
    ),
    Quantity(
        key="tracker_updates",
        header="tracker updates",
        unit="count",
        meaning="folios that the policy's count of pages or bitmap would have to be told of; what one costs is unknown",
        columns=("tracker_updates",),
        numerator=lambda rows: rows["tracker_updates"],
        in_tables=False,
    ),
)
"""In the order of a table (MODEL.md section 7)."""

TABLE_QUANTITIES = tuple(quantity for quantity in QUANTITIES if quantity.in_tables)

_PRICES_NS = (1, 10, 50)

MORE_QUANTITIES = (
    Quantity(
        key="ipis_per_core_s",
        header="IPIs/core-s",
        unit="count",
        meaning="inter-processor interrupts a core and second while a pass runs",
        columns=("ipis", "cores", "scan_wall_ns"),
        numerator=lambda rows: rows["ipis"],
        denominator=lambda rows: rows["cores"] * rows["scan_wall_ns"] / NS_PER_S,
    ),
    Quantity(
        key="leader_per_pass_ns",
        header="leader",
        unit="ns",
        meaning="time that a pass takes from its leader",
        columns=("leader_busy_ns", "passes"),
        numerator=lambda rows: rows["leader_busy_ns"],
        denominator=lambda rows: rows["passes"],
    ),
    Quantity(
        key="follower_per_pass_ns",
        header="follower",
        unit="ns",
        meaning="time that a pass takes from each other core",
        columns=("follower_busy_ns", "passes", "cores"),
        numerator=lambda rows: rows["follower_busy_ns"],
        denominator=lambda rows: (rows["cores"] - 1) * rows["passes"],
    ),
    Quantity(
        key="failed_share",
        header="failed",
        unit="share",
        meaning="visits that found the region busy, of all",
        columns=("attempts_failed", "attempts"),
        numerator=lambda rows: rows["attempts_failed"],
        denominator=lambda rows: rows["attempts"],
    ),
    *(_priced(price_ns) for price_ns in _PRICES_NS),
)
"""Shown when asked for; so is every metric that is a plain number, by its name."""

_PLAIN = tuple(
    _metric(
        metric.name,
        metric.name.removesuffix("_ns").replace("_", " "),
        "ns" if metric.unit == "ns" else "count",
        metric.meaning,
    )
    for metric in METRICS
    if not metric.wide and not metric.is_list
)

# A quantity of a table comes before the plain metric of the same name.
_BY_NAME = {
    name.casefold(): quantity
    for quantity in (*_PLAIN, *MORE_QUANTITIES, *QUANTITIES)
    for name in (quantity.key, quantity.header)
}


def quantity_names() -> list[str]:
    """
    Return what can be asked for by name.

    Returns
    -------
    list of str
        Keys, those of a table first.
    """
    return list(dict.fromkeys(quantity.key for quantity in (*QUANTITIES, *MORE_QUANTITIES, *_PLAIN)))


def quantity_named(name: str) -> Quantity | None:
    """
    Return the quantity of a key or a header word, in small or capital letters.

    Parameters
    ----------
    name : str
        As in ``"latency p50"`` or ``"latency_p50_ns"``.

    Returns
    -------
    Quantity or None
        None if nothing is called so.
    """
    return _BY_NAME.get(name.casefold())
