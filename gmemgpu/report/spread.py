"""A figure over the values of an axis, such as the hosts of a fleet: least, median, most, and where it is worst."""

from __future__ import annotations

import statistics
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gmemgpu.metrics.quantity import Quantity
from gmemgpu.report.comparison import Verdict, compare
from gmemgpu.report.figure_text import aligned, scale_for, value_text

__all__ = ["PolicySpread", "Spread", "read_spread", "spread_lines"]

_VERDICTS: tuple[Verdict, ...] = ("better", "same", "can't tell", "worse")


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySpread:
    """
    One policy over all values of the axis.

    Parameters
    ----------
    policy : str
        Its name.
    least, median, most : float
        Of the quantity, over the values at which it exists.
    worst_at : object
        The value of the axis where the policy does worst.
    verdicts : Counter of Verdict
        At how many values it is better than the baseline, and so on; empty for the baseline.
    """

    policy: str
    least: float
    median: float
    most: float
    worst_at: Any
    verdicts: Counter[Verdict]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """
    A quantity of every policy over an axis.

    Parameters
    ----------
    name : str
        The sweep's.
    axis : str
        Such as ``vm_table.host``.
    n_values : int
        Values that it has.
    n_seeds : int
        Most seeds of any.
    quantity : Quantity
        What is shown.
    baseline : str
        What the others are held against, value by value.
    policies : tuple of PolicySpread
        The baseline first; without those that have the quantity nowhere.
    n_parts, n_parts_done : int
        If they differ, it rests on a part of the sweep.
    """

    name: str
    axis: str
    n_values: int
    n_seeds: int
    quantity: Quantity
    baseline: str
    policies: tuple[PolicySpread, ...]
    n_parts: int
    n_parts_done: int


def read_spread(
    directory: str | Path,
    axis: str,
    *,
    quantity: str = "benefit",
    baseline: str | None = None,
    policies: Sequence[str] = (),
) -> Spread:
    """
    Read how a quantity spreads over an axis of a sweep.

    Parameters
    ----------
    directory : str or Path
        Of a sweep.
    axis : str
        An axis, ``label`` or ``preset``.
    quantity : str
        Key or header word.
    baseline : str, optional
        As for `gmemgpu.report.comparison.comparison_table`.
    policies : sequence of str
        As for `gmemgpu.report.comparison.comparison_table`.

    Returns
    -------
    Spread
        Of what the directory holds now.

    Raises
    ------
    StoreError
        If it holds no sweep, or no finished part.
    SpecError
        If an axis, policy or quantity is unknown; lists every problem.
    """
    table = compare(directory, baseline=baseline, group_by=[axis], policies=policies, quantities=[quantity])
    found: dict[str, list[tuple[float, Any]]] = {table.baseline: []}
    verdicts: dict[str, Counter[Verdict]] = {table.baseline: Counter()}
    for group in table.groups:
        known = [one for one in group.comparisons if one.found is not None]
        value = group.keys[axis]
        if known and known[0].found is not None:
            found[table.baseline].append((known[0].found.baseline, value))
        for one in known:
            assert one.found is not None
            found.setdefault(one.policy, []).append((one.found.value, value))
            verdicts.setdefault(one.policy, Counter())[one.verdict] += 1
    shown = table.quantities[0]
    worst = min if shown.high_is_good else max
    return Spread(
        name=table.name,
        axis=axis,
        n_values=len(table.groups),
        n_seeds=max(group.n_seeds for group in table.groups),
        quantity=shown,
        baseline=table.baseline,
        policies=tuple(
            PolicySpread(
                policy=policy,
                least=min(figures),
                median=statistics.median(figures),
                most=max(figures),
                worst_at=worst(of_policy, key=lambda pair: pair[0])[1],
                verdicts=verdicts[policy],
            )
            for policy, of_policy in found.items()
            if (figures := [figure for figure, _ in of_policy])
        ),
        n_parts=table.n_parts,
        n_parts_done=table.n_parts_done,
    )


def spread_lines(spread: Spread, width: int = 80) -> Iterator[str]:
    """
    Write a spread as a table.

    Parameters
    ----------
    spread : Spread
        What to write.
    width : int
        Columns that a line may take; longer names break out.

    Yields
    ------
    str
        A line without its end.
    """
    n_seeds = f"{spread.n_seeds} seed{'' if spread.n_seeds == 1 else 's'}"
    title = f"{spread.quantity.header} at {spread.n_values:,} values of {spread.axis} · {n_seeds} at each"
    yield from textwrap.wrap(title, width, break_long_words=False)
    yield ""
    if not spread.policies:
        yield "No seed of any has it."
        return
    scale = scale_for(spread.quantity, max(abs(one.most) for one in spread.policies))
    unit = f" [{scale.unit}]" if scale.unit else ""
    head = f"policy{unit}"
    figures: list[tuple[str, ...]] = [(head, "least", "median", "most", "worst at")]
    counts: list[tuple[str, ...]] = [("policy", "better", "same", "?", "worse")]
    for one in spread.policies:
        texts = (value_text(figure, scale) for figure in (one.least, one.median, one.most))
        figures.append((one.policy, *texts, "–" if one.worst_at is None else str(one.worst_at)))
        cells = [""] * len(_VERDICTS)
        if one.policy != spread.baseline:
            cells = [str(one.verdicts[verdict]) for verdict in _VERDICTS]
        counts.append((one.policy, *cells))
    whole = list(aligned([(*row, *more[1:]) for row, more in zip(figures, counts, strict=True)], width))
    if max(map(len, whole)) <= width and len(whole) == len(figures):
        yield from whole
    else:
        # There is no room for names beside all columns: the counts have lines of their own.
        yield from aligned(figures, width)
        yield ""
        yield from aligned([row for row in counts if row[0] != spread.baseline], width)
    yield ""
    legend = f"better … worse: than {spread.baseline}, at how many values, on the same traces; ?: one can't tell there."
    yield from textwrap.wrap(legend, width, break_long_words=False)
    if spread.n_parts_done < spread.n_parts:
        yield f"Not finished: {spread.n_parts_done:,} of {spread.n_parts:,} parts."
