"""Quantities of one row at a time, in Python's integers."""

from __future__ import annotations

from gmemgpu.model.metric import MetricRow

__all__ = ["by_hand"]


def _ratio(numerator: int, denominator: int) -> float | None:
    # Python divides integers of any size with one correct rounding.
    return numerator / denominator if denominator else None


def by_hand(row: MetricRow, oracle: MetricRow | None) -> dict[str, float | None]:
    """Return the quantities of a row that has `cores` beside its metrics; MODEL.md section 7."""
    benefit = regret = None
    if oracle is not None:
        benefit = _ratio(row["in_use_optimized_core_ns"], oracle["in_use_optimized_core_ns"])
        bound = oracle["optimized_core_ns"]
        regret = _ratio(bound - row["optimized_core_ns"], bound)
    metrics = ("latency_p50_ns", "latency_p99_ns", "never")
    return {
        "coverage": _ratio(row["optimized_core_ns"], row["cores"] * row["optimizable_ns"]),
        "benefit": benefit,
        "core_s": (row["leader_busy_ns"] + row["follower_busy_ns"]) / 10**9,
        "ipis_per_region": _ratio(row["ipis"], row["attempts_new"]),
        **{name: None if row[name] < 0 else float(row[name]) for name in metrics},
        "longest_pass_ns": float(row["pass_wall_max_ns"]),
        "regret": regret,
        "tracker_updates": float(row["tracker_updates"]),
    }
