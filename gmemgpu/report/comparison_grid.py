"""Paired differences as grids, a line a policy or a group: for mails and documents."""

from __future__ import annotations

from collections.abc import Sequence

from gmemgpu.report.comparison import ComparedGroup, Comparison
from gmemgpu.report.figure_text import BESIDE_MARKS, NO_FIGURE, Scale, aligned, difference_text, scale_of, value_text

__all__ = ["compact_lines", "compact_cells", "grid_lines", "pivot_lines"]


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
    return list(aligned(compact_cells(group, baseline), width, gap=BESIDE_MARKS))


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
    return list(aligned(_grid(headers, rows, baseline), width, gap=BESIDE_MARKS))


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
                *([f"{NO_FIGURE if known is None else value_text(known.baseline, scale)}  "] if baseline else []),
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
        own = NO_FIGURE if known is None else value_text(known.baseline, scale)
        lines.append([name, own, *(_cell(one, scale) for one in row)])
    return list(aligned(lines, width, gap=BESIDE_MARKS))


def _cell(one: Comparison | None, scale: Scale) -> str:
    if one is None:
        return ""
    if one.found is None:
        return f"{NO_FIGURE}  "
    if one.verdict == "same":
        return "0 ="
    return difference_text(one.found, scale, compact=True) + (" ?" if one.verdict == "can't tell" else "  ")
