"""The life of one region in words: who kept it busy, when it was free, and when its bit was set or why not."""

from __future__ import annotations

import numpy as np

from gmemgpu.explain.duration import span_text
from gmemgpu.explain.holder import Holders
from gmemgpu.explain.missed import MissFinder
from gmemgpu.explain.record import RunRecord
from gmemgpu.explain.region_span import RegionSpans, State, region_spans
from gmemgpu.explain.run_text import shortened
from gmemgpu.explain.visit import VisitOutcome
from gmemgpu.explain.words import counted, filled, holders_text, miss_text, ranges_text, when

__all__ = ["region_lines"]

_SPANS_SHOWN = 20


def region_lines(record: RunRecord, region: int, *, t_ns: int | None = None, whole: bool = False) -> list[str]:
    """
    Write the life of a region.

    Parameters
    ----------
    record : RunRecord
        One policy on one trace; not the oracle.
    region : int
        Its index.
    t_ns : int, optional
        Only what it is at this time, and what comes before and after.
    whole : bool
        Leave nothing out.

    Returns
    -------
    list of str
        No wider than 80 columns.
    """
    cores = int(record.prepared.cores[region])
    title = (
        f"region {region}, covered by {counted(cores, 'core')}" if cores else f"region {region}, which no core covers"
    )
    lives = _lives(record, region)
    if t_ns is not None:
        now = next(i for i, (_, _, end_ns, _) in enumerate(lives) if t_ns < end_ns)
        lives = lives[max(now - 1, 0) : now + 2]
    head, tail = shortened(range(len(lives)), len(lives) if whole else _SPANS_SHOWN)
    teller = _Teller(record, region)
    lines = [title]
    for i in head:
        lines += teller.lines(*lives[i])
    if tail:
        lines.append(
            f"... {len(lives) - len(head) - len(tail):,} spans left out; --all shows them, --time those at a time"
        )
    for i in tail:
        lines += teller.lines(*lives[i])
    return lines


def _lives(record: RunRecord, region: int) -> list[tuple[State, int, int, int]]:
    # State, begin, end and free episode (else -1), where a free episode is one whatever its bit.
    episodes = record.episodes
    mine = np.flatnonzero(episodes.region == region)
    spans: RegionSpans = region_spans(record)
    rest = (spans.region == region) & np.isin(spans.state, (State.BUSY, State.OFF))
    found = [
        (State(state), begin_ns, end_ns, -1)
        for state, begin_ns, end_ns in zip(
            spans.state[rest].tolist(), spans.begin_ns[rest].tolist(), spans.end_ns[rest].tolist(), strict=True
        )
    ]
    holes = region in record.prepared.trace.host.hole_regions()
    if not holes:
        free = zip(mine.tolist(), episodes.begin_ns[mine].tolist(), episodes.end_ns[mine].tolist(), strict=True)
        found += [(State.FREE, begin_ns, end_ns, episode) for episode, begin_ns, end_ns in free]
    return sorted(found, key=lambda life: life[1])


class _Teller:
    def __init__(self, record: RunRecord, region: int) -> None:
        self._record, self._region = record, region
        self._holders, self._finder = Holders(record.prepared), MissFinder(record)
        # What each pass found here.
        self._visits: list[tuple[int, int, VisitOutcome]] = []
        for k, targets in enumerate(record.targets):
            i = int(np.searchsorted(targets, region))
            if i < len(targets) and targets[i] == region:
                visits = record.visits(k)
                self._visits.append((int(visits.visit_ns[i]), k, VisitOutcome(visits.outcome[i])))

    def lines(self, state: State, begin_ns: int, end_ns: int, episode: int) -> list[str]:
        record = self._record
        lasts = " to the horizon" if end_ns == record.prepared.horizon_ns else ""
        title = f"{when(record, begin_ns)}  "
        length = f"for {span_text(end_ns - begin_ns)}{lasts}"
        visits = [visit for visit in self._visits if begin_ns <= visit[0] < end_ns]
        if state is State.OFF:
            return filled(f"{title}SNP off or no memory, {length}", 0)
        if state is State.BUSY:
            vms = self._holders.of_span(self._region, begin_ns, end_ns)
            names = [f"VM {ranges_text([vm for vm in vms if vm >= 0])}"] if any(vm >= 0 for vm in vms) else []
            names += ["pages of no VM"] if -1 in vms else []
            return [*filled(f"{title}busy {length}: {', '.join(names)}", 0), *self._busy(visits)]
        fate = self._fate(episode)
        fresh = ", since SNP began" if record.episodes.fresh[episode] else ""
        warm = ", in the warm-up" if 0 < begin_ns < record.prepared.warmup_ns else ""
        return [*filled(f"{title}free {length}{fresh}{warm}: {fate}", 0), *self._free(visits)]

    def _fate(self, episode: int) -> str:
        record, episodes = self._record, self._record.episodes
        set_ns = int(episodes.set_ns[episode])
        if set_ns < 0:
            return f"never optimized: {miss_text(record, self._finder.why(episode))}"
        after = span_text(set_ns - int(episodes.begin_ns[episode]))
        return f"set by pass {int(episodes.set_pass[episode])} at {when(record, set_ns)}, {after} after it began"

    def _busy(self, visits: list[tuple[int, int, VisitOutcome]]) -> list[str]:
        if not visits:
            return []
        visit_ns, k, _ = visits[-1]
        before = f"{counted(len(visits) - 1, 'pass', 'passes')} before it; " if len(visits) > 1 else ""
        found = holders_text(self._holders.at(self._region, visit_ns))
        return filled(f"{before}pass {k} at {when(self._record, visit_ns)} found {found}", 4)

    def _free(self, visits: list[tuple[int, int, VisitOutcome]]) -> list[str]:
        lines = []
        for visit_ns, k, outcome in visits:
            if outcome is VisitOutcome.WASTED:
                lines += filled(f"pass {k} at {when(self._record, visit_ns)} was not done when it ended", 4)
            elif outcome is VisitOutcome.FAILED:
                lines += filled(f"pass {k} had counted it as busy when it started", 4)
        if n := sum(outcome is VisitOutcome.CACHED for _, _, outcome in visits):
            lines += filled(f"{counted(n, 'pass', 'passes')} later found it set", 4)
        return lines
