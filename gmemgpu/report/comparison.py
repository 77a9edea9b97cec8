"""Policies against a baseline on the same traces: paired differences of a store's rows, group by group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gmemgpu.errors import Problem, SpecError
from gmemgpu.metrics.columns import Columns, Floats, chunks
from gmemgpu.metrics.quantity import Quantity, quantity_named, quantity_names
from gmemgpu.model.policy import ORACLE
from gmemgpu.report.grouping import Codes, codes_of, combined, groups_of, numbered, rows_beside
from gmemgpu.report.paired import (
    LEVEL,
    Difference,
    holm,
    median_difference,
    paired_difference,
    ratio_difference,
    seeds_needed,
)
from gmemgpu.report.samples import default_baseline
from gmemgpu.sweeping.store.read import StoredRows, read_rows
from gmemgpu.toml_file import unknown_key

__all__ = ["Verdict", "Comparison", "ComparedGroup", "ComparisonTable", "compare", "comparison_table"]

Verdict: TypeAlias = Literal["better", "worse", "same", "can't tell", "–"]
"""What a comparison comes to, after Holm; "same" if no seed differs, a dash if the quantity does not exist."""

_DEFAULT_QUANTITIES = ("coverage", "benefit", "never", "core_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """
    One policy against the baseline, in one quantity.

    Parameters
    ----------
    policy : str
        Its name.
    quantity : Quantity
        What is compared.
    found : Difference or None
        None where no seed has the quantity for both.
    p_adjusted : float or None
        The p value by Holm's method, over all comparisons of the group.
    verdict : Verdict
        Of the policy.
    seeds : int or None
        Where one can't tell, how many seeds in all would; None if more than 100,000 or if it is no question.
    """

    policy: str
    quantity: Quantity
    found: Difference | None
    p_adjusted: float | None
    verdict: Verdict
    seeds: int | None

    @property
    def wins(self) -> int:
        """Seeds in which the policy is better than the baseline."""
        return 0 if self.found is None else self.found.above if self.quantity.high_is_good else self.found.below

    @property
    def losses(self) -> int:
        """Seeds in which it is worse."""
        return 0 if self.found is None else self.found.below if self.quantity.high_is_good else self.found.above


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedGroup:
    """
    The comparisons of the scenarios that agree in the grouping columns.

    Parameters
    ----------
    keys : dict of str to value
        Grouping column to what these scenarios have there.
    n_scenarios, n_seeds : int
        How many there are.
    comparisons : tuple of Comparison
        Quantity by quantity, policy by policy.
    """

    keys: dict[str, Any]
    n_scenarios: int
    n_seeds: int
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonTable:
    """
    What a store says about policies beside a baseline.

    Parameters
    ----------
    name : str
        The sweep's.
    baseline : str
        The policy that the others are held against.
    quantities : tuple of Quantity
        What was compared.
    n_parts, n_parts_done : int
        If they differ, the table rests on a part of the sweep.
    groups : tuple of ComparedGroup
        One for each choice of the grouping columns.
    """

    name: str
    baseline: str
    quantities: tuple[Quantity, ...]
    n_parts: int
    n_parts_done: int
    groups: tuple[ComparedGroup, ...]


def compare(
    directory: str | Path,
    *,
    baseline: str | None = None,
    group_by: Sequence[str] = (),
    policies: Sequence[str] = (),
    quantities: Sequence[str] = (),
) -> ComparisonTable:
    """
    Read a results directory and compare its policies.

    Parameters
    ----------
    directory : str or Path
        Of a sweep.
    baseline : str, optional
        As for `comparison_table`.
    group_by, policies, quantities : sequence of str
        As for `comparison_table`.

    Returns
    -------
    ComparisonTable
        Of what the directory holds now.

    Raises
    ------
    StoreError
        If it holds no sweep, or no finished part.
    SpecError
        As `comparison_table` does.
    """
    # Columns that nobody asks for are most of a large file.
    known = [found for name in quantities or _DEFAULT_QUANTITIES if (found := quantity_named(name)) is not None]
    columns = {name for quantity in known for name in quantity.columns}
    head = read_rows(directory, ["policy"])
    stored = read_rows(directory, ["label", "preset", *head.axes, "seed", "policy", *columns])
    return comparison_table(stored, baseline=baseline, group_by=group_by, policies=policies, quantities=quantities)


def comparison_table(
    stored: StoredRows,
    *,
    baseline: str | None = None,
    group_by: Sequence[str] = (),
    policies: Sequence[str] = (),
    quantities: Sequence[str] = (),
) -> ComparisonTable:
    """
    Compare the policies of a store's rows with one of them, over the same traces.

    Parameters
    ----------
    stored : StoredRows
        With the columns that the quantities need.
    baseline : str, optional
        A policy; ``merged`` if left out, else ``v10``, else the first.
    group_by : sequence of str
        As for `gmemgpu.report.decision.decision_table`.
    policies : sequence of str
        Which to compare, in this order; all but the oracle if left out.
    quantities : sequence of str
        Keys or header words; coverage, benefit, never and core-s if left out.

    Returns
    -------
    ComparisonTable
        A group for each choice of the grouping columns.

    Raises
    ------
    SpecError
        If a column, policy or quantity is unknown; lists every problem.

    Notes
    -----
    A trace is a scenario with a seed. Where a group holds several scenarios, ratios are of sums over them, others are
    means over them, and each seed counts once. Counts of what is left over, and maxima, are compared by their medians
    over seeds, as `gmemgpu.report.decision` has them. A verdict never contradicts the interval.
    """
    group_by = tuple(group_by) or ("label",)
    policy, names = codes_of(stored.table["policy"])
    baseline = baseline or default_baseline(names)
    _check(baseline, group_by, policies, quantities, names, ("label", "preset", *stored.axes))
    chosen = [name for name in policies or names if name != baseline and (policies or name != ORACLE.name)]
    compared = [found for key in quantities or _DEFAULT_QUANTITIES if (found := quantity_named(key)) is not None]

    label, labels = codes_of(stored.table["label"])
    seed, seeds = numbered(np.concatenate(list(chunks(stored.table["seed"]))))
    group, keys = groups_of([(label, labels) if name == "label" else codes_of(stored.table[name]) for name in group_by])
    trace, _ = combined(label, seed, len(seeds))
    pairs = combined(group, label, len(labels))[1]
    n_scenarios = np.bincount(pairs // len(labels), minlength=len(keys)).tolist()
    cells = _Cells(group * np.int64(len(seeds)) + seed, len(keys), len(seeds))
    base = rows_beside(trace, policy, names.index(baseline))
    bound = names.index(ORACLE.name) if ORACLE.name in names else None
    columns = Columns(stored.table.column, rows_beside(trace, policy, bound))
    differences: list[list[tuple[str, Quantity, Difference | None]]] = [[] for _ in keys]
    for quantity in compared:
        numerator = quantity.numerator(columns)
        denominator = None if quantity.denominator is None else quantity.denominator(columns)
        for name in chosen:
            there = np.flatnonzero((policy == names.index(name)) & (base >= 0))
            by_group = cells.differences(numerator, denominator, there, base[there], typical=quantity.typical)
            for i, one in enumerate(by_group):
                differences[i].append((name, quantity, one))
    n_seeds = [len(np.unique(seed[group == i])) for i in range(len(keys))]
    return ComparisonTable(
        name=stored.name,
        baseline=baseline,
        quantities=tuple(compared),
        n_parts=stored.n_parts,
        n_parts_done=stored.n_parts_done,
        groups=tuple(
            ComparedGroup(
                keys=dict(zip(group_by, key, strict=True)),
                n_scenarios=n_scenarios[i],
                n_seeds=n_seeds[i],
                comparisons=_judged(differences[i]),
            )
            for i, key in enumerate(keys)
        ),
    )


@dataclass(frozen=True, slots=True)
class _Cells:
    # For each row its cell: a seed of a group.
    cell: NDArray[np.int64]
    n_groups: int
    n_seeds: int

    def differences(
        self, numerator: Floats, denominator: Floats | None, own: NDArray[np.int64], base: Codes, *, typical: bool
    ) -> list[Difference | None]:
        # Of each group, between rows and the baseline's on the same traces.
        columns = [numerator] if denominator is None else [numerator, denominator]
        values = np.stack([column[rows] for rows in (own, base) for column in columns])
        there = ~np.isnan(values).any(axis=0)
        cell = self.cell[own][there]
        n_cells = self.n_groups * self.n_seeds
        counts = np.bincount(cell, minlength=n_cells)
        sums: Floats = np.stack([np.bincount(cell, value[there], n_cells) for value in values]).astype(np.float64)
        if denominator is None:
            sums = sums / np.maximum(counts, 1)
        sums[:, counts == 0] = np.nan
        by_group = sums.reshape(len(values), self.n_groups, self.n_seeds)
        if denominator is None:
            compared = median_difference if typical else paired_difference
            return [compared(*by_group[:, i]) for i in range(self.n_groups)]
        return [ratio_difference(tuple(four[:2]), tuple(four[2:])) for four in by_group.transpose(1, 0, 2)]


def _judged(found: Sequence[tuple[str, Quantity, Difference | None]]) -> tuple[Comparison, ...]:
    adjusted = holm([None if one is None else one.p for _, _, one in found])
    judged = []
    for (policy, quantity, one), test in zip(found, adjusted, strict=True):
        verdict: Verdict = "can't tell"
        seeds = None
        if one is None:
            verdict = "–"
        elif one.same:
            verdict = "same"
        elif test is not None and test[0] <= LEVEL and one.has_sign:
            verdict = "better" if (one.difference > 0) is quantity.high_is_good else "worse"
        else:
            seeds = seeds_needed(one, LEVEL if test is None else test[1])
            seeds = None if seeds is None else max(seeds, one.n + 1)
        p = None if test is None else test[0]
        judged.append(
            Comparison(policy=policy, quantity=quantity, found=one, p_adjusted=p, verdict=verdict, seeds=seeds)
        )
    return tuple(judged)


def _check(
    baseline: str,
    group_by: Sequence[str],
    policies: Sequence[str],
    quantities: Sequence[str],
    known: Sequence[str],
    columns: Sequence[str],
) -> None:
    asked = [("--baseline", baseline, known)] if baseline not in known else []
    asked += [("--group-by", name, columns) for name in group_by if name not in columns]
    asked += [("--policy", name, known) for name in policies if name not in known]
    asked += [("--metric", name, quantity_names()) for name in quantities if quantity_named(name) is None]
    problems = [Problem(option, f'"{name}": {unknown_key(name, allowed, "name")}') for option, name, allowed in asked]
    if not problems and not [name for name in policies or known if name not in (baseline, ORACLE.name)]:
        problems.append(Problem("--baseline", f'"{baseline}" is the only policy; there is nothing to hold against it'))
    if problems:
        raise SpecError(problems)
