"""Two policies on one trace: which free episodes one of them caught and the other missed, and why."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gmemgpu.explain.missed import Miss, MissFinder, Reason
from gmemgpu.explain.record import RunRecord
from gmemgpu.model.trace import BoolArray, Int64Array
from gmemgpu.timeline.integral import exact_sum

__all__ = ["MissedAlone", "RunComparison", "compare_runs"]


@dataclass(frozen=True, slots=True, eq=False)
class MissedAlone:
    """
    The counted episodes that one run missed and the other caught.

    Parameters
    ----------
    episode : (n,) int64
        Indices in the episodes of both, the longest loss first.
    lost_ns : (n,) int64
        How long the other one had the bit set.
    miss : tuple of Miss
        Why each was missed.
    """

    episode: Int64Array
    lost_ns: Int64Array
    miss: tuple[Miss, ...]

    def by_reason(self) -> dict[Reason, Int64Array]:
        """
        Sort the episodes by reason.

        Returns
        -------
        dict of Reason to (m,) int64
            Positions in this table, the longest loss first; the reason that costs most first, one that never occurs
            left out.
        """
        found: dict[Reason, list[int]] = {}
        for i, miss in enumerate(self.miss):
            found.setdefault(miss.reason, []).append(i)
        groups = {reason: np.array(mine, np.int64) for reason, mine in found.items()}
        return dict(sorted(groups.items(), key=lambda group: -exact_sum(self.lost_ns[group[1]])))


@dataclass(frozen=True, slots=True, eq=False)
class RunComparison:
    """
    How two runs differ over the counted episodes.

    Parameters
    ----------
    first, second : RunRecord
        On the same trace.
    missed_by_first, missed_by_second : MissedAlone
        What one missed alone.
    n_both, n_neither : int
        Episodes that both caught, or both missed.
    n_later, n_earlier : int
        Of those that both caught, how many the first one set later, or earlier, than the second.
    later_ns, earlier_ns : int
        By how much, summed.
    optimized_ns : (int, int)
        The metric of each.
    """

    first: RunRecord
    second: RunRecord
    missed_by_first: MissedAlone
    missed_by_second: MissedAlone
    n_both: int
    n_neither: int
    n_later: int
    n_earlier: int
    later_ns: int
    earlier_ns: int
    optimized_ns: tuple[int, int]

    @property
    def other_ns(self) -> int:
        """Optimized time that the first has more outside counted episodes: fresh ones, or begun in the warm-up."""
        of_counted = (
            exact_sum(self.missed_by_second.lost_ns)
            - exact_sum(self.missed_by_first.lost_ns)
            + self.earlier_ns
            - self.later_ns
        )
        return self.optimized_ns[0] - self.optimized_ns[1] - of_counted


def compare_runs(first: RunRecord, second: RunRecord) -> RunComparison:
    """
    Compare two runs.

    Parameters
    ----------
    first, second : RunRecord
        Two policies on one trace, made from the same `Prepared`.

    Returns
    -------
    RunComparison
        Its counts add up to the differences between the metrics ``reoptimized``, ``overtaken`` and ``never``, its times
        to that of ``optimized_ns``.
    """
    counted = first.episodes.counted
    caught = [record.episodes.set_ns >= 0 for record in (first, second)]
    both = counted & caught[0] & caught[1]
    later_ns = (first.episodes.set_ns - second.episodes.set_ns)[both]
    return RunComparison(
        first,
        second,
        _missed_alone(first, second, counted & ~caught[0] & caught[1]),
        _missed_alone(second, first, counted & ~caught[1] & caught[0]),
        int(both.sum()),
        int((counted & ~caught[0] & ~caught[1]).sum()),
        int((later_ns > 0).sum()),
        int((later_ns < 0).sum()),
        exact_sum(later_ns[later_ns > 0]),
        -exact_sum(later_ns[later_ns < 0]),
        (_optimized_ns(first), _optimized_ns(second)),
    )


def _missed_alone(record: RunRecord, other: RunRecord, which: BoolArray) -> MissedAlone:
    episodes = np.flatnonzero(which)
    # Asked in the order of time, so that what a pass found is looked up once for all that it is about.
    finder = MissFinder(record)
    why = {e: finder.why(e) for e in episodes[np.argsort(record.episodes.end_ns[episodes])].tolist()}
    lost_ns = (record.episodes.end_ns - other.episodes.set_ns)[episodes]
    order = np.argsort(-lost_ns, kind="stable")
    return MissedAlone(episodes[order], lost_ns[order], tuple(why[e] for e in episodes[order].tolist()))


def _optimized_ns(record: RunRecord) -> int:
    episodes = record.episodes
    lit = episodes.set_ns >= 0
    return exact_sum(np.maximum(episodes.end_ns[lit] - np.maximum(episodes.set_ns[lit], record.prepared.warmup_ns), 0))
