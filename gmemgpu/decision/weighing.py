"""What is weighed: profit and cost of each policy and seed, group by group, and what a worth is counted in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from gmemgpu.metrics.columns import Columns, Floats
from gmemgpu.metrics.quantity import Quantity, quantity_named
from gmemgpu.report.samples import Sample, samples_of
from gmemgpu.sweeping.store.read import StoredRows
from gmemgpu.units import GIB, NS_PER_S, PAGE_BYTES

__all__ = ["CostKind", "COSTS", "Weighed", "PRICES_NS", "WEIGHED_COLUMNS", "weighed_groups"]

_GIB_H = GIB / PAGE_BYTES * 3600 * NS_PER_S
_NS_PER_H = 3600 * NS_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class CostKind:
    """
    What a policy costs, and so what a set bit is worth.

    Parameters
    ----------
    key : str
        As ``--cost`` names it.
    quantity : str
        Key of the quantity.
    factor : float
        From the quantity to `unit`.
    unit : str
        Of the cost.
    per : str
        A worth is so many `unit` for each of these.
    lead_unit : str
        Of what one policy is ahead of another.
    regret_unit : str
        Of what a policy is behind the best, where hosts compare; ``""`` for a share of the host's CPU.
    adds_up : bool
        Whether a trace twice as long costs twice as much. If not, profit is a mean over time, and nothing is a day's.
    is_cpu : bool
        Whether it is CPU time: a worth is a share of a host's CPU then, and trackers have a price.
    usual_worth : float
        Where policies are held against each other if nobody says: a share of CPU if `is_cpu`.
    """

    key: str
    quantity: str
    factor: float = 1.0
    unit: str
    per: str = "GiB·h"
    lead_unit: str
    regret_unit: str = ""
    adds_up: bool = True
    is_cpu: bool = False
    usual_worth: float


PRICES_NS = (0.0, 1.0, 10.0, 50.0)
"""Of an update of a tracker. Nobody has measured one: an atomic takes some nanoseconds, a contended one some tens."""

COSTS = MappingProxyType(
    {
        kind.key: kind
        for kind in (
            CostKind(
                key="core_s",
                quantity="core_s",
                unit="core-s",
                lead_unit="core-s a day",
                is_cpu=True,
                usual_worth=0.001,
            ),
            CostKind(
                key="ipis",
                quantity="ipis",
                unit="IPIs",
                lead_unit="IPIs a day",
                regret_unit="IPIs a core and hour",
                usual_worth=100.0,
            ),
            CostKind(
                key="longest_pass_ns",
                quantity="longest_pass_ns",
                factor=1e-6,
                unit="ms",
                per="GiB",
                lead_unit="ms",
                regret_unit="ms",
                adds_up=False,
                usual_worth=1.0,
            ),
        )
    }
)
"""By key. What is usual is a choice, not knowledge: nobody has published what a set bit is worth."""


def _local(key: str, columns: tuple[str, ...], values: Any) -> Quantity:
    return Quantity(key=key, header=key, unit="count", meaning="", columns=columns, numerator=values)


def _hours(rows: Columns) -> Floats:
    hours: Floats = (rows["horizon_ns"] - rows["warmup_ns"]) / _NS_PER_H
    return hours


def _cpu_s_per_gib_h(rows: Columns) -> Floats:
    seconds: Floats = 3600 * rows["cores"] / (rows["present_bytes"] / GIB)
    return seconds


_IN_USE = _local("in_use_gib_h", ("in_use_ns",), lambda rows: rows["in_use_ns"] / _GIB_H)
_HOURS = _local("hours", ("horizon_ns", "warmup_ns"), _hours)
_HOST = _local("host_core_h", ("cores", "horizon_ns", "warmup_ns"), lambda rows: rows["cores"] * _hours(rows))
_CPU = _local("cpu_s_per_gib_h", ("cores", "present_bytes"), _cpu_s_per_gib_h)


def _named(key: str) -> Quantity:
    found = quantity_named(key)
    assert found is not None
    return found


_QUANTITIES = (
    *(_named(key) for key in ("profit_gib_h", "tracker_updates", *(kind.quantity for kind in COSTS.values()))),
    _IN_USE,
    _HOURS,
    _HOST,
    _CPU,
)

WEIGHED_COLUMNS = tuple(dict.fromkeys(name for quantity in _QUANTITIES for name in quantity.columns))
"""What `weighed_groups` reads beside label, seed, policy and the grouping columns."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Weighed:
    """
    Profit and cost of the scenarios that agree in the grouping columns.

    Parameters
    ----------
    keys : dict of str to value
        Grouping column to what these scenarios have there.
    n_scenarios : int
        How many agree.
    policies : tuple of str
        First axis of the arrays; the baseline first, since it stands for policies that come out as it does.
    kind : CostKind
        What `cost` counts.
    profit : (n_policies, n_seeds) float64
        Memory in use that profits, GiB·h; its mean over time, GiB, where costs do not add up.
    cost : (n_policies, n_seeds) float64
        In the kind's unit, with trackers for nothing.
    updates : (n_policies, n_seeds) float64
        Of trackers.
    bound : float or None
        Profit of the oracle, mean over seeds; None without one.
    in_use : float
        What profit could be if all memory in use did, mean over seeds.
    host_core_h : float
        CPU time that the host has.
    cpu_s_per_gib_h : float
        CPU time of the host for each GiB of its memory and hour: whose memory it is has so much.
    hours : float
        That were counted.
    """

    keys: dict[str, Any]
    n_scenarios: int
    policies: tuple[str, ...]
    kind: CostKind
    profit: Floats
    cost: Floats
    updates: Floats
    bound: float | None
    in_use: float
    host_core_h: float
    cpu_s_per_gib_h: float
    hours: float

    @property
    def prices_ns(self) -> tuple[float, ...]:
        """Prices of an update of a tracker that are looked at; no more than none where no policy has a tracker."""
        return PRICES_NS if self.has_trackers else PRICES_NS[:1]

    @property
    def has_trackers(self) -> bool:
        """Whether what a tracker costs is of any account."""
        return self.kind.is_cpu and bool(self.updates.any())

    @property
    def n_seeds(self) -> int:
        """Seeds, in each of which every policy was run."""
        return int(self.profit.shape[1])

    @property
    def whole_worth(self) -> float:
        """The worth of a set bit that is all CPU time of whoever uses the memory; infinite if costs are no CPU time."""
        return self.cpu_s_per_gib_h if self.kind.is_cpu else math.inf

    @property
    def per_day(self) -> float:
        """From what is ahead in these hours to the kind's `lead_unit`."""
        return 24 / self.hours if self.kind.adds_up else 1.0

    @property
    def per_host(self) -> float:
        """From what is ahead in these hours to the kind's `regret_unit`, in which hosts compare."""
        if self.kind.is_cpu:
            return 1 / (3600 * self.host_core_h)
        return 1 / self.host_core_h if self.kind.adds_up else 1.0

    def priced(self, price_ns: float) -> Floats:
        """
        Compute the cost with trackers for a price.

        Parameters
        ----------
        price_ns : float
            CPU time of an update; it adds to no other kind of cost.

        Returns
        -------
        (n_policies, n_seeds) float64
            In the kind's unit.
        """
        if not self.kind.is_cpu:
            return self.cost
        costs: Floats = self.cost + self.updates * (price_ns / NS_PER_S)
        return costs

    @property
    def are_alike(self) -> bool:
        """Whether several policies are there, and none differs from another in any seed."""
        same = bool((self.profit == self.profit[0]).all() and (self.cost == self.cost[0]).all())
        return len(self.policies) > 1 and same


