"""The decision table: policies × quantities, with their intervals over seeds, for each group of scenarios."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from gmemgpu.errors import Problem, SpecError
from gmemgpu.model.policy import ORACLE
from gmemgpu.report.columns import Codes, codes_of, positions, quantity_columns
from gmemgpu.report.quantity import METRICS_READ, QUANTITIES
from gmemgpu.report.segment import group_estimates, group_means
from gmemgpu.report.statistics import Estimate
from gmemgpu.sweeping.store.read import StoredRows, read_rows
from gmemgpu.toml_file import unknown_key

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
    table = stored.table
    group_by = tuple(group_by) or ("label",)
    policy, known = codes_of(table["policy"])
    names = [str(name) for name in known]
    _check(group_by, policies, sort, names, ("label", "preset", *stored.axes))
    label, labels = codes_of(table["label"])
    seed, seeds = codes_of(table["seed"])
    group, keys = _groups(table, group_by)
    wanted = [names.index(name) for name in policies] or list(range(len(names)))

    # A line is a group and a policy; a seed counts once in it, with the mean over the group's scenarios.
    line = group * len(names) + policy
    n_lines = len(keys) * len(names)
    draws, draw = np.unique(line * len(seeds) + seed, return_inverse=True)
    line_of_draw = draws // len(seeds)
    n_seeds = np.bincount(line_of_draw, minlength=n_lines).tolist()
    estimates: dict[str, list[Estimate | None]] = {}
    for key, values in quantity_columns(table, _oracle_rows(label * len(seeds) + seed, policy, names)).items():
        estimates[key] = group_estimates(group_means(values, draw, len(draws)), line_of_draw, n_lines)
    n_scenarios = np.bincount(np.unique(group * len(labels) + label) // len(labels), minlength=len(keys)).tolist()

    def lines_of(index: int) -> list[PolicyLine]:
        places = ((index * len(names) + code, names[code]) for code in wanted)
        return [
            PolicyLine(policy=name, n_seeds=n_seeds[at], estimates={key: found[at] for key, found in estimates.items()})
            for at, name in places
            if n_seeds[at]
        ]

    return DecisionTable(
        name=stored.name,
        n_parts=stored.n_parts,
        n_parts_done=stored.n_parts_done,
        groups=tuple(
            Group(
                keys=dict(zip(group_by, key, strict=True)),
                n_scenarios=n_scenarios[index],
                lines=_sorted(lines_of(index), sort),
            )
            for index, key in enumerate(keys)
        ),
    )


def _groups(table: pa.Table, group_by: Sequence[str]) -> tuple[Codes, list[GroupKey]]:
    # Numbers of the groups, in the order in which they first come, and what each has in the grouping columns.
    first_name, *others = group_by
    combined, known = codes_of(table[first_name])
    if not others:
        return combined, [(value,) for value in known]
    for name in others:
        codes, values = codes_of(table[name])
        _, combined = np.unique(combined * len(values) + codes, return_inverse=True)
    _, first, code = np.unique(combined, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    told = table.select(list(dict.fromkeys(group_by))).take(positions(first[order])).to_pylist()
    return place[code], [tuple(row[name] for name in group_by) for row in told]


def _oracle_rows(trace: Codes, policy: Codes, names: Sequence[str]) -> Codes:
    # For each row that of the oracle on the same trace, -1 where there is none.
    row_of = np.full(int(trace.max()) + 1, -1, np.int64)
    if ORACLE.name in names:
        rows = np.flatnonzero(policy == names.index(ORACLE.name))
        row_of[trace[rows]] = rows
    return row_of[trace]


def _check(
    group_by: Sequence[str], policies: Sequence[str], sort: str | None, known: Sequence[str], columns: Sequence[str]
) -> None:
    sortable = ["policy", *(quantity.key for quantity in QUANTITIES)]
    asked = [("--group-by", name, columns) for name in group_by]
    asked += [("--policy", name, known) for name in policies]
    asked += [("--sort", sort, sortable)] if sort is not None else []
    problems = [
        Problem(option, f'"{name}": {unknown_key(name, allowed, "name")}')
        for option, name, allowed in asked
        if name not in allowed
    ]
    if problems:
        raise SpecError(problems)


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
