"""The decision table: policies × quantities, with their intervals over seeds, for each group of scenarios."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from gmemgpu.errors import Problem, SpecError
from gmemgpu.metrics.columns import Columns, Floats, chunks
from gmemgpu.metrics.quantity import QUANTITIES, Quantity, quantity_named, quantity_names
from gmemgpu.model import ORACLE_NAME
from gmemgpu.model.rmp_figure import RMP_FIGURE_NAMES
from gmemgpu.report.grouping import codes_of, combined, group_sums, groups_of, numbered, rows_beside, stops_of
from gmemgpu.report.pooled import Pooled, pooled_percentiles
from gmemgpu.report.statistics import Estimate, median_estimates, ratio_estimates
from gmemgpu.report.trace_figures import TRACE_FIGURE_COLUMNS, TraceFigures, trace_figures
from gmemgpu.sweeping.store.read import RunReader, StoredRows, read_rows
from gmemgpu.toml_file import unknown_key

__all__ = ["DecisionTable", "Group", "PolicyLine", "decision_table", "read_decision_table"]

_HISTOGRAM = "latency_histogram"

_ROWS_AT_ONCE = 8192
"""At least so many, up to the end of a group: temporary arrays stay in the cache."""


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
    traces : TraceFigures
        Sums over all their traces.
    lines : tuple of PolicyLine
        One a policy.
    """

    keys: dict[str, Any]
    n_scenarios: int
    traces: TraceFigures
    lines: tuple[PolicyLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionTable:
    """
    What a store says about policies.

    Parameters
    ----------
    name, sweep_id, version : str
        The sweep's name, its hash, and the version of gmemgpu that began it.
    seeds : tuple of int
        Those that have rows, ascending.
    n_parts, n_parts_done : int
        If they differ, the table rests on a part of the sweep.
    quantities : tuple of Quantity
        What each line has.
    n_groups : int
        One for each choice of the grouping columns.
    groups : tuple of Group
        The first of them, or all.
    """

    name: str
    sweep_id: str
    version: str
    seeds: tuple[int, ...]
    n_parts: int
    n_parts_done: int
    quantities: tuple[Quantity, ...]
    n_groups: int
    groups: tuple[Group, ...]


def read_decision_table(
    directory: str | Path,
    *,
    group_by: Sequence[str] = (),
    policies: Sequence[str] = (),
    sort: str | None = None,
    quantities: Sequence[str] = (),
    most_groups: int | None = None,
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
    quantities : sequence of str
        As for `decision_table`.
    most_groups : int, optional
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
    Of a finished sweep rows are read as they are needed, those of some groups at a time. Of an unfinished one all but
    the histograms are read at once, since parts may come while this reads.
    """
    stored = read_rows(directory, ["policy"])
    if stored.n_parts_done < stored.n_parts:
        known = [*QUANTITIES, *(found for name in quantities if (found := quantity_named(name)) is not None)]
        metrics = (name for quantity in known for name in quantity.columns)
        keys = ("label", "preset", *stored.axes, "seed", "policy", *TRACE_FIGURE_COLUMNS)
        stored = read_rows(directory, list(dict.fromkeys((*keys, *_images(stored), *metrics))))
    return decision_table(
        stored, group_by=group_by, policies=policies, sort=sort, quantities=quantities, most_groups=most_groups
    )


def decision_table(
    stored: StoredRows,
    *,
    group_by: Sequence[str] = (),
    policies: Sequence[str] = (),
    sort: str | None = None,
    quantities: Sequence[str] = (),
    most_groups: int | None = None,
) -> DecisionTable:
    """
    Build the decision table of a store's rows.

    Parameters
    ----------
    stored : StoredRows
        With the column ``policy``.
    group_by : sequence of str
        ``label``, ``preset``, or axes; each scenario by itself if left out. Where a group holds several scenarios a
        seed counts once, since the traces of one seed are not independent: with sums over them, or the mean.
    policies : sequence of str
        Which to show, in this order; all if left out.
    sort : str, optional
        ``policy``, or the header word or key of a quantity: the best policy of each group first.
    quantities : sequence of str
        Keys or header words; those of `QUANTITIES` if left out.
    most_groups : int, optional
        Only the first ones are made; all if left out.

    Returns
    -------
    DecisionTable
        A group for each choice of the grouping columns.

    Raises
    ------
    SpecError
        If a column, policy or quantity is unknown; lists every problem.
    """
    group_by = tuple(group_by) or ("label",)
    policy, names = codes_of(stored.table["policy"])
    _check(group_by, policies, sort, quantities, names, ("label", "preset", *stored.axes))
    chosen = tuple(found for name in quantities if (found := quantity_named(name)) is not None) or QUANTITIES
    by = quantity_named(sort) if sort is not None else None
    shown = (*chosen, by) if by is not None and by not in chosen else chosen
    wanted = [names.index(name) for name in policies] or list(range(len(names)))
    reader = RunReader(stored)
    read = partial(reader.column, start=0, stop=len(policy))
    label, labels = codes_of(read("label"))
    seed, seeds = numbered(np.concatenate(list(chunks(read("seed")))))
    group, keys = groups_of([(label, labels) if name == "label" else codes_of(read(name)) for name in group_by])
    n_groups = len(keys)
    if most_groups is not None and n_groups > most_groups:
        # Groups come in the order of their first rows: what is after the last row of these is not needed.
        keys = keys[:most_groups]
        stop = int(np.flatnonzero(group < most_groups)[-1]) + 1
        policy, label, seed, group = (codes[:stop] for codes in (policy, label, seed, group))
        group = np.minimum(group, most_groups).astype(np.int32)
        seed_numbers = seeds[np.unique(seed)]
    else:
        seed_numbers = seeds
    pairs = combined(group, label, len(labels))[1]
    n_scenarios = np.bincount(pairs // len(labels)).tolist()
    bound = names.index(ORACLE_NAME) if ORACLE_NAME in names else None
    made: list[Group] = []
    # Groups are numbered as they come, and so those of a run of rows follow each other.
    for start, stop in pairwise([0, *stops_of(group, _ROWS_AT_ONCE)]):
        run = slice(start, stop)
        of_group = group[run] - np.int32(len(made))
        n_made = int(of_group.max()) + 1
        trace, traces = combined(label[run], seed[run], len(seeds))
        columns = Columns(partial(reader.column, start=start, stop=stop), rows_beside(trace, policy[run], bound))
        of_traces = trace_figures(columns, trace, len(traces), of_group, n_made, with_images=bool(_images(stored)))

        # A line is a group and a policy; a seed counts once in it.
        line = (of_group * np.int64(len(names)) + policy[run]).astype(np.int32)
        draw, draws = combined(line, seed[run], len(seeds))
        line_of_draw = (draws // len(seeds)).astype(np.int32)
        rows = Pooled(line=line, draw=draw, line_of_draw=line_of_draw, n_lines=n_made * len(names))
        n_seeds = np.bincount(line_of_draw, minlength=rows.n_lines).tolist()
        by_draw = len(draws) < len(line) or max(n_scenarios) > 1
        estimates = {one.key: _estimates(one, columns, rows, by_draw=by_draw) for one in shown if one.percent is None}
        if pooled := [one for one in shown if one.percent is not None]:
            exact = [(one.percent or 0, one.numerator(columns)) for one in pooled]
            percentiles = pooled_percentiles(rows, reader.pieces(_HISTOGRAM, start, stop), exact)
            estimates |= dict(zip([one.key for one in pooled], percentiles, strict=True))
        for index in range(min(n_made, len(keys) - len(made))):
            places = ((index * len(names) + code, names[code]) for code in wanted)
            lines = [
                PolicyLine(
                    policy=name, n_seeds=n_seeds[at], estimates={one.key: estimates[one.key][at] for one in shown}
                )
                for at, name in places
                if n_seeds[at]
            ]
            made.append(
                Group(
                    keys=dict(zip(group_by, keys[len(made)], strict=True)),
                    n_scenarios=n_scenarios[len(made)],
                    traces=of_traces[index],
                    lines=_sorted(lines, sort, by),
                )
            )
    return DecisionTable(
        name=stored.name,
        sweep_id=stored.sweep_id,
        version=stored.version,
        seeds=tuple(seed_numbers.tolist()),
        n_parts=stored.n_parts,
        n_parts_done=stored.n_parts_done,
        quantities=shown,
        n_groups=n_groups,
        groups=tuple(made),
    )


def _images(stored: StoredRows) -> tuple[str, ...]:
    # Columns of images of the RMP, of which there are all or none.
    names = stored.names or stored.table.column_names
    return RMP_FIGURE_NAMES if RMP_FIGURE_NAMES[0] in names else ()


def _estimates(quantity: Quantity, columns: Columns, rows: Pooled, *, by_draw: bool) -> list[Estimate | None]:
    numerator = quantity.numerator(columns)
    denominator = None if quantity.denominator is None else quantity.denominator(columns)
    line = rows.line
    if by_draw:
        numerator, denominator = _by_draw(rows, numerator, denominator)
        line = rows.line_of_draw
    if quantity.typical:
        return median_estimates(numerator, line, rows.n_lines)
    return ratio_estimates(numerator, denominator, line, rows.n_lines, share=quantity.unit == "share")


def _by_draw(rows: Pooled, numerator: Floats, denominator: Floats | None) -> tuple[Floats, Floats | None]:
    # Several scenarios have the same seed: sums over them of a ratio, else their mean.
    there = ~np.isnan(numerator)
    if denominator is not None:
        there &= ~np.isnan(denominator)
    draw, n_draws = rows.draw[there], len(rows.line_of_draw)
    n = np.bincount(draw, minlength=n_draws).astype(np.float64)
    n[n == 0] = np.nan
    above = group_sums(numerator[there], draw, n_draws)
    if denominator is None:
        return above / n, None
    return np.where(np.isnan(n), n, above), group_sums(denominator[there], draw, n_draws)


def _check(
    group_by: Sequence[str],
    policies: Sequence[str],
    sort: str | None,
    quantities: Sequence[str],
    known: Sequence[str],
    columns: Sequence[str],
) -> None:
    asked = [("--group-by", name, columns) for name in group_by if name not in columns]
    asked += [("--policy", name, known) for name in policies if name not in known]
    asked += [("--metric", name, quantity_names()) for name in quantities if quantity_named(name) is None]
    if sort not in (None, "policy") and quantity_named(sort) is None:
        headers = [quantity.header for quantity in QUANTITIES]
        asked.append(("--sort", sort, ["policy", *headers]))
    if asked:
        raise SpecError(
            Problem(option, f'"{name}": {unknown_key(name, allowed, "name")}') for option, name, allowed in asked
        )


def _sorted(lines: list[PolicyLine], sort: str | None, quantity: Quantity | None) -> tuple[PolicyLine, ...]:
    if sort == "policy":
        return tuple(sorted(lines, key=lambda line: line.policy))
    if quantity is None:
        return tuple(lines)
    key, sign = quantity.key, -1.0 if quantity.high_is_good else 1.0

    def best_first(line: PolicyLine) -> float:
        found = line.estimates[key]
        return math.inf if found is None else sign * found.value

    return tuple(sorted(lines, key=best_first))
