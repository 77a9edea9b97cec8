"""A decision table for programs: JSON with every estimate in full, CSV with one line a policy."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from gmemgpu.report.decision import DecisionTable
from gmemgpu.report.quantity import QUANTITIES
from gmemgpu.report.statistics import Estimate

__all__ = ["table_json", "table_csv"]


def _ends(found: Estimate | None) -> dict[str, Any]:
    if found is None:
        return {"mean": None, "low": None, "high": None, "n": 0}
    return {"mean": found.mean, "low": found.low, "high": found.high, "n": found.n}


def table_json(table: DecisionTable) -> str:
    """
    Write a table as JSON.

    Returns
    -------
    str
        An object with ``name``, ``parts``, ``parts_done`` and ``groups``: each a ``group`` (its keys), ``scenarios``
        (how many) and ``policies``, a list of objects with ``policy``, ``seeds`` and, by `Quantity.key`, ``mean``,
        ``low``, ``high`` (null for one seed) and ``n``. Shares are 0 to 1, times in the unit of the key.
    """
    groups = [
        {
            "group": group.keys,
            "scenarios": group.n_scenarios,
            "policies": [
                {
                    "policy": line.policy,
                    "seeds": line.n_seeds,
                    **{quantity.key: _ends(line.estimates[quantity.key]) for quantity in QUANTITIES},
                }
                for line in group.lines
            ],
        }
        for group in table.groups
    ]
    document = {"name": table.name, "parts": table.n_parts, "parts_done": table.n_parts_done, "groups": groups}
    return json.dumps(document, indent=1, ensure_ascii=False)


def table_csv(table: DecisionTable) -> str:
    """
    Write a table as CSV.

    Returns
    -------
    str
        With a header: grouping columns, ``policy``, ``seeds``, then for each `Quantity.key` the mean and, with
        ``_low`` and ``_high`` after it, the interval; empty where there is none. Lines end in a newline.
    """
    keys = list(table.groups[0].keys) if table.groups else []
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    named = [name for quantity in QUANTITIES for name in (quantity.key, f"{quantity.key}_low", f"{quantity.key}_high")]
    writer.writerow([*keys, "policy", "seeds", *named])
    for group in table.groups:
        for line in group.lines:
            cells: list[Any] = []
            for quantity in QUANTITIES:
                ends = _ends(line.estimates[quantity.key])
                cells.extend((ends["mean"], ends["low"], ends["high"]))
            writer.writerow([*group.keys.values(), line.policy, line.n_seeds, *cells])
    return out.getvalue()
