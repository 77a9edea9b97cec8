"""How messages name rows, and show values that anyone may have written into a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gmemgpu.errors import Problem

if TYPE_CHECKING:
    # Loads pydantic, and whoever reads results has none of it.
    from gmemgpu.model.trace import Int64Array

__all__ = ["MAX_ROWS_NAMED", "list_rows", "shown", "shown_name"]

MAX_ROWS_NAMED = 20
"""Rows named for one rule; of the rest only the number is given."""


def shown(value: object, most: int = 40) -> str:
    """
    Return a value's `repr`, cut where it gets long.

    Parameters
    ----------
    value : object
        A cell, a column's name or a row, of any length and with any control characters.
    most : int, default 40
        About so many characters are shown.

    Returns
    -------
    str
        One line without control characters, fit for a terminal.
    """
    # A cell may be as long as the file: nothing past the cut is looked at.
    text = repr(value[: most + 1] if isinstance(value, str | bytes) else value)
    return text if len(text) <= most + 2 else f"{text[:most]}…{text[-1]}"


def shown_name(name: str) -> str:
    """
    Return a column's name as messages have it.

    Parameters
    ----------
    name : str
        As the file has it.

    Returns
    -------
    str
        The name itself if it is a plain word, else as of `shown`.
    """
    return name if name.isascii() and name.isidentifier() and len(name) <= 40 else shown(name)


def list_rows(
    where: str, column: str | None, rows: Int64Array, message: Callable[[int], str], rule: str, problems: list[Problem]
) -> None:
    """
    Append one problem a row, up to `MAX_ROWS_NAMED`, then one that counts the rest.

    Parameters
    ----------
    where : str
        The file, or a table in it.
    column : str or None
        The column that is wrong; None is the whole row.
    rows : (m,) int64
        1-based data rows, ascending.
    message : callable
        Returns what is wrong in the i-th of `rows`.
    rule : str
        What the rows that are not named have in common.
    problems : list of Problem
        Appended to.
    """
    part = "" if column is None else f", column {shown_name(column)}"
    for i, row in enumerate(rows[:MAX_ROWS_NAMED].tolist()):
        problems.append(Problem(f"{where}: row {row}{part}", message(i)))
    if len(rows) > MAX_ROWS_NAMED:
        n_rest = len(rows) - MAX_ROWS_NAMED
        rest = f"… and {n_rest} more rows where {rule}"
        problems.append(Problem(f"{where}: {part.removeprefix(', ') or 'rows'}", rest, n_more=n_rest - 1))
