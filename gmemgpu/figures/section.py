"""Sections of a report: what each says, its tables, and its charts in two widths."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from gmemgpu.decision.decision import DecidedGroup, Decision
from gmemgpu.decision.sentence import group_name, notes, sentence
from gmemgpu.decision.text import range_rows
from gmemgpu.explain.region_map import RegionMap
from gmemgpu.figures.catalogue import MOST_GROUPS, Choice, Drawing, charts
from gmemgpu.figures.style import Spec, group_title
from gmemgpu.figures.time_map import time_map
from gmemgpu.metrics.quantity import Quantity
from gmemgpu.report.decision import DecisionTable, Group
from gmemgpu.report.estimate_text import estimate_text
from gmemgpu.report.trace_figures import images_text

__all__ = ["Section", "Table", "map_section", "sections"]

_WIDE_PX, _NARROW_PX = 590, 345


@dataclass(frozen=True, slots=True)
class Table:
    """
    A table that can be sorted.

    Parameters
    ----------
    title : str
        Above it.
    heads : sequence of str
        One a column.
    rows : sequence of dict
        ``name``, and ``cells`` with ``value`` to sort by and ``text``.
    """

    title: str
    heads: Sequence[str]
    rows: Sequence[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """
    A part of the page.

    Parameters
    ----------
    key : str
        Its address.
    title, how : str
        What it is, and how to read it.
    lines : sequence of str
        Paragraphs.
    tables : sequence of Table
        Under them.
    charts : sequence of (Spec, Spec)
        Under those: each wide, and narrow for a phone.
    """

    key: str
    title: str
    how: str
    lines: Sequence[str] = ()
    tables: Sequence[Table] = ()
    charts: Sequence[tuple[Spec, Spec]] = field(default=())


_REPORTED_FROM = 0.01
"""A load of which more finds no room does not fit its host, and says little about policies."""

_OF_SEVERAL = ("worth", "forest", "tornado")
"""Figures that one policy alone cannot have."""

_FIGURES: tuple[tuple[str, dict[str, Any], str, str], ...] = (
    (
        "worth",
        {},
        "What is best for which worth of a set bit",
        "Nobody has published what a set bit is worth, so here is the answer for every worth. Tables: the policy that "
        "is best, the worth from which on it is, where it and the one above are not told apart, and its lead over the "
        "second best, at the worth asked for or amid a range that does not hold it (?: one can't tell). Charts: what a "
        "policy forgoes, its cost included, of all that set bits could save. The lowest line is best; dotted lines are "
        "switches, the upright one is the worth asked for. Trackers are free here; gmemgpu decide has prices.",
    ),
    (
        "pareto",
        {},
        "Cost and benefit",
        "Each point is a policy: what it costs across, what it brings upwards, so up and left is better. Blue diamonds "
        "are beaten by no policy in both at once; the dashed line joins them. Thin bars are 95 % intervals over seeds. "
        "Benefit lies by its nines: each step towards the top loses a tenth of the step before. Point at one for its "
        "figures and for what beats it.",
    ),
    (
        "forest",
        {"metrics": ("benefit", "core_s")},
        "Differences to the baseline",
        "Each line is a policy less the baseline on the same traces, with its 95 % interval; what both owe to a trace "
        "is not in it. W/T/L counts seeds won, tied and lost. Blue triangles up are better, red ones down worse, told "
        "apart by Holm's method at 5 % over all comparisons of a group, coverage and never among them; grey can't be "
        "told apart with these seeds (in brackets: how many would).",
    ),
    (
        "heat",
        {"metrics": ("benefit", "core_s")},
        "Policies by workloads",
        "A row is a policy, a column a group of scenarios; dark is good. A policy that is dark all along its row is a "
        "choice for every workload here.",
    ),
    (
        "tornado",
        {},
        "What the choice hangs on",
        "A bar spans the lead of the best policy over the baseline along an axis of the sweep, the other axes pooled; "
        "the longest is first. Dots are its values: point at one for the policy that is best there. Red: the choice "
        "flips.",
    ),
    (
        "latency",
        {},
        "Waiting times",
        "How many of the free episodes of all seeds have their bit within a time. A line that ends below 100 % leaves "
        "the rest without: assigned again, or the trace at its end, before a pass found them free. Click a name to see "
        "its line alone.",
    ),
)


def _decisions(groups: Sequence[Group], quantities: Sequence[Quantity]) -> Section:
    tables = []
    for group in groups:
        rows = [
            {
                "name": line.policy,
                "cells": [
                    {
                        "value": "" if (found := line.estimates[quantity.key]) is None else repr(found.value),
                        "text": estimate_text(found, quantity.unit, line.n_seeds),
                    }
                    for quantity in quantities
                ],
            }
            for line in group.lines
        ]
        seeds = max((line.n_seeds for line in group.lines), default=0)
        title = f"{group_title(group.keys)} · {seeds} seed{'' if seeds == 1 else 's'}"
        rejected, drawn = group.traces.rejected, group.traces.admitted + group.traces.rejected
        if rejected > _REPORTED_FROM * drawn:
            title += f" · {rejected:,} of {drawn:,} VMs found no room"
        tables.append(Table(title, ["policy", *(quantity.header for quantity in quantities)], rows))
    meanings = "; ".join(f"{quantity.header}: {quantity.meaning}" for quantity in quantities)
    return Section(
        key="table",
        title="Decision table",
        how="Click a heading to sort. ± or (a–b): 95 % interval over seeds; of never and longest pass a median over "
        "seeds with its interval. (≥a): nothing bounds it above. n/N: n of N seeds have the figure. –: there is "
        f"nothing to measure. {meanings}.",
        lines=[f"{group_title(group.keys)}: {text}" for group in groups if (text := images_text(group.traces))],
        tables=tables,
    )


def _ranges(decision: Decision, group: DecidedGroup) -> Table:
    rows = [
        {"name": one.best, "cells": [{"value": i, "text": text} for text in row[:2] + row[3:]]}
        for i, (one, row) in enumerate(
            zip(group.priced[0].ranges, range_rows(group, group.priced[0].ranges), strict=True)
        )
    ]
    kind = decision.kind
    heads = ["best", f"from [{kind.unit} per {kind.per}]", "95 %", f"lead [{kind.lead_unit}]", "over", "seeds"]
    return Table(group_name(group.weighed), heads, rows)


def _answer(decision: Decision, groups: Sequence[DecidedGroup]) -> Section:
    lines = [" ".join([sentence(decision, group), *notes(decision, group)]) for group in groups]
    return Section(
        key="answer",
        title="Answer",
        how="What the seeds carry, and no more: what sentences say of the baseline is tested on the same traces, at 5 "
        "% over all policies.",
        lines=[line.replace("`", "") for line in lines],
    )


def _drawn(draws: Iterable[Drawing]) -> list[tuple[Spec, Spec]]:
    return [(draw(width=_WIDE_PX), draw(width=_NARROW_PX)) for draw in draws]


def map_section(title: str, found: RegionMap) -> Section:
    """
    Build the section of a map.

    Parameters
    ----------
    title : str
        Which trace and policy.
    found : RegionMap
        What to draw.

    Returns
    -------
    Section
        With one chart.
    """
    return Section(
        key="map",
        title="One trace, region by region",
        how="Time goes to the right, regions of 1 GiB upwards. Dark: a guest's page lies there. Light: free and "
        "optimized. Red: free, and not optimized. The strips above say when requests came and passes started.",
        charts=_drawn([partial(time_map, found, title=title)]),
    )


def sections(table: DecisionTable, decision: Decision | None, choice: Choice) -> Iterator[Section]:
    """
    Build the sections of a report.

    Parameters
    ----------
    table : DecisionTable
        With all quantities.
    decision : Decision or None
        None where there is one policy only, and so nothing to decide.
    choice : Choice
        What to draw; its metrics are set here.

    Yields
    ------
    Section
        Those that have something to show.
    """
    groups = table.groups[:MOST_GROUPS]
    if decision is not None:
        yield _answer(decision, decision.groups[:MOST_GROUPS])
    yield _decisions(groups, [quantity for quantity in table.quantities if quantity.in_tables])
    for name, more, title, how in _FIGURES:
        if decision is None and name in _OF_SEVERAL:
            continue
        found, _ = charts(name, replace(choice, **more))
        drawn = _drawn(draw for _, draws in found for draw in draws)
        tables = []
        if decision is not None and name == "worth":
            tables = [_ranges(decision, group) for group in decision.groups[:MOST_GROUPS]]
        if drawn or tables:
            yield Section(key=name, title=title, how=how, tables=tables, charts=drawn)
