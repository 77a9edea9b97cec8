"""Which figures there are, and each of them from a results directory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeAlias

from gmemgpu.decision.decision import Decision
from gmemgpu.decision.decision import decide as find_decision
from gmemgpu.errors import GmemgpuError, Problem, SpecError
from gmemgpu.figures.forest import forest
from gmemgpu.figures.heat import heat
from gmemgpu.figures.latency import latency
from gmemgpu.figures.pareto import pareto
from gmemgpu.figures.points import points_of, value_of
from gmemgpu.figures.style import LineStyle, Spec, grid, group_title, line_styles
from gmemgpu.figures.tornado import tornado
from gmemgpu.figures.waits import read_waits
from gmemgpu.figures.worth import worth
from gmemgpu.metrics.quantity import QUANTITIES, Quantity, quantity_named
from gmemgpu.model import ORACLE_NAME
from gmemgpu.report.comparison import ComparisonTable, compare
from gmemgpu.report.decision import DecisionTable, read_decision_table
from gmemgpu.sweeping.store.manifest import read_manifest
from gmemgpu.sweeping.store.status import read_status
from gmemgpu.toml_file import unknown_key

__all__ = ["FIGURES", "MOST_GROUPS", "Choice", "Drawing", "charts", "decision_for", "figure"]

Drawing: TypeAlias = Callable[..., Spec]
"""Draws a chart as wide as its argument ``width`` says, in pixels."""

FIGURES = {
    "pareto": "cost against gain, with intervals; which policies no other one beats",
    "forest": "differences to a baseline on the same traces, with intervals and seeds won, tied, lost",
    "heat": "one metric of all policies and groups, in colours and figures",
    "worth": "what each policy forgoes for every worth of a set bit, and which is best where",
    "tornado": "which axis of the sweep moves the lead over the baseline, and which flips the choice",
    "latency": "how long regions wait for their bit, of all episodes of all seeds",
}
"""Name to what it shows."""

MOST_GROUPS = 40
"""Nobody looks at more charts of a kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """
    What to draw.

    Parameters
    ----------
    directory : str or Path
        Of a sweep.
    group_by, policies : sequence of str
        As for `gmemgpu.report.decision.decision_table`.
    groups : sequence of str
        Titles of those to draw; all if empty.
    x, y : str
        Metrics of the axes of ``pareto``.
    metrics : sequence of str
        Metrics of ``forest`` and ``heat``.
    baseline : str or None
        Of ``forest``, ``worth`` and ``tornado``.
    cost : str
        What ``worth`` and ``tornado`` count as cost.
    worth : dict of str to float
        ``worth`` or ``share`` of a set bit, as `gmemgpu.decision.decision.decide` takes them.
    width : int
        Of a chart, in pixels.
    """

    directory: str | Path
    group_by: Sequence[str] = ()
    policies: Sequence[str] = ()
    groups: Sequence[str] = ()
    x: str = "core_s"
    y: str = "benefit"
    metrics: Sequence[str] = ("benefit",)
    baseline: str | None = None
    cost: str = "core_s"
    worth: Mapping[str, float] = field(default_factory=dict)
    width: int = 620


def _quantity(option: str, name: str) -> Quantity:
    found = quantity_named(name)
    if found is None or found not in QUANTITIES:
        known = [quantity.key for quantity in QUANTITIES]
        raise SpecError(Problem(option, f'"{name}": {unknown_key(name, known, "metric")}'))
    return found


def _table(choice: Choice) -> DecisionTable:
    return read_decision_table(choice.directory, group_by=choice.group_by, policies=choice.policies)


def _paretos(choice: Choice) -> Iterator[tuple[str, list[Drawing]]]:
    x, y = _quantity("--x", choice.x), _quantity("--y", choice.y)
    for group in _table(choice).groups:
        title = group_title(group.keys)
        points = list(points_of(group, x, y))
        yield title, [partial(pareto, points, x, y, title=title)] if points else []


def _forests(choice: Choice) -> Iterator[tuple[str, list[Drawing]]]:
    def compared(metrics: Sequence[str]) -> ComparisonTable:
        return compare(
            choice.directory,
            baseline=choice.baseline,
            group_by=choice.group_by,
            policies=choice.policies,
            quantities=metrics,
        )

    # Verdicts depend on what is compared together: those of the usual metrics are the ones that `show --baseline` has.
    table = compared(())
    wanted = [quantity_named(name) for name in choice.metrics]
    if not all(quantity in table.quantities for quantity in wanted):
        table = compared(choice.metrics)
        wanted = list(table.quantities)
    for group in table.groups:
        title = group_title(group.keys)
        drawn: list[Drawing] = []
        for quantity in table.quantities:
            if quantity not in wanted:
                continue
            comparisons = [one for one in group.comparisons if one.quantity is quantity]
            if any(one.found is not None for one in comparisons):
                drawn.append(partial(forest, comparisons, quantity, table.baseline, title=title))
        yield title, drawn


def _check_groups(choice: Choice, titles: Sequence[str]) -> None:
    problems = [
        Problem("--group", f'"{group}": {unknown_key(group, titles, "group")}')
        for group in choice.groups
        if group not in titles
    ]
    if problems:
        raise SpecError(problems)


