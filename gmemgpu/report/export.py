"""Tables for programs: JSON with every estimate and comparison in full, CSV with one line a policy."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from gmemgpu.model.rmp_figure import RMP_FIGURE_NAMES
from gmemgpu.report.comparison import Comparison, ComparisonTable
from gmemgpu.report.decision import DecisionTable, Group
from gmemgpu.report.statistics import Estimate

__all__ = ["table_json", "table_csv", "csv_cell", "comparison_json"]


def _ends(found: Estimate | None) -> dict[str, Any]:
    if found is None:
        return {"value": None, "low": None, "high": None, "n": 0, "kind": None}
    return found._asdict()


def table_json(table: DecisionTable) -> str:
    """
    Write a table as JSON, a line for each group.

    Parameters
    ----------
    table : DecisionTable
        What to write.

    Returns
    -------
    str
        An object with ``name``, ``sweep``, ``version``, ``seeds``, ``parts``, ``parts_done`` and ``groups``: each a
        ``group`` (its keys), ``scenarios``, ``admitted`` and ``rejected`` (how many scenarios and VMs), ``running`` and
        ``running_snp`` (VMs, and SNP guests among them, on average), ``images`` (figures of images of the RMP, sums
        over them; null if none was made) and ``policies``, a list of objects with ``policy``, ``seeds`` (how many) and,
        by `Quantity.key`, the fields of an `Estimate`; null where there is none. Shares are 0 to 1, times in the unit
        of the key.
    """
    # No indent: with one, Python takes its slow encoder, ten times as long.
    encode = json.JSONEncoder(ensure_ascii=False, check_circular=False).encode
    about = {"name": table.name, "sweep": table.sweep_id, "version": table.version, "seeds": table.seeds}
    head = encode({**about, "parts": table.n_parts, "parts_done": table.n_parts_done})
    groups = ",\n".join(encode(_group_object(group)) for group in table.groups)
    return f'{head[:-1]}, "groups": [\n{groups}\n]}}'


def _group_object(group: Group) -> dict[str, Any]:
    policies = []
    for line in group.lines:
        estimates = {key: _ends(found) for key, found in line.estimates.items()}
        policies.append({"policy": line.policy, "seeds": line.n_seeds, **estimates})
    traces = group.traces
    running = {"running": traces.mean_running, "running_snp": traces.mean_running_snp}
    vms = {"admitted": traces.admitted, "rejected": traces.rejected, **running}
    about = {"group": group.keys, "scenarios": group.n_scenarios, **vms, "images": traces.images}
    return {**about, "policies": policies}


_FORMULA = ("=", "+", "-", "@")


def table_csv(table: DecisionTable) -> str:
    """
    Write a table as CSV.

    Parameters
    ----------
    table : DecisionTable
        What to write.

    Returns
    -------
    str
        With a header: grouping columns, ``policy``, ``seeds``, then for each `Quantity.key` the value and, with
        ``_low``, ``_high``, ``_n`` and ``_kind`` after it, the other fields of an `Estimate`; empty where there is
        none. Where images of the RMP were made the last columns are their figures, the same for all policies of a
        group. Lines end in a newline.
    """
    keys = list(table.groups[0].keys) if table.groups else []
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    parts = ("", "_low", "_high", "_n", "_kind")
    named = [f"{quantity.key}{part}" for quantity in table.quantities for part in parts]
    images = RMP_FIGURE_NAMES if any(group.traces.images is not None for group in table.groups) else ()
    writer.writerow([*keys, "policy", "seeds", *named, *images])
    for group in table.groups:
        for line in group.lines:
            cells: list[Any] = []
            for quantity in table.quantities:
                cells.extend(_ends(line.estimates[quantity.key]).values())
            words = map(csv_cell, (*group.keys.values(), line.policy))
            of_images = group.traces.images or {}
            writer.writerow([*words, line.n_seeds, *cells, *(of_images.get(name) for name in images)])
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
