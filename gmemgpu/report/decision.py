"""The decision table: policies × quantities, with their intervals over seeds, for each group of scenarios."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from gmemgpu.errors import Problem, SpecError
from gmemgpu.metrics.derived import derived
from gmemgpu.model.catalogue import unknown_key
from gmemgpu.report.quantity import METRICS_READ, QUANTITIES
from gmemgpu.report.statistics import Estimate, estimate
from gmemgpu.sweeping.read import StoredRows, read_rows

__all__ = ["DecisionTable", "Group", "PolicyLine", "decision_table", "decide"]

GroupKey: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyLine:
    """
    One line.

    Parameters
    ----------
    policy : str
    n_seeds : int
    estimates : dict of str to Estimate or None
        By `Quantity.key`; None where no seed has the quantity.
    """

    policy: str
    n_seeds: int
    estimates: dict[str, Estimate | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """
    The lines of the scenarios that agree in the grouping columns.

    Parameters
    ----------
    keys : dict of str to value
        Grouping column to what these scenarios have there.
    n_scenarios : int
    lines : tuple of PolicyLine
    """

    keys: dict[str, Any]
    n_scenarios: int
    lines: tuple[PolicyLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionTable:
    """
    What a store says about policies.

    Parameters
    ----------
    name : str
        The sweep's.
    n_parts, n_parts_done : int
        If they differ, the table rests on a part of the sweep.
    groups : tuple of Group
    """

    name: str
    n_parts: int
    n_parts_done: int
    groups: tuple[Group, ...]


def decide(
    directory: str | Path,
    *,
    group_by: Sequence[str] = (),
    policies: Sequence[str] = (),
    sort: str | None = None,
) -> DecisionTable:
    """
    Read a results directory and make its decision table; parameters as of `decision_table`.

    Raises
    ------
    StoreError
        If it holds no sweep, or no finished part.
    SpecError
        As `decision_table` does.
    """
    stored = read_rows(directory, ("cores", "horizon_ns", "warmup_ns", *METRICS_READ))
    return decision_table(stored, group_by=group_by, policies=policies, sort=sort)


def decision_table(
    stored: StoredRows, *, group_by: Sequence[str] = (), policies: Sequence[str] = (), sort: str | None = None
) -> DecisionTable:
    """
    Make the decision table of a store's rows.

    Parameters
    ----------
    stored : StoredRows
        With the columns ``cores``, ``horizon_ns``, ``warmup_ns`` and `METRICS_READ`.
    group_by : sequence of str
        ``label``, ``preset``, or axes; each scenario by itself if left out. Where a group holds several scenarios a
        seed counts with the mean over them, since the traces of one seed are not independent.
    policies : sequence of str
        Which to show, in this order; all if left out.
    sort : str, optional
        ``policy`` or a `Quantity.key`: the best policy of each group first.

    Returns
    -------
    DecisionTable

    Raises
    ------
    SpecError
        If a column or policy is unknown; lists every problem.
    """
    rows = [_integers(row) for row in stored.table.to_pylist()]
    known = list(dict.fromkeys(row["policy"] for row in rows))
    group_by = tuple(group_by) or ("label",)
    _check(group_by, policies, sort, known, ("label", "preset", *stored.axes))
    oracle = {(row["label"], row["seed"]): row for row in rows if row["policy"] == "oracle"}
    wanted = list(policies) or known
    groups: dict[GroupKey, dict[str, dict[int, list[dict[str, float | None]]]]] = {}
    labels: dict[GroupKey, set[str]] = {}
    for row in rows:
        key = tuple(row[name] for name in group_by)
        labels.setdefault(key, set()).add(row["label"])
        of_policy = groups.setdefault(key, {}).setdefault(row["policy"], {})
        of_policy.setdefault(row["seed"], []).append(_values(row, oracle.get((row["label"], row["seed"]))))
    return DecisionTable(
        name=stored.name,
        n_parts=stored.n_parts,
        n_parts_done=stored.n_parts_done,
        groups=tuple(
            Group(
                keys=dict(zip(group_by, key, strict=True)),
                n_scenarios=len(labels[key]),
                lines=_sorted([_line(policy, of_policy[policy]) for policy in wanted if policy in of_policy], sort),
            )
            for key, of_policy in groups.items()
        ),
    )


def _integers(row: dict[str, Any]) -> dict[str, Any]:
    # What passes 63 bits comes out of Parquet as a Decimal.
    return {**row, **{name: int(row[name]) for name in METRICS_READ}}


def _check(
    group_by: Sequence[str], policies: Sequence[str], sort: str | None, known: Sequence[str], columns: Sequence[str]
) -> None:
    sortable = ["policy", *(quantity.key for quantity in QUANTITIES)]
    asked = [("--group-by", name, columns) for name in group_by]
    asked += [("--policy", name, known) for name in policies]
    asked += [("--sort", sort, sortable)] if sort is not None else []
    problems = [
        Problem(option, f'"{name}": {unknown_key(name, allowed).replace("key", "name")}')
        for option, name, allowed in asked
        if name not in allowed
    ]
    if problems:
        raise SpecError(problems)


def _values(row: dict[str, Any], oracle: dict[str, Any] | None) -> dict[str, float | None]:
    ratios = derived(row, oracle, cores=row["cores"], counted_ns=row["horizon_ns"] - row["warmup_ns"])
    return {quantity.key: quantity.value(row, ratios) for quantity in QUANTITIES}


def _line(policy: str, seeds: dict[int, list[dict[str, float | None]]]) -> PolicyLine:
    estimates: dict[str, Estimate | None] = {}
    for quantity in QUANTITIES:
        per_seed = []
        for scenarios in seeds.values():
            values = [value for scenario in scenarios if (value := scenario[quantity.key]) is not None]
            if values:
                per_seed.append(math.fsum(values) / len(values))
        estimates[quantity.key] = estimate(per_seed)
    return PolicyLine(policy=policy, n_seeds=len(seeds), estimates=estimates)


def _sorted(lines: list[PolicyLine], sort: str | None) -> tuple[PolicyLine, ...]:
    if sort is None:
        return tuple(lines)
    if sort == "policy":
        return tuple(sorted(lines, key=lambda line: line.policy))
    sign = {quantity.key: -1.0 if quantity.high_is_good else 1.0 for quantity in QUANTITIES}[sort]

    def best_first(line: PolicyLine) -> float:
        found = line.estimates[sort]
        return math.inf if found is None else sign * found.mean

    return tuple(sorted(lines, key=best_first))
