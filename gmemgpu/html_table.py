"""Small HTML tables for notebooks, every word in them escaped, and figures that stay beside their units."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["html_table", "unbroken"]

_BEFORE_UNIT = re.compile(r"(?<=[0-9]) (?=%|(?:[nµm]?s|min|h|d|core-s|[KMGT]iB)\b)")

_MAX_ROWS = 100


def unbroken(text: str) -> str:
    r"""
    Replace the blank between a figure and its unit by one at which no line breaks.

    Parameters
    ----------
    text : str
        Prose or a cell.

    Returns
    -------
    str
        As long.

    Examples
    --------
    >>> unbroken("0.1 % of CPU, 8 seeds of 2 d")
    '0.1\xa0% of CPU, 8 seeds of 2\xa0d'
    """
    return _BEFORE_UNIT.sub("\u00a0", text)


def html_table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, caption: str = "", left: int = 1) -> str:
    """
    Write a table as HTML.

    Parameters
    ----------
    headings : sequence of str
        Of the columns.
    rows : iterable of sequence
        Cells; of more than 100 rows the others are counted.
    caption : str
        Above the table.
    left : int
        So many columns are flush left, others flush right.

    Returns
    -------
    str
        One element, without scripts or styles from elsewhere.
    """
    rows = list(rows)

    def cells(tag: str, values: Iterable[object]) -> str:
        return "".join(
            f'<{tag} style="text-align: {"left" if i < left else "right"}">{escape(unbroken(str(value)))}</{tag}>'
            for i, value in enumerate(values)
        )

    body = "\n".join(f"<tr>{cells('td', row)}</tr>" for row in rows[:_MAX_ROWS])
    more = f"\n<p>… and {len(rows) - _MAX_ROWS:,} more rows</p>" if len(rows) > _MAX_ROWS else ""
    caption_tag = f"<caption>{escape(caption)}</caption>\n" if caption else ""
    return (
        f'<div style="overflow-x: auto"><table>\n{caption_tag}<thead><tr>{cells("th", headings)}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table>{more}</div>"
    )