def _heats(choice: Choice) -> Iterator[tuple[str, list[Drawing]]]:
    groups = _table(choice).groups
    _check_groups(choice, [group_title(group.keys) for group in groups])
    groups = tuple(group for group in groups if not choice.groups or group_title(group.keys) in choice.groups)
    for name in choice.metrics:
        quantity = _quantity("--metric", name)
        columns = [
            (
                group_title(group.keys),
                {
                    line.policy: None if (found := line.estimates[quantity.key]) is None else value_of(found, quantity)
                    for line in group.lines
                    if line.policy != ORACLE_NAME
                },
            )
            for group in groups[:MOST_GROUPS]
        ]
        there = any(value is not None for _, column in columns for value in column.values())
        yield "", [partial(heat, columns, quantity, n_more=max(0, len(groups) - MOST_GROUPS))] if there else []


def _styles(choice: Choice) -> dict[str, LineStyle]:
    # Of all policies of the sweep, whichever are drawn and in whatever order.
    return line_styles(read_manifest(choice.directory).spec["policies"])


def _latencies(choice: Choice) -> Iterator[tuple[str, list[Drawing]]]:
    _table(choice)
    styles = _styles(choice)
    for keys, waits in read_waits(choice.directory, group_by=choice.group_by, policies=choice.policies):
        title = group_title(keys)
        drawn = any(found.episodes for found in waits.values())
        yield title, [partial(latency, waits, title=title, styles=styles)] if drawn else []


def decision_for(choice: Choice) -> Decision:
    """
    Find which policy to take.

    Parameters
    ----------
    choice : Choice
        What of.

    Returns
    -------
    Decision
        As `gmemgpu.decision.decision.decide` finds it.
    """
    return find_decision(
        choice.directory,
        group_by=choice.group_by,
        policies=choice.policies,
        baseline=choice.baseline,
        cost=choice.cost,
        **choice.worth,
    )


def _worths(choice: Choice) -> Iterator[tuple[str, list[Drawing]]]:
    styles = _styles(choice)
    for group in decision_for(choice).groups:
        title = group_title(group.weighed.keys)
        draw = partial(worth, group.weighed, group.priced[0].ranges, group.answer.worth, title=title, styles=styles)
        yield title, [draw] if group.weighed.bound else []


def _tornados(choice: Choice) -> Iterator[tuple[str, list[Drawing]]]:
    if choice.groups:
        raise SpecError(Problem("--group", "a tornado is over all groups; leave it out"))
    decision = decision_for(choice)
    axes = decision.axes
    yield "", [partial(tornado, axes, decision.baseline, decision.kind.lead_unit)] if axes else []


_DRAWN: dict[str, Callable[[Choice], Iterator[tuple[str, list[Drawing]]]]] = {
    "pareto": _paretos,
    "forest": _forests,
    "heat": _heats,
    "worth": _worths,
    "tornado": _tornados,
    "latency": _latencies,
}


def charts(name: str, choice: Choice) -> tuple[list[tuple[str, list[Drawing]]], int]:
    """
    Draw a figure group by group.

    Parameters
    ----------
    name : str
        One of `FIGURES`.
    choice : Choice
        What of.

    Returns
    -------
    charts : list of (str, list of Drawing)
        Title of a group and its charts, one a metric; none where there is nothing to see.
    n_more : int
        Groups beyond `MOST_GROUPS`, which are not drawn.

    Raises
    ------
    StoreError
        If the directory holds no sweep, or no finished part.
    SpecError
        If a metric, policy, column or group is unknown.
    """
    found = list(_DRAWN[name](choice))
    titles = [title for title, _ in found if title]
    if titles:
        _check_groups(choice, titles)
        found = [one for one in found if not choice.groups or one[0] in choice.groups]
    return found[:MOST_GROUPS], max(0, len(found) - MOST_GROUPS)


def figure(name: str, choice: Choice) -> tuple[Spec, list[str]]:
    """
    Draw a figure as one chart: two groups beside each other, or a row a group and a column a metric.

    Parameters
    ----------
    name : str
        One of `FIGURES`.
    choice : Choice
        What of.

    Returns
    -------
    figure : Spec
        What to write.
    left_out : list of str
        What a person should know: groups without anything to draw, or too many.

    Raises
    ------
    GmemgpuError
        If no group has anything to draw; as `charts` does.
    """
    found, n_more = charts(name, choice)
    drawn = [[draw(width=choice.width) for draw in draws] for _, draws in found if draws]
    if not drawn:
        lacking = {
            "pareto": f"no policy has {choice.x} and {choice.y}",
            "latency": "no policy has episodes",
            "worth": "there is nothing to gain, or no oracle that says how much",
            "tornado": "the sweep has no axis of several values",
        }
        reason = lacking.get(name, f"no policy has {' and '.join(choice.metrics)}")
        raise GmemgpuError(f"{choice.directory}: nothing to draw: {reason}")
    notes = [f"{title}: nothing to draw, left out" for title, draws in found if title and not draws]
    if n_more:
        verb = "group is" if n_more == 1 else "groups are"
        notes.append(f"{n_more:,} more {verb} not drawn; --group chooses, --group-by puts scenarios together")
    if len(drawn[0]) == 1 < len(drawn):
        flat = [specs[0] for specs in drawn]
        drawn = [flat[i : i + 2] for i in range(0, len(flat), 2)]
    status = read_status(choice.directory)
    if status.n_done == status.n_parts:
        return grid(drawn), notes
    # A figure goes further than the words beside it.
    unfinished = f"Not finished: {status.n_done:,} of {status.n_parts:,} parts"
    notes.append(f"{unfinished}; run the sweep again to go on.")
    return {"title": {"text": unfinished, "anchor": "start"}, "vconcat": [grid(drawn)]}, notes
