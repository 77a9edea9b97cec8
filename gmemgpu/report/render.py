"""A decision table for people: rich tables, one a group."""

from __future__ import annotations

from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from gmemgpu.metrics.quantity import TABLE_QUANTITIES
from gmemgpu.report.decision import DecisionTable, Group
from gmemgpu.report.statistics import Estimate

__all__ = ["render", "estimate_text"]

_TIMES = ((86_400e9, "d"), (3600e9, "h"), (60e9, "min"), (1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns"))

_MAX_GROUPS = 40
"""Nobody reads more tables than that, and each takes 10 ms to draw."""


def _decimals(value: float) -> int:
    # Three digits that matter, but never more than two after the point.
    return 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2


def _number(value: float, decimals: int) -> str:
    if value == 0:
        return "0"
    smallest = 10.0**-decimals
    return f"<{smallest:g}" if 0 < value < smallest / 2 else f"{value:,.{decimals}f}"


def estimate_text(found: Estimate | None, unit: str) -> str:
    """
    Write an estimate as a person would: ``97.3 % ±0.4`` or ``10.3 s ±0.2``.

    Parameters
    ----------
    found : Estimate or None
        None becomes a dash.
    unit : {"share", "ns", "s", "count"}
        Of the number.

    Returns
    -------
    str
        In a unit that suits.
    """
    if found is None:
        return "–"
    scale, sign = 1.0, ""
    if unit == "share":
        scale, sign = 0.01, " %"
    elif unit == "ns":
        # Minutes and longer only from three of them on: "95 s" says more than "1.58 min".
        scale, name = next(
            ((size, name) for size, name in _TIMES if found.mean >= (3 * size if size > 1e9 else size)), _TIMES[-1]
        )
        sign = f" {name}" if found.mean else ""
    mean = found.mean / scale
    decimals = _decimals(mean)
    if unit == "count" and found.n == 1 and mean.is_integer():
        # Of one trace a count is exact.
        decimals = 0
    text = f"{_number(mean, decimals)}{sign}"
    spread = f"{(found.half_width or 0.0) / scale:,.{decimals}f}"
    # A spread that rounds to nothing says no more than its absence.
    return text if float(spread.replace(",", "")) == 0 else f"{text} ±{spread}"


def _title(group: Group) -> str:
    if list(group.keys) == ["label"]:
        title = str(group.keys["label"])
    else:
        title = ", ".join(f"{key}={'–' if value is None else value}" for key, value in group.keys.items())
    if group.n_scenarios > 1:
        title += f" ({group.n_scenarios} scenarios)"
    seeds = sorted({line.n_seeds for line in group.lines})
    if seeds:
        title += f" · {seeds[0]}{f' to {seeds[-1]}' if len(seeds) > 1 else ''} seed{'s' if seeds[-1] > 1 else ''}"
    return title


def render(table: DecisionTable) -> Iterator[Table | Text]:
    """
    Write a decision table.

    Parameters
    ----------
    table : DecisionTable
        What to write.

    Yields
    ------
    rich.table.Table or rich.text.Text
        One table a group, the first 40 of them, and what a reader must know about them.
    """
    for group in table.groups[:_MAX_GROUPS]:
        drawn = Table(title=Text(_title(group)), title_justify="left", title_style="bold", box=SIMPLE_HEAD)
        drawn.add_column("policy", no_wrap=True, overflow="fold")
        for quantity in TABLE_QUANTITIES:
            # Folded, never cut: on a narrow terminal a figure that ends in "…" would be lost.
            drawn.add_column(quantity.header, justify="right", overflow="fold")
        for line in group.lines:
            cells = (estimate_text(line.estimates[quantity.key], quantity.unit) for quantity in TABLE_QUANTITIES)
            drawn.add_row(Text(line.policy), *cells)
        yield drawn
    if len(table.groups) > _MAX_GROUPS:
        more = len(table.groups) - _MAX_GROUPS
        yield Text(
            f"{more:,} more {'group' if more == 1 else 'groups'} not shown: --csv and --json have all, --group-by puts "
            "scenarios together.",
            style="yellow",
        )
    if any(line.n_seeds > 1 for group in table.groups for line in group.lines):
        yield Text("± is half of the 95 % interval over seeds (Student's t).", style="dim")
    if table.n_parts_done < table.n_parts:
        yield Text(
            f"Not finished: {table.n_parts_done} of {table.n_parts} parts; run the sweep again to go on.",
            style="yellow",
        )
