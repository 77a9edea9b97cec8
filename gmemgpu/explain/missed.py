"""Why a free episode's bit was never set: which chance there was, and what came of it."""

from __future__ import annotations

from enum import Enum
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from gmemgpu.engine.class_code import CLEAN, FAIL_EARLY
from gmemgpu.explain.record import Cause, Fate, PassState, RunRecord
from gmemgpu.explain.visit import VisitOutcome, Visits
from gmemgpu.model.trace import Int64Array
from gmemgpu.timeline.piece import IdRegions

__all__ = ["Miss", "MissFinder", "Reason"]


class Reason(Enum):
    """Why no pass set the bit; the value says it in words."""

    WASTED = "it ended while the pass was on it"
    PUT_OFF = "later requests put the pass off past its end"
    WAITED = "the pass waited for another one that ran"
    LOST = "its request was dropped, since a pass ran"
    CONVERTING = "the guest was still converting when the pass came"
    NO_GUEST_MEMFD = "a page of no guest_memfd was in the way"
    SNP_OFF = "the pass was skipped, since SNP was off"
    LATE = "it ended before the pass came to it"
    NOT_NAMED = "no request named the region"
    NO_REQUEST = "nothing asked for a pass once it was free"
    NOT_COVERED = "no core's window covers the region"


class Miss(NamedTuple):
    """
    Why one episode was missed.

    Parameters
    ----------
    reason : Reason
        The first chance that there was, and what came of it.
    scan_pass : int
        The pass that it is about; -1 for none, or one that the horizon kept from starting.
    request : int
        The request that it is about: that which was dropped, or which put the pass off beyond the episode's end; -1 for
        none.
    """

    reason: Reason
    scan_pass: int = -1
    request: int = -1


class _Indexed(NamedTuple):
    # Some requests or passes, ascending: which, and when.
    which: Int64Array
    t_ns: Int64Array


