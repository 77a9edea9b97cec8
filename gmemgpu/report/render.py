"""A decision table for people: plain text of a given width, in which no figure is broken."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from gmemgpu.metrics.quantity import LEAST_BENEFIT, Quantity
from gmemgpu.report.ascii import to_ascii
from gmemgpu.report.decision import DecisionTable, Group
from gmemgpu.report.estimate_text import Cell, cell_of
from gmemgpu.report.statistics import Estimate
from gmemgpu.report.trace_figures import TraceFigures, images_text, merged_figures

__all__ = ["MOST_GROUPS", "decision_lines", "pivot_lines", "provenance_lines"]

MOST_GROUPS = 40
"""Nobody reads more tables than that."""

_RANKS = (
    "coverage",
    "never",
    "core_s",
    "latency_p50_ns",
    "benefit",
    "ipis_per_region",
    "latency_p99_ns",
    "missed_gib_h",
    "longest_pass_ns",
    "regret",
)
"""What stays on a narrow terminal, first to last."""

_GAP = "  "
_MOST_SEEDS = 10
"""Named one by one."""
_NOTE_WIDTH = 100
_REPORTED_FROM = 0.01
"""Of VMs rejected: as `gmemgpu sweep` warns."""


@dataclass(frozen=True, slots=True)
class _Column:
    # Values flush right, and what follows them flush left.
    header: str
    value_width: int
    width: int

    def text(self, cell: Cell) -> str:
        return _GAP + f"{cell.value:>{self.value_width}} {cell.spread}".rstrip().ljust(self.width)


def _column(header: str, cells: Sequence[Cell]) -> _Column:
    value = max((len(cell.value) for cell in cells), default=0)
    spread = max((len(cell.spread) + 1 for cell in cells if cell.spread), default=0)
    width = max(len(header), value + spread)
    return _Column(header, width - spread, width)


def decision_lines(
    table: DecisionTable, width: int | None = None, *, first: Sequence[str] = (), ascii_only: bool = False
) -> Iterator[str]:
    """
    Write a decision table.

    Parameters
    ----------
    table : DecisionTable
        What to write: the first 40 of its groups, and of its quantities those for tables.
    width : int, optional
        Columns that a line may take; no limit if left out.
    first : sequence of str
        Keys of quantities that are asked for: they come before others where there is little room.
    ascii_only : bool
        Whether to do without any other sign.

    Yields
    ------
    str
        A line without its end: one table a group, and what a reader must know about them.
    """
    plain = to_ascii if ascii_only else str
    groups = table.groups[:MOST_GROUPS]
    quantities = [one for one in table.quantities if one.in_tables or one.key in first]
    rows = [
        [[_cell(line.estimates[one.key], one, line.n_seeds, plain) for one in quantities] for line in group.lines]
        for group in groups
    ]
    cells = [row for of_group in rows for row in of_group]
    columns = [_column(plain(one.header), [row[i] for row in cells]) for i, one in enumerate(quantities)]
    names = _width_of_names(table)
    kept = _kept(columns, quantities, first, None if width is None else width - names)
    for group, of_group in zip(groups, rows, strict=True):
        yield from _wrapped(plain(_title(group)), width)
        policies = [line.policy for line in group.lines]
        yield from _grid(
            names, policies, [columns[i] for i in kept], [[row[i] for i in kept] for row in of_group], plain
        )
        yield from _traces([group], width, plain)
        yield ""
    if left_out := [one.header for i, one in enumerate(quantities) if i not in kept]:
        text = f"Left out, as {width} columns hold no more: {', '.join(left_out)}. --metric chooses; --csv has all."
        yield from _wrapped(plain(text), width)
    shown = [quantities[i] for i in kept]
    yield from _notes(table, shown, width, plain)


def pivot_lines(
    table: DecisionTable, axis: str, quantity: Quantity, width: int | None = None, *, ascii_only: bool = False
) -> Iterator[str]:
    """
    Write one quantity of a decision table, with a column for each value of an axis.

    Parameters
    ----------
    table : DecisionTable
        Whose grouping columns hold the axis.
    axis : str
        Its name.
    quantity : Quantity
        One of the table's.
    width : int, optional
        Columns that a line may take: further values go below.
    ascii_only : bool
        As for `decision_lines`.

    Yields
    ------
    str
        A line without its end; one table for each choice of the other grouping columns.
    """
    plain = to_ascii if ascii_only else str
    names = _width_of_names(table)
    tables: dict[str, list[Group]] = {}
    for group in table.groups[:MOST_GROUPS]:
        others = {key: value for key, value in group.keys.items() if key != axis}
        tables.setdefault(_named(others), []).append(group)
    for title, groups in tables.items():
        policies = list(dict.fromkeys(line.policy for group in groups for line in group.lines))
        columns, cells = [], []
        for group in groups:
            of = {
                line.policy: _cell(line.estimates[quantity.key], quantity, line.n_seeds, plain) for line in group.lines
            }
            cells.append([of.get(policy, Cell("", "")) for policy in policies])
            columns.append(_column(plain(_value(group.keys[axis])), cells[-1]))
        heading = f"{quantity.header} by {axis}{f' · {title}' if title else ''}{_counts(groups)}"
        yield from _wrapped(plain(heading), width)
        at = 0
        while at < len(columns):
            room = 0 if width is None else width - names
            n = _fitting(columns[at:], None if width is None else room)
            rows = [[cells[i][j] for i in range(at, at + n)] for j in range(len(policies))]
            yield from _grid(names, policies, columns[at : at + n], rows, plain)
            at += n
            yield ""
        yield from _traces(groups, width, plain)
        yield ""
    yield from _notes(table, [quantity], width, plain)


def provenance_lines(
    table: DecisionTable, command: str, width: int | None = None, *, ascii_only: bool = False
) -> Iterator[str]:
    """
    Write where a table comes from.

    Parameters
    ----------
    table : DecisionTable
        What was written.
    command : str
        What writes it again.
    width, ascii_only : int, bool
        As for `decision_lines`.

    Yields
    ------
    str
        A line without its end: version, sweep, seeds and command.
    """
    parts = [f'"{table.name}"', f"gmemgpu {table.version}", f"sweep {table.sweep_id}", _seeds(table.seeds), command]
    text = " · ".join(part for part in parts if part.strip())
    yield from _wrapped(to_ascii(text) if ascii_only else text, width)


def _seeds(seeds: Sequence[int]) -> str:
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    if seeds[-1] - seeds[0] == len(seeds) - 1:
        return f"seeds {seeds[0]}–{seeds[-1]}"
    if len(seeds) <= _MOST_SEEDS:
        return f"seeds {', '.join(map(str, seeds))}"
    return f"{len(seeds):,} seeds from {seeds[0]} to {seeds[-1]}"


def _cell(found: Estimate | None, quantity: Quantity, n_seeds: int, plain: Callable[[str], str]) -> Cell:
    return Cell(*map(plain, cell_of(found, quantity.unit, n_seeds)))


def _width_of_names(table: DecisionTable) -> int:
    return max([len("policy"), *(len(line.policy) for group in table.groups for line in group.lines)])


def _kept(
    columns: Sequence[_Column], quantities: Sequence[Quantity], first: Sequence[str], room: int | None
) -> list[int]:
    ranks = list(dict.fromkeys((*first, *_RANKS, *(one.key for one in quantities))))
    order = sorted(range(len(columns)), key=lambda i: ranks.index(quantities[i].key))
    return sorted(order[: _fitting([columns[i] for i in order], room)])


def _fitting(columns: Sequence[_Column], room: int | None) -> int:
    # How many of the first columns fit; one in any case, since a figure is never broken.
    if room is None:
        return len(columns)
    n = used = 0
    for column in columns:
        used += len(_GAP) + column.width
        if used > room and n:
            break
        n += 1
    return n


def _grid(
    names: int,
    policies: Sequence[str],
    columns: Sequence[_Column],
    rows: Sequence[Sequence[Cell]],
    plain: Callable[[str], str],
) -> Iterator[str]:
    yield ("policy".ljust(names) + "".join(_GAP + one.header.rjust(one.width) for one in columns)).rstrip()
    yield plain("─") * (names + sum(len(_GAP) + one.width for one in columns))
    for policy, row in zip(policies, rows, strict=True):
        cells = "".join(column.text(cell) for column, cell in zip(columns, row, strict=True))
        yield f"{plain(policy):<{names}}{cells}".rstrip()


def _value(value: object) -> str:
    return "–" if value is None else str(value)


def _named(keys: dict[str, object]) -> str:
    return (
        str(keys["label"]) if list(keys) == ["label"] else ", ".join(f"{key}={_value(of)}" for key, of in keys.items())
    )


def _title(group: Group) -> str:
    return _named(group.keys) + _counts([group])


def _counts(groups: Sequence[Group]) -> str:
    scenarios = max(group.n_scenarios for group in groups)
    seeds = sorted({line.n_seeds for group in groups for line in group.lines})
    text = f" ({scenarios} scenarios)" if len(groups) == 1 and scenarios > 1 else ""
    if seeds:
        text += f" · {seeds[0]}{f' to {seeds[-1]}' if len(seeds) > 1 else ''} seed{'s' if seeds[-1] > 1 else ''}"
    return text


def _traces(groups: Sequence[Group], width: int | None, plain: Callable[[str], str]) -> Iterator[str]:
    # What no policy alters.
    traces = merged_figures(group.traces for group in groups)
    yield from _wrapped(plain(_vms(traces)), width)
    yield from _wrapped(plain(images_text(traces)), width)


def _vms(traces: TraceFigures) -> str:
    drawn = traces.admitted + traces.rejected
    if not drawn:
        return ""
    text = f"VMs of all seeds: {drawn:,} drawn, {traces.admitted:,} admitted, {traces.rejected:,} rejected"
    if traces.rejected > _REPORTED_FROM * drawn:
        text += (
            f" ({100 * traces.rejected / drawn:.1f} %: a load that does not fit its host says little about policies)"
        )
    return (
        f"{text}; {traces.mean_running:,.1f} running on average, {traces.mean_running_snp:,.1f} of them confidential."
    )


def _wrapped(text: str, width: int | None) -> Iterator[str]:
    # A figure and its unit stay together, too.
    held = text.replace(" %", "\u00a0%")
    for line in textwrap.wrap(held, width or 10_000, break_long_words=False, break_on_hyphens=False):
        yield line.replace("\u00a0", " ")


def _notes(
    table: DecisionTable, quantities: Sequence[Quantity], width: int | None, plain: Callable[[str], str]
) -> Iterator[str]:
    note_width = min(width or _NOTE_WIDTH, _NOTE_WIDTH)
    for note in _legend(table, quantities):
        yield from _wrapped(plain(note), note_width)
    if table.n_groups > MOST_GROUPS:
        more = table.n_groups - MOST_GROUPS
        note = (
            f"{more:,} more {'group' if more == 1 else 'groups'} not shown: --csv and --json have all, --group-by puts "
            "scenarios together."
        )
        yield from _wrapped(note, note_width)
    if table.n_parts_done < table.n_parts:
        note = f"Not finished: {table.n_parts_done} of {table.n_parts} parts; run the sweep again to go on."
        yield from _wrapped(note, note_width)


def _legend(table: DecisionTable, quantities: Sequence[Quantity]) -> Iterator[str]:
    lines = [line for group in table.groups[:MOST_GROUPS] for line in group.lines]
    found = [(one, line.n_seeds, line.estimates[one.key]) for line in lines for one in quantities]
    there = [(one, n_seeds, of) for one, n_seeds, of in found if of is not None]
    spread = {of.kind for _, _, of in there if of.low is not None}
    if spread & {"mean", "ratio", "percentile"}:
        yield (
            "± or (a–b): 95 % interval over seeds, by jackknife, of means, of ratios of sums, and of percentiles of "
            "all seeds' episodes."
        )
    typical = ", ".join(one.header for one in quantities if one.typical)
    if "median" in spread:
        yield f"(a–b) of {typical}: a median over seeds, with an interval of 95 % or more that ends at values of seeds."
    if "range" in spread:
        yield f"(a–b) of {typical}: a median of few seeds, and the least and the most of them."
    if any(of.low is not None and of.high is None for _, _, of in there):
        yield "(≥a): at least a, with 95 %; nothing bounds it above, as its tail is that of one or two seeds."
    if any(of.n < n_seeds for _, n_seeds, of in there):
        yield "n/N: n of N seeds have the figure."
    if len(there) < len(found):
        yield (
            "–: nothing to measure: no region won back, no oracle to hold against, or a benefit that even with the "
            f"oracle is less than {100 * LEAST_BENEFIT:g} % of memory in use."
        )
