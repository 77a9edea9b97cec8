"""A store's rows made by hand: what each policy profits and costs in each seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from gmemgpu.decision.conditions import CONDITION_COLUMNS, Provenance
from gmemgpu.decision.decision import Decision, decision_of
from gmemgpu.decision.weighing import WEIGHED_COLUMNS
from gmemgpu.metrics.table import metric_arrow_type
from gmemgpu.model.metric import METRIC_NAMES
from gmemgpu.sweeping.store.read import StoredRows

GIB_H = 262_144 * 3600 * 10**9
CORES = 4
HOUR = 3600 * 10**9
PROVENANCE = Provenance(
    version="0.1.0",
    model="2",
    sweep_id="f" * 32,
    seeds=(0, 1, 2, 3),
    other_costs=(),
    command="gmemgpu sweep SPEC -o DIR",
)


Figures = Mapping[str, tuple[Sequence[float], Sequence[float]]]
"""By policy, GiB·h that profit and core-seconds that it costs, seed by seed."""


def rows(
    label: str, figures: Figures, *, in_use: float = 100.0, updates: Mapping[str, int] | None = None, **more: Any
) -> list[dict[str, Any]]:
    """Return the rows of one scenario: a day on a host of 4 cores and 16 GiB, so that 900 core-s are a GiB·h."""
    names = {*WEIGHED_COLUMNS, *CONDITION_COLUMNS, "optimizable_ns", "optimized_core_ns", "never"} - {"preset"}
    return [
        {
            "label": label,
            "preset": "p",
            "seed": seed,
            "policy": policy,
            **dict.fromkeys(sorted(names), 0),
            "cores": CORES,
            "present_bytes": 16 << 30,
            "horizon_ns": 25 * HOUR,
            "warmup_ns": HOUR,
            "admitted": 100,
            "optimizable_ns": 24 * HOUR,
            "optimized_core_ns": round(profit / 100 * CORES * 24 * HOUR),
            "in_use_ns": round(in_use * GIB_H),
            "in_use_optimized_core_ns": round(profit * CORES * GIB_H),
            "leader_busy_ns": round(cost * 10**9),
            "tracker_updates": (updates or {}).get(policy, 0),
            **more,
        }
        for policy, (profits, costs) in figures.items()
        for seed, (profit, cost) in enumerate(zip(profits, costs, strict=True))
    ]


def stored(made: Sequence[dict[str, Any]], axes: Sequence[str] = (), n_parts: int = 1) -> StoredRows:
    """Return rows as a store has them."""

    def kind(name: str) -> pa.DataType | None:
        return metric_arrow_type(name) if name in METRIC_NAMES else None

    table = pa.table({name: pa.array([row[name] for row in made], kind(name)) for name in made[0]})
    return StoredRows(name="test", table=table, axes=tuple(axes), n_parts=n_parts, n_parts_done=1)


def decided(made: Sequence[dict[str, Any]], axes: Sequence[str] = (), n_parts: int = 1, **options: Any) -> Decision:
    """Return what is decided by rows."""
    return decision_of(stored(made, axes, n_parts), Path("results/test"), PROVENANCE, **options)
