"""Samples of quantities for each group of scenarios: policies × seeds, every policy on the same traces."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmemgpu.errors import Problem, SpecError
from gmemgpu.metrics.columns import Columns, Floats, chunks
from gmemgpu.metrics.quantity import Quantity
from gmemgpu.model import ORACLE_NAME
from gmemgpu.report.grouping import codes_of, combined, groups_of, numbered, rows_beside
from gmemgpu.sweeping.store.read import StoredRows, read_rows
from gmemgpu.toml_file import unknown_key

__all__ = ["Sums", "Sample", "Samples", "read_samples", "samples_of", "default_baseline"]

_DEFAULT_BASELINES = ("merged", "v10")


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """
    One quantity of every policy in every seed.

    Parameters
    ----------
    numerator : (n_policies, n_seeds) float64
        Of a ratio the sum over the scenarios of a group, else the mean over them; not a number where there is none.
    denominator : (n_policies, n_seeds) float64 or None
        What a ratio is divided by, summed likewise; None for a quantity that is no ratio.
    """

    numerator: Floats
    denominator: Floats | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """
    The scenarios that agree in the grouping columns.

    Parameters
    ----------
    keys : dict of str to value
        Grouping column to what these scenarios have there.
    n_scenarios : int
        How many agree.
    seeds : (n_seeds,) bool
        Which of `Samples.seeds` have a row here.
    sums : dict of str to Sums
        By `Quantity.key`.
    """

    keys: dict[str, Any]
    n_scenarios: int
    seeds: NDArray[np.bool_]
    sums: dict[str, Sums]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Samples:
    """
    What a store holds of some quantities.

    Parameters
    ----------
    name : str
        The sweep's.
    policies : tuple of str
        First axis of every `Sums`; in the order of the spec.
    seeds : tuple of int
        Second axis, ascending.
    n_parts, n_parts_done : int
        If they differ, the samples rest on a part of the sweep.
    groups : tuple of Sample
        One for each choice of the grouping columns.
    """

    name: str
    policies: tuple[str, ...]
    seeds: tuple[int, ...]
    n_parts: int
    n_parts_done: int
    groups: tuple[Sample, ...]


def read_samples(directory: str | Path, quantities: Iterable[Quantity], *, group_by: Sequence[str] = ()) -> Samples:
    """
    Read samples of a results directory.

    Parameters
    ----------
    directory : str or Path
        Of a sweep.
    quantities : iterable of Quantity
        Which.
    group_by : sequence of str
        As for `gmemgpu.report.decision.decision_table`.

    Returns
    -------
    Samples
        Of what the directory holds now.

    Raises
    ------
    StoreError
        If it holds no sweep, or no finished part.
    SpecError
        If a grouping column is unknown.
    """
    quantities = tuple(quantities)
    # Columns that nobody asks for are most of a large file.
    columns = {name for quantity in quantities for name in quantity.columns}
    head = read_rows(directory, ["policy"])
    stored = read_rows(directory, ["label", "preset", *head.axes, "seed", "policy", *columns])
    return samples_of(stored, quantities, group_by=group_by)


def samples_of(stored: StoredRows, quantities: Iterable[Quantity], *, group_by: Sequence[str] = ()) -> Samples:
    """
    Collect samples of a store's rows.

    Parameters
    ----------
    stored : StoredRows
        With the columns that the quantities need.
    quantities : iterable of Quantity
        Which.
    group_by : sequence of str
        As for `gmemgpu.report.decision.decision_table`.

    Returns
    -------
    Samples
        A group for each choice of the grouping columns.

    Raises
    ------
    SpecError
        If a grouping column is unknown.

    Notes
    -----
    A trace is a scenario with a seed. Traces of one seed are not independent, so where a group holds several scenarios
    each seed counts once.
    """
    group_by = tuple(group_by) or ("label",)
    known = ("label", "preset", *stored.axes)
    problems = [
        Problem("--group-by", f'"{name}": {unknown_key(name, known, "name")}') for name in group_by if name not in known
    ]
    if problems:
        raise SpecError(problems)
    policy, names = codes_of(stored.table["policy"])
    label, labels = codes_of(stored.table["label"])
    seed, seeds = numbered(np.concatenate(list(chunks(stored.table["seed"]))))
    group, keys = groups_of([(label, labels) if name == "label" else codes_of(stored.table[name]) for name in group_by])
    pairs = combined(group, label, len(labels))[1]
    n_scenarios = np.bincount(pairs // len(labels), minlength=len(keys)).tolist()
    shape = (len(keys), len(names), len(seeds))
    cell = (group * np.int64(shape[1]) + policy) * shape[2] + seed
    counts = np.bincount(cell, minlength=math.prod(shape)).reshape(shape)
    bound = names.index(ORACLE_NAME) if ORACLE_NAME in names else None
    columns = Columns(stored.table.column, rows_beside(combined(label, seed, len(seeds))[0], policy, bound))
    found: dict[str, list[Sums]] = {}
    for quantity in quantities:
        numerator = quantity.numerator(columns)
        denominator = None if quantity.denominator is None else quantity.denominator(columns)
        found[quantity.key] = _added(cell, shape, numerator, denominator)
    return Samples(
        name=stored.name,
        policies=tuple(names),
        seeds=tuple(seeds.tolist()),
        n_parts=stored.n_parts,
        n_parts_done=stored.n_parts_done,
        groups=tuple(
            Sample(
                keys=dict(zip(group_by, key, strict=True)),
                n_scenarios=n_scenarios[i],
                seeds=counts[i].sum(axis=0) > 0,
                sums={name: sums[i] for name, sums in found.items()},
            )
            for i, key in enumerate(keys)
        ),
    )


def _added(
    cell: NDArray[np.int64], shape: tuple[int, int, int], numerator: Floats, denominator: Floats | None
) -> list[Sums]:
    # Of each group: rows added up by policy and seed.
    exists = ~np.isnan(numerator)
    if denominator is not None:
        exists &= ~np.isnan(denominator)
    counts = np.bincount(cell[exists], minlength=math.prod(shape)).reshape(shape)

    def summed(values: Floats) -> Floats:
        sums: Floats = np.bincount(cell[exists], values[exists], math.prod(shape)).astype(np.float64).reshape(shape)
        sums[counts == 0] = np.nan
        return sums

    if denominator is None:
        return [Sums(mean, None) for mean in summed(numerator) / np.maximum(counts, 1)]
    return [Sums(*both) for both in zip(summed(numerator), summed(denominator), strict=True)]


def default_baseline(policies: Sequence[str]) -> str:
    """
    Return the policy that others are held against if nobody names one.

    Parameters
    ----------
    policies : sequence of str
        Of a sweep, at least one.

    Returns
    -------
    str
        What the kernel does: ``merged``, else ``v10``; else the first.
    """
    return next((name for name in _DEFAULT_BASELINES if name in policies), policies[0])
