"""Paired differences in full as plain text of a given width: for terminals and pipes."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from gmemgpu.report.comparison import ComparedGroup, Comparison, ComparisonTable
from gmemgpu.report.figure_text import BESIDE_MARKS, NO_FIGURE, Scale, aligned, difference_text, scale_of, value_text
from gmemgpu.report.paired import LEVEL, POWER

__all__ = ["comparison_lines"]


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
                lines = list(aligned(narrow, width, gap=BESIDE_MARKS))
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
            rows.append((one.policy, NO_FIGURE, NO_FIGURE, NO_FIGURE, NO_FIGURE.ljust(15)))
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


def _verdict(one: Comparison) -> str:
    if one.verdict != "can't tell":
        return one.verdict
    return f"can't tell ({f'{one.seeds:,}' if one.seeds else NO_FIGURE})"


def _title(group: ComparedGroup) -> str:
    if list(group.keys) == ["label"]:
        title = str(group.keys["label"])
    else:
        title = ", ".join(f"{key}={NO_FIGURE if value is None else value}" for key, value in group.keys.items())
    if group.n_scenarios > 1:
        title += f" ({group.n_scenarios} scenarios)"
    return f"{title} · {group.n_seeds} seed{'s' if group.n_seeds > 1 else ''}"
