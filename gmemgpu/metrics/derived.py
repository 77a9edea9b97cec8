"""Ratios that reports derive from exact metric rows: coverage, benefit, CPU share, IPIs per region, regret."""

from __future__ import annotations

from gmemgpu.model.metric import MetricRow

__all__ = ["DERIVED_NAMES", "derived"]

DERIVED_NAMES = ("coverage", "benefit", "cpu_share", "ipis_per_new", "regret")
"""Keys of what `derived` gives."""


def _ratio(numerator: int, denominator: int) -> float | None:
    # Python divides integers of any size with one correct rounding, so nothing is lost before the end.
    return numerator / denominator if denominator else None


def derived(row: MetricRow, oracle_row: MetricRow | None, *, cores: int, counted_ns: int) -> dict[str, float | None]:
    """
    Turn one row of integers into the ratios that people compare.

    Parameters
    ----------
    row : MetricRow
        Of the policy.
    oracle_row : MetricRow or None
        Of the oracle on the same trace; without it `benefit` and `regret` are undefined.
    cores : int
        All cores of the host, whether or not their windows cover anything.
    counted_ns : int
        Horizon less warm-up.

    Returns
    -------
    dict of str to float or None
        None where a ratio has no meaning, such as IPIs for each of no regions.

        ``coverage``
            Share of the free region-time, on all cores, that had its bit set; 0 to 1.
        ``benefit``
            Memory in use that profits, integrated, as a share of the oracle's; 0 to 1.
        ``cpu_share``
            Leaders' and followers' CPU time as a share of all cores' time.
        ``ipis_per_new``
            Inter-processor interrupts for each bit set.
        ``regret``
            Share of the oracle's optimized core-time that was missed; 0 for the oracle.

    Notes
    -----
    MODEL.md section 7.
    """
    busy_ns = row["leader_busy_ns"] + row["follower_busy_ns"]
    benefit = regret = None
    if oracle_row is not None:
        benefit = _ratio(row["in_use_optimized_core_ns"], oracle_row["in_use_optimized_core_ns"])
        bound = oracle_row["optimized_core_ns"]
        regret = _ratio(bound - row["optimized_core_ns"], bound)
    return {
        "coverage": _ratio(row["optimized_core_ns"], cores * row["optimizable_ns"]),
        "benefit": benefit,
        "cpu_share": _ratio(busy_ns, cores * counted_ns),
        "ipis_per_new": _ratio(row["ipis"], row["attempts_new"]),
        "regret": regret,
    }