class MissFinder:
    """
    Looks for the reasons of one run.

    Parameters
    ----------
    record : RunRecord
        One policy on one trace; not the oracle.
    """

    def __init__(self, record: RunRecord) -> None:
        self._record = record
        self._visits = lru_cache(maxsize=64)(record.visits)
        self._passes = lru_cache(maxsize=None)(self._passes_concerning)
        self._kept = lru_cache(maxsize=None)(self._requests_kept)
        self._names_regions = record.policy.scope in ("vm", "inode", "region")

    def why(self, episode: int) -> Miss:
        """
        Find why an episode's bit was not set.

        Parameters
        ----------
        episode : int
            Its index in ``record.episodes``; its bit was never set.

        Returns
        -------
        Miss
            In this order: what passes made of it while it was free, what kept one from coming then, what the last pass
            before found, and last that there was none.
        """
        record = self._record
        region = int(record.episodes.region[episode])
        begin_ns, end_ns = int(record.episodes.begin_ns[episode]), int(record.episodes.end_ns[episode])
        if record.prepared.cores[region] == 0:
            return Miss(Reason.NOT_COVERED)
        since_ns = self._busy_since(episode)
        late = self._met(region, begin_ns, end_ns)
        if late is not None and late.reason is not Reason.LATE:
            return late
        pending = self._pending(region, begin_ns, end_ns)
        if pending is not None and pending.reason is not Reason.LATE:
            return pending
        return (
            self._dropped(region, begin_ns, end_ns)
            or self._too_early(region, since_ns, begin_ns)
            or late
            or pending
            or self._unasked(region, since_ns, begin_ns, end_ns)
        )

    # Boot passes, and those whose requests name the region, all where requests name none; whether or not the gate or an
    # earlier attempt then left it out.
    def _passes_concerning(self, region: int) -> _Indexed:
        passes = self._record.passes
        if not self._names_regions:
            return self._all_passes
        spent = self._record.requests.scan_pass[self._naming(region)]
        index = np.union1d(np.flatnonzero(passes.cause == Cause.BOOT), spent[spent >= 0])
        return _Indexed(index, passes.start_ns[index])

    @cached_property
    def _all_passes(self) -> _Indexed:
        return _Indexed(np.arange(len(self._record.passes)), self._record.passes.start_ns)

    # Requests that name the region and were not lost.
    def _requests_kept(self, region: int) -> _Indexed:
        if not self._names_regions:
            return self._all_kept
        return self._among_kept(self._naming(region))

    @cached_property
    def _all_kept(self) -> _Indexed:
        return self._among_kept(np.arange(len(self._record.requests)))

    def _among_kept(self, index: Int64Array) -> _Indexed:
        requests = self._record.requests
        index = index[requests.fate[index] != Fate.LOST]
        return _Indexed(index, requests.made.t_ns[index])

    @cached_property
    def _lost(self) -> Int64Array:
        return np.flatnonzero(self._record.requests.fate == Fate.LOST)

    @cached_property
    def _named(self) -> tuple[Int64Array, Int64Array]:
        # The requests that name each region.
        prepared, requests, scope = self._record.prepared, self._record.requests, self._record.policy.scope
        made = requests.made
        if scope == "region":
            first, count = made.first_region.astype(np.int64), (made.last_region - made.first_region + 1).astype(int)
            of, within = _expanded(count)
            return _grouped(first[of] + within, of, len(prepared.cores))
        held: IdRegions = prepared.vm_regions if scope == "vm" else prepared.inode_regions
        ids = made.vm if scope == "vm" else made.inode
        low, high = np.searchsorted(held.ids, ids, "left"), np.searchsorted(held.ids, ids, "right")
        of, within = _expanded(np.where(ids >= 0, high - low, 0))
        row = low[of] + within
        spent = requests.scan_pass[of]
        known = np.full(len(of), prepared.horizon_ns)
        known[spent >= 0] = self._record.passes.start_ns[spent[spent >= 0]]
        kept = held.since_ns[row] <= known
        return _grouped(held.region[row][kept].astype(np.int64), of[kept], len(prepared.cores))

    def _naming(self, region: int) -> Int64Array:
        at, request_of = self._named
        return request_of[at[region] : at[region + 1]]

    def _busy_since(self, episode: int) -> int:
        episodes = self._record.episodes
        if episode and episodes.region[episode - 1] == episodes.region[episode]:
            return int(episodes.end_ns[episode - 1])
        return 0

    # What passes that started before its end and ended after its beginning made of it.
    def _met(self, region: int, begin_ns: int, end_ns: int) -> Miss | None:
        passes, mine = self._record.passes, self._passes(region)
        stop = int(np.searchsorted(mine.t_ns, end_ns))
        # Passes do not overlap: of those that started before, only the last may run still.
        first = max(int(np.searchsorted(mine.t_ns, begin_ns)) - 1, 0)
        late = None
        for k in mine.which[first:stop].tolist():
            found, i = self._visit(k, region)
            if found is None:
                continue
            visit_ns = int(found.visit_ns[i])
            if begin_ns <= visit_ns < end_ns:
                if found.outcome[i] == VisitOutcome.WASTED:
                    return Miss(Reason.WASTED, k)
                # Free at the visit and yet failed: with leader_first it counts as what it was when the pass started.
                if (busy := self._busy(region, int(passes.start_ns[k]), k)) is not None:
                    return busy
            elif begin_ns <= passes.start_ns[k] and visit_ns >= end_ns:
                late = late or Miss(Reason.LATE, k)
        return late

    def _visit(self, scan_pass: int, region: int) -> tuple[Visits | None, int]:
        targets = self._record.targets[scan_pass]
        i = int(np.searchsorted(targets, region))
        if i == len(targets) or targets[i] != region:
            return None, -1
        return self._visits(scan_pass), i

    # The pass that was still pending when it ended, if one was.
    def _pending(self, region: int, begin_ns: int, end_ns: int) -> Miss | None:
        record, requests, passes = self._record, self._record.requests, self._record.passes
        if record.policy.timer.kind == "periodic":
            return None if self._names_regions else Miss(Reason.LATE)
        kept = self._kept(region)
        n = int(np.searchsorted(kept.t_ns, end_ns))
        if not n:
            return None
        scan_pass = int(requests.scan_pass[kept.which[n - 1]])
        if scan_pass >= 0 and passes.start_ns[scan_pass] < end_ns:
            return None
        # Of the same batch, from the first that names the region until it ended.
        batch = self._batch(scan_pass)
        batch = batch[np.searchsorted(batch, kept.which[np.searchsorted(kept.which, batch[0])]) :]
        batch = batch[: np.searchsorted(requests.made.t_ns[batch], end_ns)]
        due_ns = requests.due_ns[batch]
        if due_ns[-1] < end_ns:
            return Miss(Reason.WAITED, scan_pass)
        in_time = np.flatnonzero((due_ns >= begin_ns) & (due_ns < end_ns))
        if len(in_time):
            return Miss(Reason.PUT_OFF, scan_pass, int(batch[in_time[-1] + 1]))
        return Miss(Reason.LATE, scan_pass)

    @cached_property
    def _batches(self) -> tuple[Int64Array, Int64Array]:
        requests = self._record.requests
        # Those that wait at the horizon come last; lost ones are in no batch.
        spent = np.where(requests.scan_pass < 0, len(self._record.passes), requests.scan_pass)
        kept = np.flatnonzero(requests.fate != Fate.LOST)
        return _grouped(spent[kept], kept, len(self._record.passes) + 1)

    def _batch(self, scan_pass: int) -> Int64Array:
        at, request_of = self._batches
        k = len(self._record.passes) if scan_pass < 0 else scan_pass
        return request_of[at[k] : at[k + 1]]

    # A request that was lost although its pass would have come in time.
    def _dropped(self, region: int, begin_ns: int, end_ns: int) -> Miss | None:
        if not len(self._lost):
            return None
        requests, passes = self._record.requests, self._record.passes
        lost = np.intersect1d(self._lost, self._naming(region)) if self._names_regions else self._lost
        for request in lost[: np.searchsorted(requests.made.t_ns[lost], end_ns)][::-1].tolist():
            t_ns = int(requests.made.t_ns[request])
            ends_ns = int(passes.end_ns[np.searchsorted(passes.start_ns, t_ns) - 1])
            start_ns = max(t_ns + self._record.policy.timer.delay_ns, ends_ns)
            if begin_ns <= start_ns < end_ns:
                return Miss(Reason.LOST, request=request)
            if start_ns < begin_ns:
                return None
        return None

    # What the last pass before its beginning found, if the region was busy then for a reason that passes.
    def _too_early(self, region: int, since_ns: int, begin_ns: int) -> Miss | None:
        passes, mine = self._record.passes, self._passes(region)
        last = int(np.searchsorted(mine.t_ns, begin_ns)) - 1
        while last >= 0 and passes.cause[mine.which[last]] == Cause.BOOT:
            last -= 1  # it came for no guest's going
        if last < 0 or mine.t_ns[last] < since_ns:
            return None
        k = int(mine.which[last])
        if passes.state[k] == PassState.SKIPPED:
            return Miss(Reason.SNP_OFF, k)
        found, i = self._visit(k, region)
        return self._busy(region, int(passes.start_ns[k] if found is None else found.visit_ns[i]), k)

    def _busy(self, region: int, t_ns: int, scan_pass: int) -> Miss | None:
        prepared = self._record.prepared
        row = int(self._record.visitor.rows(np.array([region]), t_ns)[0])
        if FAIL_EARLY <= prepared.codes[row] < CLEAN:
            return Miss(Reason.CONVERTING, scan_pass)
        if prepared.codes[row] < CLEAN and not prepared.gmem[row]:
            return Miss(Reason.NO_GUEST_MEMFD, scan_pass)
        return None

    def _unasked(self, region: int, since_ns: int, begin_ns: int, end_ns: int) -> Miss:
        record = self._record
        held = self._busy(region, begin_ns - 1, -1) if record.policy.hook != "none" and begin_ns else None
        if held is not None and held.reason is Reason.NO_GUEST_MEMFD:
            # The last page to go was one that no hook sees.
            return held
        if self._names_regions:
            made_ns = record.requests.made.t_ns
            asked = np.searchsorted(made_ns, since_ns) < np.searchsorted(made_ns, end_ns)
            if asked or record.policy.timer.kind == "periodic":
                return Miss(Reason.NOT_NAMED)
        return Miss(Reason.NO_REQUEST)


def _grouped(group: Int64Array, value: Int64Array, n: int) -> tuple[Int64Array, Int64Array]:
    # Values by group, in their order: those of group g at ``at[g]:at[g + 1]``.
    at = np.concatenate([[0], np.cumsum(np.bincount(group, minlength=n))])
    return at, value[np.argsort(group, kind="stable")]


def _expanded(counts: Int64Array) -> tuple[Int64Array, Int64Array]:
    # Each index as often as it counts, and a running number within.
    of = np.repeat(np.arange(len(counts)), counts)
    return of, np.arange(len(of)) - np.repeat(np.cumsum(counts) - counts, counts)
