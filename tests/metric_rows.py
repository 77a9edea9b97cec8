"""Quantities of one row at a time, in Python's integers."""

from __future__ import annotations

import numpy as np

from gmemgpu.metrics.columns import Floats
from gmemgpu.model.metric import MetricRow
from gmemgpu.report.samples import Sums

__all__ = ["by_hand", "by_seed", "sums_by_hand"]


def by_seed(sums: Sums) -> Floats:
    """Return a quantity of each policy and seed; not a number where there is none."""
    if sums.denominator is None:
        return sums.numerator
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(sums.denominator == 0, np.nan, sums.numerator / sums.denominator)


def _ratio(numerator: int, denominator: int) -> float | None:
    # Python divides integers of any size with one correct rounding.
    return numerator / denominator if denominator else None


def by_hand(row: MetricRow, oracle: MetricRow | None) -> dict[str, float | None]:
    """Return the quantities of a row that has `cores` beside its metrics; MODEL.md section 7."""
    benefit = regret = None
    missed = None
    cores = row["cores"]
    gib_h = cores * 262_144 * 3600 * 10**9
    if oracle is not None:
        best = oracle["in_use_optimized_core_ns"]
        if float(best) >= 1e-4 * (float(cores) * float(row["in_use_ns"])):
            benefit = _ratio(row["in_use_optimized_core_ns"], best)
        missed = (best - row["in_use_optimized_core_ns"]) / gib_h
        bound = oracle["optimized_core_ns"]
        regret = _ratio(bound - row["optimized_core_ns"], bound)
    metrics = ("latency_p50_ns", "latency_p99_ns", "never")
    return {
        "coverage": _ratio(row["optimized_core_ns"], row["cores"] * row["optimizable_ns"]),
        "benefit": benefit,
        "profit_gib_h": row["in_use_optimized_core_ns"] / gib_h,
        "missed_gib_h": missed,
        "core_s": (row["leader_busy_ns"] + row["follower_busy_ns"]) / 10**9,
        "ipis_per_region": _ratio(row["ipis"], row["attempts_new"]),
        **{name: None if row[name] < 0 else float(row[name]) for name in metrics},
        "longest_pass_ns": float(row["pass_wall_max_ns"]),
        "regret": regret,
        "tracker_updates": float(row["tracker_updates"]),
    }


def sums_by_hand(row: MetricRow, oracle: MetricRow | None) -> dict[str, tuple[int, int]]:
    """Return numerators and denominators of the quantities that are ratios, without those that do not exist."""
    found = {
        "coverage": (row["optimized_core_ns"], row["cores"] * row["optimizable_ns"]),
        "ipis_per_region": (row["ipis"], row["attempts_new"]),
    }
    if oracle is not None:
        best, bound = oracle["in_use_optimized_core_ns"], oracle["optimized_core_ns"]
        if float(best) >= 1e-4 * (float(row["cores"]) * float(row["in_use_ns"])):
            found["benefit"] = row["in_use_optimized_core_ns"], best
        found["regret"] = bound - row["optimized_core_ns"], bound
    return found
