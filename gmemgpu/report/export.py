"""Tables for programs: JSON with every estimate and comparison in full, CSV with one line a policy."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from gmemgpu.model.rmp_figure import RMP_FIGURE_NAMES
from gmemgpu.report.comparison import Comparison, ComparisonTable
from gmemgpu.report.decision import DecisionTable, PolicyLine

__all__ = ["json_lines", "csv_lines", "csv_cell", "comparison_json"]

_NONE = (None, None, None, 0, None)
"""What is written of an estimate that there is not."""

# No indent: with one, Python takes its slow encoder, ten times as long.
_encoded = json.JSONEncoder(ensure_ascii=False, check_circular=False).encode


def json_lines(table: DecisionTable) -> Iterator[str]:
    """
    Write a table as JSON, a line for each group.

    Parameters
    ----------
    table : DecisionTable
        What to write.

    Yields
    ------
    str
        A line with its end. Together an object with ``name``, ``sweep``, ``version``, ``seeds``, ``parts``,
        ``parts_done`` and ``groups``: each a ``group`` (its keys), ``scenarios``, ``admitted`` and ``rejected`` (how
        many scenarios and VMs), ``running`` and ``running_snp`` (VMs, and SNP guests among them, on average),
        ``images`` (figures of images of the RMP, sums over them; null if none was made) and ``policies``, a list of
        objects with ``policy``, ``seeds`` (how many) and, by `Quantity.key`, the fields of an `Estimate`; null where
        there is none. Shares are 0 to 1, times in the unit of the key.
    """
    about = {"name": table.name, "sweep": table.sweep_id, "version": table.version, "seeds": table.seeds}
    head = _encoded({**about, "parts": table.n_parts, "parts_done": table.n_parts_done})
    yield f'{head[:-1]}, "groups": [\n'
    for i, group in enumerate(table.groups, 1):
        traces = group.traces
        running = {"running": traces.mean_running, "running_snp": traces.mean_running_snp}
        vms = {"admitted": traces.admitted, "rejected": traces.rejected, **running}
        text = _encoded({"group": group.keys, "scenarios": group.n_scenarios, **vms, "images": traces.images})
        policies = ", ".join(map(_line_object, group.lines))
        yield f'{text[:-1]}, "policies": [{policies}]}}{"," if i < len(table.groups) else ""}\n'
    yield "]}\n"


def _line_object(line: PolicyLine) -> str:
    # As the encoder would write it, without a dictionary for each of 10^5 figures.
    text = f'{{"policy": {_encoded(line.policy)}, "seeds": {line.n_seeds}'
    for key, found in line.estimates.items():
        value, low, high, n, kind = found or _NONE
        ends = f'"low": {"null" if low is None else repr(low)}, "high": {"null" if high is None else repr(high)}'
        of = "null" if kind is None else f'"{kind}"'
        text += f', "{key}": {{"value": {"null" if value is None else repr(value)}, {ends}, "n": {n}, "kind": {of}}}'
    return f"{text}}}"


_FORMULA = ("=", "+", "-", "@")


def csv_lines(table: DecisionTable) -> Iterator[str]:
    """
    Write a table as CSV.

    Parameters
    ----------
    table : DecisionTable
        What to write.

    Yields
    ------
    str
        Some lines, which end in a newline. The first is a header: grouping columns, ``policy``, ``seeds``, then for
        each `Quantity.key` the value and, with ``_low``, ``_high``, ``_n`` and ``_kind`` after it, the other fields of
        an `Estimate`; empty where there is none. Where images of the RMP were made the last columns are their figures,
        the same for all policies of a group.
    """
    keys = list(table.groups[0].keys) if table.groups else []
    parts = ("", "_low", "_high", "_n", "_kind")
    named = [f"{quantity.key}{part}" for quantity in table.quantities for part in parts]
    images = RMP_FIGURE_NAMES if any(group.traces.images is not None for group in table.groups) else ()
    yield _csv([[*keys, "policy", "seeds", *named, *images]])
    for group in table.groups:
        rows = []
        for line in group.lines:
            cells = chain.from_iterable(line.estimates[quantity.key] or _NONE for quantity in table.quantities)
            words = map(csv_cell, (*group.keys.values(), line.policy))
            of_images = group.traces.images or {}
            rows.append([*words, line.n_seeds, *cells, *(of_images.get(name) for name in images)])
        yield _csv(rows)


def _csv(rows: Iterable[Iterable[Any]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def csv_cell(value: Any) -> Any:
    """
    Return a cell that no spreadsheet takes for a formula: names may come from anybody's table.

    Parameters
    ----------
    value : object
        As a table has it.

    Returns
    -------
    object
        Text that begins as a formula does has a quote before it; all else as it is.
    """
    return f"'{value}" if isinstance(value, str) and value.lstrip(" \t\r\n").startswith(_FORMULA) else value


def comparison_json(table: ComparisonTable) -> str:
    """
    Write a table of comparisons as JSON.

    Parameters
    ----------
    table : ComparisonTable
        What to write.

    Returns
    -------
    str
        An object with ``name``, ``baseline``, ``parts``, ``parts_done`` and ``groups``: each a ``group`` (its keys),
        ``scenarios`` and ``seeds`` (how many) and ``comparisons``, of a quantity and a policy each. Shares are 0 to 1,
        times in the unit of the key; null where there is nothing.
    """
    return json.dumps(
        {
            "name": table.name,
            "baseline": table.baseline,
            "parts": table.n_parts,
            "parts_done": table.n_parts_done,
            "groups": [
                {
                    "group": group.keys,
                    "scenarios": group.n_scenarios,
                    "seeds": group.n_seeds,
                    "comparisons": [_comparison_object(one) for one in group.comparisons],
                }
                for group in table.groups
            ],
        },
        ensure_ascii=False,
        indent=1,
    )


def _comparison_object(one: Comparison) -> dict[str, Any]:
    found = one.found
    return {
        "quantity": one.quantity.key,
        "policy": one.policy,
        "value": None if found is None else found.value,
        "baseline": None if found is None else found.baseline,
        "difference": None if found is None else found.difference,
        "low": None if found is None else found.low,
        "high": None if found is None else found.high,
        "p": None if found is None else found.p,
        "p_holm": one.p_adjusted,
        "n": 0 if found is None else found.n,
        "wins": one.wins,
        "ties": 0 if found is None else found.ties,
        "losses": one.losses,
        "verdict": one.verdict,
        "seeds_needed": one.seeds,
    }
