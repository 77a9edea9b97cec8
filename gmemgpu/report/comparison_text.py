"""Paired differences as plain text of a given width: for terminals, pipes and mails."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gmemgpu.metrics.quantity import Quantity
from gmemgpu.report.comparison import ComparedGroup, Comparison, ComparisonTable
from gmemgpu.report.paired import LEVEL, POWER, Difference
from gmemgpu.units import TIME_UNITS

__all__ = [
    "Scale",
    "scale_of",
    "scale_for",
    "aligned",
    "value_text",
    "difference_text",
    "comparison_lines",
    "compact_lines",
    "compact_cells",
    "grid_lines",
    "pivot_lines",
]

_NONE = "–"
_MINUS = "−"
_DECIMALS, _MOST_DECIMALS = 3, 6
_BESIDE_MARKS = " "
"""Between columns whose cells end in a mark or in two blanks."""


@dataclass(frozen=True, slots=True)
class Scale:
    """
    The unit of a column.

    Parameters
    ----------
    factor : float
        What a figure is divided by.
    unit : str
        Its name; empty for counts.
    """

    factor: float
    unit: str


def scale_of(quantity: Quantity, comparisons: Iterable[Comparison]) -> Scale:
    """
    Choose one unit for all figures of a column.

    Parameters
    ----------
    quantity : Quantity
        What the column holds.
    comparisons : iterable of Comparison
        Of that quantity.

    Returns
    -------
    Scale
        Shares in %, times in the largest unit of which the largest figure has three, counts from ten million on in
        millions.
    """
    largest = max((max(abs(one.found.value), abs(one.found.baseline)) for one in comparisons if one.found), default=0.0)
    return scale_for(quantity, largest)


def scale_for(quantity: Quantity, largest: float) -> Scale:
    """
    Choose the unit for figures up to a size.

    Parameters
    ----------
    quantity : Quantity
        What they are of.
    largest : float
        In its unit.

    Returns
    -------
    Scale
        As of `scale_of`.
    """
    if quantity.unit == "share":
        return Scale(0.01, "%")
    if quantity.unit == "s":
        return Scale(1.0, "s")
    if quantity.unit == "count":
        return Scale(1e6, "million") if largest >= 1e7 else Scale(1.0, "")
    return next((Scale(size, name) for size, name in TIME_UNITS if largest >= 3 * size), Scale(1.0, "ns"))


def _decimals(figure: float, digits: int) -> int:
    # As many as show so many digits that matter, if three show them; more only for the first digit.
    if not figure:
        return 0
    first = -math.floor(math.log10(abs(figure)))
    return max(0, min(digits - 1 + first, max(_DECIMALS, min(first, _MOST_DECIMALS))))


def _figure(figure: float, decimals: int, *, signed: bool = False) -> str:
    text = f"{abs(figure):,.{decimals}f}"
    sign = "" if float(text.replace(",", "")) == 0 else _MINUS if figure < 0 else "+" if signed else ""
    return sign + text


def value_text(figure: float, scale: Scale) -> str:
    """
    Write a figure with four digits that matter.

    Parameters
    ----------
    figure : float
        As a quantity has it.
    scale : Scale
        Of its column.

    Returns
    -------
    str
        Without the unit.
    """
    figure /= scale.factor
    decimals = min(2, _decimals(figure, 4)) if abs(figure) >= 1 else _decimals(figure, 3)
    return _figure(figure, 0 if figure.is_integer() else decimals)


def difference_text(found: Difference, scale: Scale, *, compact: bool = False) -> str:
    """
    Write a difference and its interval, to two digits of how far that goes.

    Parameters
    ----------
    found : Difference
        What to write.
    scale : Scale
        Of its column.
    compact : bool
        Whether half of the interval is told even if it is not symmetric.

    Returns
    -------
    str
        Such as ``+3.70 ±1.62``, or ``−39 (−75 to −2)`` if not symmetric; without an interval where there is none
        or the seeds all agree.
    """
    difference, half_width = found.difference / scale.factor, (found.half_width or 0.0) / scale.factor
    if not half_width or found.low is None or found.high is None:
        return _figure(difference, 0 if difference.is_integer() else _decimals(difference, 3), signed=True)
    low, high = found.low / scale.factor, found.high / scale.factor
    decimals = 0 if all(one.is_integer() for one in (low, difference, high)) else _decimals(half_width, 2)
    text = _figure(difference, decimals, signed=True)
    if not compact and abs(low + high - 2 * difference) > 0.1**decimals:
        return f"{text} ({_figure(low, decimals, signed=True)} to {_figure(high, decimals, signed=True)})"
    least = 0.1**_MOST_DECIMALS
    return f"{text} ±{_figure(half_width, decimals) if half_width >= least / 2 else f'<{least:.{_MOST_DECIMALS}f}'}"


def _verdict(one: Comparison) -> str:
    if one.verdict != "can't tell":
        return one.verdict
    return f"can't tell ({f'{one.seeds:,}' if one.seeds else _NONE})"


def _title(group: ComparedGroup) -> str:
    if list(group.keys) == ["label"]:
        title = str(group.keys["label"])
    else:
        title = ", ".join(f"{key}={_NONE if value is None else value}" for key, value in group.keys.items())
    if group.n_scenarios > 1:
        title += f" ({group.n_scenarios} scenarios)"
    return f"{title} · {group.n_seeds} seed{'s' if group.n_seeds > 1 else ''}"


def aligned(rows: Sequence[Sequence[str]], width: int, gap: str = "  ") -> Iterator[str]:
    """
    Write rows in columns.

    Parameters
    ----------
    rows : sequence of sequence of str
        As many cells in each.
    width : int
        Columns that a line may take: a name, the first cell, that does not fit has a line of its own.
    gap : str
        Between columns.

    Yields
    ------
    str
        A line without its end: the first column flush left, the others right.
    """
    widths = [max(map(len, column)) for column in list(zip(*rows, strict=True))[1:]]
    room = max(8, width - sum(widths) - len(gap) * len(widths))
    first = min(room, max(len(row[0]) for row in rows))
    for name, *cells in rows:
        if len(name) > first:
            yield name
            name = ""
        line = gap.join([name.ljust(first), *(cell.rjust(size) for cell, size in zip(cells, widths, strict=True))])
        yield line.rstrip()


def comparison_lines(table: ComparisonTable, width: int = 80) -> Iterator[str]:
    """
    Write a table of comparisons in full: for each group and quantity a line a policy.

    Parameters
    ----------
    table : ComparisonTable
        What to write.
    width : int
        Columns that a line may take; longer names break out.

    Yields
    ------
    str
        A line without its end.
    """
    for group in table.groups:
        yield _title(group)
        for quantity in table.quantities:
            comparisons = [one for one in group.comparisons if one.quantity is quantity]
            scale = scale_of(quantity, comparisons)
            unit = f" [{scale.unit}]" if scale.unit else ""
            head = f"{quantity.header}{unit}"
            lines = list(aligned(_rows(comparisons, scale, table.baseline, head), width))
            if max(map(len, lines)) > width:
                narrow = _rows(comparisons, scale, table.baseline, head, compact=True)
                lines = list(aligned(narrow, width, gap=_BESIDE_MARKS))
            yield ""
            yield from lines
        yield ""
    yield from _legend(table, width)


def _rows(
    comparisons: Sequence[Comparison], scale: Scale, baseline: str, head: str, *, compact: bool = False
) -> list[tuple[str, str, str, str, str]]:
    rows = [(head, "value", f"less {baseline}", "W/T/L", "verdict".ljust(15))]
    known = next((one.found for one in comparisons if one.found), None)
    if known is not None:
        rows.append((baseline, value_text(known.baseline, scale), "", "", ""))
    for one in comparisons:
        if one.found is None:
            rows.append((one.policy, _NONE, _NONE, _NONE, _NONE.ljust(15)))
            continue
        wins = f"{one.wins}/{one.found.ties}/{one.losses}"
        difference = difference_text(one.found, scale, compact=compact)
        rows.append((one.policy, value_text(one.found.value, scale), difference, wins, _verdict(one).ljust(15)))
    return rows


def _legend(table: ComparisonTable, width: int) -> Iterator[str]:
    n = len(table.groups[0].comparisons) if table.groups else 0
    text = (
        f"less {table.baseline}: difference on the same traces, ± or (a to b): its 95 % interval over seeds "
        "(ratios: of sums, by jackknife; never and maxima: medians). W/T/L: seeds won, tied, lost. better, worse: told "
        f"apart by Holm's method at {100 * LEVEL:.0f} % over the {n} comparisons of a group. can't tell (N): N seeds "
        f"would tell, with a chance of {100 * POWER:.0f} %, if the difference is what it seems."
    )
    yield from textwrap.wrap(text, width, break_long_words=False)
    if table.n_parts_done < table.n_parts:
        yield f"Not finished: {table.n_parts_done} of {table.n_parts} parts; run the sweep again to go on."


def compact_lines(group: ComparedGroup, baseline: str, width: int = 76) -> list[str]:
    """
    Write one group with a line for each policy and a column for each quantity.

    Parameters
    ----------
    group : ComparedGroup
        What to write.
    baseline : str
        The policy whose own figures come first; those of others are differences.
    width : int
        Columns that a line may take.

    Returns
    -------
    list of str
        Lines; after a difference ``?`` says that one can't tell, and ``=`` that all seeds agree.
    """
    return list(aligned(compact_cells(group, baseline), width, gap=_BESIDE_MARKS))


def compact_cells(group: ComparedGroup, baseline: str) -> list[tuple[str, ...]]:
    """
    Write the cells of `compact_lines`.

    Parameters
    ----------
    group : ComparedGroup
        What to write.
    baseline : str
        The policy whose own figures come first.

    Returns
    -------
    list of tuple of str
        Rows, headings first; but for the first column, a cell ends in a mark or in two blanks.
    """
    quantities = list(dict.fromkeys(one.quantity.key for one in group.comparisons))
    policies = list(dict.fromkeys(one.policy for one in group.comparisons))
    of = {(one.policy, one.quantity.key): one for one in group.comparisons}
    headers = [of[policies[0], key].quantity.header for key in quantities]
    return _grid(headers, [(policy, [of[policy, key] for key in quantities]) for policy in policies], baseline)


def grid_lines(
    headers: Sequence[str], rows: Sequence[tuple[str, Sequence[Comparison | None]]], baseline: str = "", width: int = 76
) -> list[str]:
    """
    Write comparisons in lines and columns; a column is of one quantity and has one unit.

    Parameters
    ----------
    headers : sequence of str
        One a column, without its unit.
    rows : sequence of (str, sequence of Comparison or None)
        A name and a comparison for each column; None leaves the cell empty.
    baseline : str
        If not empty, a first line of this name has the baseline's own figures.
    width : int
        Columns that a line may take.

    Returns
    -------
    list of str
        As `compact_lines` has them.
    """
    return list(aligned(_grid(headers, rows, baseline), width, gap=_BESIDE_MARKS))


def _grid(
    headers: Sequence[str], rows: Sequence[tuple[str, Sequence[Comparison | None]]], baseline: str
) -> list[tuple[str, ...]]:
    columns: list[list[str]] = [["", *([baseline] if baseline else []), *(name for name, _ in rows)]]
    for i, header in enumerate(headers):
        cells = [cells[i] for _, cells in rows]
        there = [one for one in cells if one is not None]
        scale = scale_of(there[0].quantity, there)
        known = next((one.found for one in there if one.found), None)
        columns.append(
            [
                f"{header} [{scale.unit}]  " if scale.unit else f"{header}  ",
                *([f"{_NONE if known is None else value_text(known.baseline, scale)}  "] if baseline else []),
                *(_cell(one, scale) for one in cells),
            ]
        )
    return list(zip(*columns, strict=True))


def pivot_lines(
    groups: Sequence[tuple[str, ComparedGroup]], quantity: str, baseline: str, width: int = 76
) -> list[str]:
    """
    Write one quantity with a line for each group and a column for each policy.

    Parameters
    ----------
    groups : sequence of (str, ComparedGroup)
        A name for each.
    quantity : str
        Its key.
    baseline : str
        The policy whose own figures are the first column.
    width : int
        Columns that a line may take.

    Returns
    -------
    list of str
        As `compact_lines` has them.
    """
    chosen = [[one for one in group.comparisons if one.quantity.key == quantity] for _, group in groups]
    scale = scale_of(chosen[0][0].quantity, [one for row in chosen for one in row])
    head = f"{chosen[0][0].quantity.header} [{scale.unit}]" if scale.unit else chosen[0][0].quantity.header
    lines = [[head, baseline, *(f"{one.policy}  " for one in chosen[0])]]
    for (name, _), row in zip(groups, chosen, strict=True):
        known = next((one.found for one in row if one.found), None)
        own = _NONE if known is None else value_text(known.baseline, scale)
        lines.append([name, own, *(_cell(one, scale) for one in row)])
    return list(aligned(lines, width, gap=_BESIDE_MARKS))


def _cell(one: Comparison | None, scale: Scale) -> str:
    if one is None:
        return ""
    if one.found is None:
        return f"{_NONE}  "
    if one.verdict == "same":
        return "0 ="
    return difference_text(one.found, scale, compact=True) + (" ?" if one.verdict == "can't tell" else "  ")
