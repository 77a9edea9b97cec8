"""One region over time: page counts and free episodes, whatever the policy (MODEL.md section 4)."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from gmemgpu.engine.reference.pages import NOTHING, RegionCount
from gmemgpu.engine.reference.snp import SnpHistory
from gmemgpu.engine.reference.steps import Steps

__all__ = ["Episode", "RegionHistory", "free_episodes"]


@dataclass(frozen=True, slots=True)
class Episode:
    """
    A maximal interval [start_ns, end_ns) with SNP on and no page assigned, cut at every ``snp_init``.

    Parameters
    ----------
    start_ns, end_ns : int
        Half open; an episode that lasts ends at the horizon.
    fresh : bool
        Whether SNP's start began it (t = 0 or a ``snp_init``), not the end of a guest.
    """

    start_ns: int
    end_ns: int
    fresh: bool


def free_episodes(counts: Steps[RegionCount], snp: SnpHistory, horizon_ns: int) -> list[Episode]:
    """
    Find a region's free episodes by looking at every instant at which anything happens.

    Parameters
    ----------
    counts : Steps of RegionCount
        Page counts of the region.
    snp : SnpHistory
        When SNP is on.
    horizon_ns : int
        End of the trace.

    Returns
    -------
    list of Episode
        Ascending.
    """
    inits = set(snp.init_times_ns)
    instants = sorted({*counts.times_ns, *snp.steps.times_ns})
    episodes = []
    start_ns: int | None = None
    for t_ns in [t_ns for t_ns in instants if t_ns < horizon_ns]:
        free = snp.steps.at(t_ns).on and counts.at(t_ns).assigned_pages == 0
        if start_ns is not None and (not free or t_ns in inits):
            episodes.append(Episode(start_ns, t_ns, fresh=start_ns == 0 or start_ns in inits))
            start_ns = None
        if free and start_ns is None:
            start_ns = t_ns
    if start_ns is not None:
        episodes.append(Episode(start_ns, horizon_ns, fresh=start_ns == 0 or start_ns in inits))
    return episodes


class RegionHistory:
    """
    What a region does in a trace.

    Parameters
    ----------
    counts : Steps of RegionCount
        A_r, G_r, first_r, E_r and U_r as step functions.
    snp : SnpHistory
        When SNP is on.
    horizon_ns : int
        End of the trace.

    Attributes
    ----------
    episodes : list of Episode
        Ascending.
    """

    def __init__(self, counts: Steps[RegionCount], snp: SnpHistory, horizon_ns: int) -> None:
        self.counts = counts
        self.episodes = free_episodes(counts, snp, horizon_ns)
        self._starts_ns = [episode.start_ns for episode in self.episodes]
        self._snp = snp
        self._last_ns = horizon_ns - 1

    @classmethod
    def untouched(cls, snp: SnpHistory, horizon_ns: int) -> RegionHistory:
        """
        Build the history of a region that no event touches.

        Parameters
        ----------
        snp : SnpHistory
            When SNP is on.
        horizon_ns : int
            End of the trace.

        Returns
        -------
        RegionHistory
            Free throughout.
        """
        return cls(Steps(NOTHING), snp, horizon_ns)

    def at(self, t_ns: int) -> RegionCount:
        """
        Return the counts at a time.

        Parameters
        ----------
        t_ns : int
            From the horizon on, the last instant before it is looked at (section 6).

        Returns
        -------
        RegionCount
            Pages after every event at or before that time.
        """
        return self.counts.at(min(t_ns, self._last_ns))

    def episode_at(self, t_ns: int) -> Episode | None:
        """
        Return the free episode that holds a time.

        Parameters
        ----------
        t_ns : int
            From the horizon on, the last instant before it is looked at (section 6).

        Returns
        -------
        Episode or None
            None if the region is busy or SNP off.
        """
        t_ns = min(t_ns, self._last_ns)
        index = bisect_right(self._starts_ns, t_ns) - 1
        if index < 0 or self.episodes[index].end_ns <= t_ns:
            return None
        return self.episodes[index]

    def in_use_ns(self, begin_ns: int, end_ns: int) -> int:
        """
        Integrate U_r over time; times with SNP off do not count (section 7).

        Parameters
        ----------
        begin_ns, end_ns : int
            Half open interval.

        Returns
        -------
        int
            In page·ns.
        """
        return sum(
            count.in_use_pages * (stop - start)
            for on_start, on_stop, snp in self._snp.steps.within(begin_ns, end_ns)
            if snp.on
            for start, stop, count in self.counts.within(on_start, on_stop)
        )
