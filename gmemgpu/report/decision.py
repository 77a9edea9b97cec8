"""The decision table: policies × quantities, with their intervals over seeds, for each group of scenarios."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from gmemgpu.errors import Problem, SpecError, StoreError
from gmemgpu.metrics.columns import Columns, chunks
from gmemgpu.metrics.quantity import QUANTITIES, quantity_named
from gmemgpu.model import ORACLE_NAME
from gmemgpu.report.grouping import codes_of, combined, groups_of, numbered, rows_beside
from gmemgpu.report.statistics import Estimate, group_estimates, group_means
from gmemgpu.sweeping.store.read import StoredRows, read_rows
from gmemgpu.toml_file import unknown_key

__all__ = ["DecisionTable", "Group", "PolicyLine", "decision_table", "read_decision_table"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyLine:
    """
    One line.

    Parameters
    ----------
    policy : str
        Its name.
    n_seeds : int
        Seeds that have rows.
    estimates : dict of str to Estimate or None
        By `gmemgpu.metrics.quantity.Quantity.key`; None where no seed has the quantity.
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
        How many agree.
    lines : tuple of PolicyLine
        One a policy.
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
        One for each choice of the grouping columns.
    """

    name: str
    n_parts: int
    n_parts_done: int
    groups: tuple[Group, ...]


def read_decision_table(
    directory: str | Path,
    *,
    group_by: Sequence[str] = (),
    policies: Sequence[str] = (),
    sort: str | None = None,
) -> DecisionTable:
    """
    Read a results directory and build its decision table.

    Parameters
    ----------
    directory : str or Path
        Of a sweep.
    group_by, policies : sequence of str
        As for `decision_table`.
    sort : str, optional
        As for `decision_table`.

    Returns
    -------
    DecisionTable
        Of what the directory holds now.

    Raises
    ------
    StoreError
        If it holds no sweep, or no finished part, or if its rows change meanwhile.
    SpecError
        As `decision_table` does.

    Notes
    -----
    Of a finished sweep a column is read when it is its turn, which halves the memory of 10^6 rows. Of an unfinished one
    all are read at once, since parts may come while this reads.
    """
    stored = read_rows(directory, ["policy"])
    if stored.n_parts_done < stored.n_parts:
        metrics = (name for quantity in QUANTITIES for name in quantity.columns)
        keys = ("label", "preset", *stored.axes, "seed", "policy")
        stored = read_rows(directory, list(dict.fromkeys((*keys, *metrics))))
        return decision_table(stored, group_by=group_by, policies=policies, sort=sort)
    n_rows = stored.table.num_rows

    def read(name: str) -> pa.ChunkedArray:
        column = read_rows(directory, [name]).table[name]
        if len(column) != n_rows:
            raise StoreError(f"{directory}: its rows changed while they were read; try again")
        return column

    return decision_table(stored, group_by=group_by, policies=policies, sort=sort, read=read)


def decision_table(
    stored: StoredRows,
    *,
    group_by: Sequence[str] = (),
    policies: Sequence[str] = (),
    sort: str | None = None,
    read: Callable[[str], pa.ChunkedArray] | None = None,
) -> DecisionTable:
    """
    Build the decision table of a store's rows.

    Parameters
    ----------
    stored : StoredRows
        With the column ``policy``.
    group_by : sequence of str
        ``label``, ``preset``, or axes; each scenario by itself if left out. Where a group holds several scenarios a
        seed counts with the mean over them, since the traces of one seed are not independent.
    policies : sequence of str
        Which to show, in this order; all if left out.
    sort : str, optional
        ``policy``, or the header word or key of a quantity: the best policy of each group first.
    read : callable, optional
        From the name of a column to what it holds; left out if `stored` has every column.

    Returns
    -------
    DecisionTable
        A group for each choice of the grouping columns.

    Raises
    ------
    SpecError
        If a column or policy is unknown; lists every problem.
    """
    read = read or stored.table.column
    group_by = tuple(group_by) or ("label",)
    policy, names = codes_of(stored.table["policy"])
    _check(group_by, policies, sort, names, ("label", "preset", *stored.axes))
    wanted = [names.index(name) for name in policies] or list(range(len(names)))
    label, labels = codes_of(read("label"))
    seed, seeds = numbered(np.concatenate(list(chunks(read("seed")))))
    group, keys = groups_of([(label, labels) if name == "label" else codes_of(read(name)) for name in group_by])
    pairs = combined(group, label, len(labels))[1]
    n_scenarios = np.bincount(pairs // len(labels), minlength=len(keys)).tolist()
    bound = names.index(ORACLE_NAME) if ORACLE_NAME in names else None
    oracle = rows_beside(combined(label, seed, len(seeds))[0], policy, bound)

    # A line is a group and a policy; a seed counts once in it, with the mean over the group's scenarios.
    line = (group * np.int64(len(names)) + policy).astype(np.int32)
    draw, draws = combined(line, seed, len(seeds))
    line_of_draw = (draws // len(seeds)).astype(np.int32)
    n_draws, n_lines = len(draws), len(keys) * len(names)
    averages = n_draws < len(draw)
    if not averages:
        # Every row is a draw of its own.
        line_of_draw = line
    # 40 bytes a row that are not needed while columns are read.
    del label, seed, group, policy, pairs, line, draws
    n_seeds = np.bincount(line_of_draw, minlength=n_lines).tolist()
    estimates: dict[str, list[Estimate | None]] = {}
    for quantity in QUANTITIES:
        values = quantity.values(Columns(read, oracle))
        if averages:
            values = group_means(values, draw, n_draws)
        estimates[quantity.key] = group_estimates(values, line_of_draw, n_lines)

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


def _check(
    group_by: Sequence[str], policies: Sequence[str], sort: str | None, known: Sequence[str], columns: Sequence[str]
) -> None:
    asked = [("--group-by", name, columns) for name in group_by if name not in columns]
    asked += [("--policy", name, known) for name in policies if name not in known]
    if sort not in (None, "policy") and quantity_named(sort) is None:
        headers = [quantity.header for quantity in QUANTITIES]
        asked.append(("--sort", sort, ["policy", *headers]))
    if asked:
        raise SpecError(
            Problem(option, f'"{name}": {unknown_key(name, allowed, "name")}') for option, name, allowed in asked
        )


def _sorted(lines: list[PolicyLine], sort: str | None) -> tuple[PolicyLine, ...]:
    if sort == "policy":
        return tuple(sorted(lines, key=lambda line: line.policy))
    quantity = quantity_named(sort) if sort is not None else None
    if quantity is None:
        return tuple(lines)
    key, sign = quantity.key, -1.0 if quantity.high_is_good else 1.0

    def best_first(line: PolicyLine) -> float:
        found = line.estimates[key]
        return math.inf if found is None else sign * found.mean

    return tuple(sorted(lines, key=best_first))
