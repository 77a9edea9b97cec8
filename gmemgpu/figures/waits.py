"""Latencies of a store's rows, added up over seeds and scenarios."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gmemgpu.figures.latency import Waits
from gmemgpu.metrics.columns import chunks
from gmemgpu.model import ORACLE_NAME
from gmemgpu.report.grouping import codes_of, groups_of
from gmemgpu.sweeping.store.read import read_rows

__all__ = ["read_waits"]


def read_waits(
    directory: str | Path, *, group_by: Sequence[str] = (), policies: Sequence[str] = ()
) -> list[tuple[dict[str, Any], dict[str, Waits]]]:
    """
    Read the latencies of a results directory.

    Parameters
    ----------
    directory : str or Path
        Of a sweep.
    group_by : sequence of str
        Known columns, as for `gmemgpu.report.decision.decision_table`.
    policies : sequence of str
        Which, in this order; all but the oracle if left out.

    Returns
    -------
    list of (dict of str to value, dict of str to Waits)
        Grouping column to what a group has there, and its policies.

    Raises
    ------
    StoreError
        If the directory holds no sweep, or no finished part.
    """
    group_by = tuple(group_by) or ("label",)
    table = read_rows(directory, [*group_by, "policy", "episodes", "latency_histogram"]).table
    policy, names = codes_of(table["policy"])
    group, keys = groups_of([codes_of(table[name]) for name in group_by])
    episodes = np.concatenate(list(chunks(table["episodes"])))
    lists = table["latency_histogram"].combine_chunks()
    counts, starts = lists.values.to_numpy(), lists.offsets.to_numpy()
    chosen = policies or [name for name in names if name != ORACLE_NAME]
    found = []
    for i, key in enumerate(keys):
        waits = {}
        for name in chosen:
            rows = np.flatnonzero((group == i) & (policy == names.index(name)))
            added = np.zeros(max((int(starts[row + 1] - starts[row]) for row in rows), default=0), np.int64)
            for row in rows:
                added[: starts[row + 1] - starts[row]] += counts[starts[row] : starts[row + 1]]
            waits[name] = Waits(added, int(episodes[rows].sum()))
        found.append((dict(zip(group_by, key, strict=True)), waits))
    return found
