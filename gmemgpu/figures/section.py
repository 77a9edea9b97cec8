"""Sections of a report: what each says, its tables, and its charts in two widths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gmemgpu.figures.catalogue import MOST_GROUPS, Choice, charts
from gmemgpu.figures.pareto import front
from gmemgpu.figures.points import points_of
from gmemgpu.figures.style import Spec, group_title
from gmemgpu.metrics.quantity import TABLE_QUANTITIES, quantity_named
from gmemgpu.model import ORACLE_NAME
from gmemgpu.report.decision import DecisionTable, Group
from gmemgpu.report.estimate_text import estimate_text

__all__ = ["Section", "Table", "sections"]

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


_FIGURES: tuple[tuple[str, dict[str, Any], str, str], ...] = (
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
        "latency",
        {},
        "Waiting times",
        "How many of the free episodes of all seeds have their bit within a time. A line that ends below 100 % leaves "
        "the rest without: assigned again, or the trace at its end, before a pass found them free. Click a name to see "
        "its line alone.",
    ),
)


def _decisions(groups: Sequence[Group]) -> Section:
    tables = []
    for group in groups:
        rows = [
            {
                "name": line.policy,
                "cells": [
                    {
                        "value": "" if (found := line.estimates[quantity.key]) is None else repr(found.value),
                        "text": estimate_text(found, quantity.unit),
                    }
                    for quantity in TABLE_QUANTITIES
                ],
            }
            for line in group.lines
        ]
        seeds = max((line.n_seeds for line in group.lines), default=0)
        title = f"{group_title(group.keys)} · {seeds} seed{'' if seeds == 1 else 's'}"
        tables.append(Table(title, ["policy", *(quantity.header for quantity in TABLE_QUANTITIES)], rows))
    meanings = "; ".join(f"{quantity.header}: {quantity.meaning}" for quantity in TABLE_QUANTITIES)
    return Section(
        key="table",
        title="Decision table",
        how=f"Click a heading to sort. ± is half of a 95 % interval over seeds. {meanings}.",
        tables=tables,
    )


def _unbeaten(groups: Sequence[Group]) -> Iterator[str]:
    x, y = quantity_named("core_s"), quantity_named("benefit")
    assert x is not None
    assert y is not None
    for group in groups:
        if points := list(points_of(group, x, y)):
            best = ", ".join(f"{one.policy} ({one.y.text} for {one.x.text} core-s)" for one in front(points, x, y))
            yield f"{group_title(group.keys)}: no policy beats {best}."


def sections(table: DecisionTable, choice: Choice) -> Iterator[Section]:
    """
    Build the sections of a report.

    Parameters
    ----------
    table : DecisionTable
        With all quantities.
    choice : Choice
        What to draw; its metrics and width are set here.

    Yields
    ------
    Section
        Those that have something to show.
    """
    groups = table.groups[:MOST_GROUPS]
    if lines := list(_unbeaten(groups)):
        yield Section(
            key="unbeaten",
            title="What no policy beats",
            how="Of these none is at once cheaper and of more benefit than another; which one to take is a matter of "
            "what a core-second is worth.",
            lines=lines,
        )
    yield _decisions(groups)
    policies = {line.policy for group in groups for line in group.lines} - {ORACLE_NAME}
    for name, more, title, how in _FIGURES:
        if name == "forest" and len(policies) < 2:
            continue
        wide, narrow = (
            [spec for _, specs in charts(name, replace(choice, width=width, **more))[0] for spec in specs]
            for width in (_WIDE_PX, _NARROW_PX)
        )
        if wide:
            yield Section(key=name, title=title, how=how, charts=list(zip(wide, narrow, strict=True)))