def weighed_groups(
    stored: StoredRows, kind: CostKind, policies: Sequence[str], bound: str, group_by: Sequence[str] = ()
) -> list[Weighed]:
    """
    Collect profit and cost from a store's rows.

    Parameters
    ----------
    stored : StoredRows
        With `WEIGHED_COLUMNS`.
    kind : CostKind
        What to count as cost.
    policies : sequence of str
        Which, in this order.
    bound : str
        The oracle's name.
    group_by : sequence of str
        As for `gmemgpu.report.samples.samples_of`.

    Returns
    -------
    list of Weighed
        A group for each choice of the grouping columns.
    """
    samples = samples_of(stored, _QUANTITIES, group_by=group_by)
    places = [samples.policies.index(name) for name in policies]
    oracle = samples.policies.index(bound) if bound in samples.policies else None
    return [_weighed(one, tuple(policies), kind, places, oracle) for one in samples.groups]


def _weighed(
    sample: Sample, policies: tuple[str, ...], kind: CostKind, places: Iterable[int], oracle: int | None
) -> Weighed:
    # A part of a sweep holds all policies of its seeds, so a seed that is there is there for all.
    def values(key: str, rows: Any) -> Floats:
        found: Floats = sample.sums[key].numerator[:, sample.seeds][rows]
        return found

    places = np.array(list(places))
    hours = float(values("hours", places[0]).mean())
    per = 1.0 if kind.adds_up else 1 / hours
    return Weighed(
        keys=sample.keys,
        n_scenarios=sample.n_scenarios,
        policies=policies,
        kind=kind,
        profit=per * values("profit_gib_h", places),
        cost=kind.factor * values(kind.quantity, places),
        updates=values("tracker_updates", places),
        bound=None if oracle is None else per * float(values("profit_gib_h", oracle).mean()),
        in_use=per * float(values("in_use_gib_h", places[0]).mean()),
        host_core_h=float(values("host_core_h", places[0]).mean()),
        cpu_s_per_gib_h=float(values("cpu_s_per_gib_h", places[0]).mean()),
        hours=hours,
    )
