"""Tables on standard output: drawn on a terminal, bare aligned columns on a pipe."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from gmemgpu.cli.message import harmless

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["console", "print_table", "text_width", "is_ascii_only"]

_PIPE_WIDTH = 1000
"""Columns where the output is no terminal: no line breaks, whatever the names and the spreads."""


def console() -> Console:
    """Return what writes to standard output: as wide as the terminal, or without line breaks where there is none."""
    # Only here: a command that needs the width alone shall not wait for it.
    from rich.console import Console

    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=_PIPE_WIDTH)


def text_width() -> int | None:
    """Return how many columns standard output has; None where it is no terminal, and lines may be of any length."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def is_ascii_only() -> bool:
    """Return whether standard output cannot be sent the signs that tables use."""
    try:
        "–±≥µ·×─".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return True
    return False


def print_table(
    headings: Sequence[str], lines: Iterable[Sequence[str]], *, title: str = "", right: Iterable[int] = ()
) -> None:
    """
    Print a table.

    Parameters
    ----------
    headings : sequence of str
        Empty for none.
    lines : iterable of sequence of str
        Cells; shown as they are.
    title : str
        A line above.
    right : iterable of int
        Columns whose cells are flush right.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    output = console()
    drawn = output.is_terminal
    lines = [list(line) for line in lines]
    table = Table(
        title=Text(harmless(title), "bold") if title else None,
        title_justify="left",
        show_header=bool(headings),
        header_style="bold",
        box=box.SIMPLE_HEAD if drawn else None,
        pad_edge=drawn,
    )
    flush_right = set(right)
    for i in range(len(headings) or max(map(len, lines), default=0)):
        heading = headings[i] if headings else ""
        # Folded, never cut: what a narrow terminal replaced by "…" could not be read at all.
        justify: Literal["left", "right"] = "right" if i in flush_right else "left"
        table.add_column(Text(heading), justify=justify, no_wrap=i == 0, overflow="fold")
    for line in lines:
        table.add_row(*map(Text, line))
    if drawn:
        output.print(table)
        return
    # Titles and last columns are padded, which nobody sees on a terminal, and every `diff` of two files does.
    with output.capture() as captured:
        output.print(table)
    sys.stdout.write("\n".join(line.rstrip(" ") for line in captured.get().split("\n")))
