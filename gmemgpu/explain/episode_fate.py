"""What became of each free episode: optimized, overtaken or never, as the metrics count them (MODEL.md section 7)."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from gmemgpu.explain.record import EpisodeLog, RunRecord
from gmemgpu.model.trace import Int8Array

__all__ = ["EpisodeFate", "episode_counts", "episode_fates", "episodes_text"]


class EpisodeFate(IntEnum):
    """The metric in which a counted episode counts."""

    REOPTIMIZED = 0
    """Its bit was set before it ended."""
    OVERTAKEN = 1
    """It ended before the horizon, without."""
    NEVER = 2
    """It lasts to the horizon, without."""


def episode_fates(episodes: EpisodeLog, horizon_ns: int) -> Int8Array:
    """
    Find what became of all episodes, whether they are counted or not.

    Parameters
    ----------
    episodes : EpisodeLog
        Of one run.
    horizon_ns : int
        End of the trace.

    Returns
    -------
    (n,) int8
        An `EpisodeFate` each.
    """
    unlit = np.where(episodes.end_ns < horizon_ns, EpisodeFate.OVERTAKEN, EpisodeFate.NEVER)
    return np.where(episodes.set_ns >= 0, EpisodeFate.REOPTIMIZED, unlit).astype(np.int8)


def episode_counts(record: RunRecord) -> dict[EpisodeFate, int]:
    """
    Count the episodes that metrics count.

    Parameters
    ----------
    record : RunRecord
        One policy on one trace.

    Returns
    -------
    dict of EpisodeFate to int
        The metrics ``reoptimized``, ``overtaken`` and ``never``.
    """
    fates = episode_fates(record.episodes, record.prepared.horizon_ns)[record.episodes.counted]
    return {fate: int((fates == fate).sum()) for fate in EpisodeFate}


def episodes_text(record: RunRecord) -> str:
    """
    Write the counts of episodes as a line.

    Parameters
    ----------
    record : RunRecord
        One policy on one trace.

    Returns
    -------
    str
        A phrase without a full stop.
    """
    counts = episode_counts(record)
    lit, overtaken, never = (f"{counts[fate]:,}" for fate in EpisodeFate)
    return f"{sum(counts.values()):,} free episodes after guests: {lit} optimized, {overtaken} overtaken, {never} never"
