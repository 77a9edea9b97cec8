"""When the passes of all pairs start, given how long those of the last round took."""

from __future__ import annotations

from typing import Literal

import numpy as np

from gmemgpu.engine.array.batch import Batch
from gmemgpu.engine.array.passes import Passes, differing, some_passes
from gmemgpu.engine.array.request_times import RequestTimes, joined, without
from gmemgpu.engine.array.serial import serial_starts
from gmemgpu.engine.array.xp import Array, begins, chain, expand, max_scan_within, search, spread, sum_at
from gmemgpu.model.trace import BoolArray, Int64Array
from gmemgpu.timeline.snp import FOREVER

__all__ = ["Schedule"]

_SAFE_NS = float(1 << 62)
"""Sums of lengths up to here are added in int64; floats that judge them are off by far less than the other half."""


class Schedule:
    """
    The timers of a batch.

    Parameters
    ----------
    batch : Batch

    Notes
    -----
    A batch of requests begins with the first one after a pass's start, so what follows each request is known from the
    request and the last pass that started before it. Where that pass is over by then, nothing of it matters: a round
    corrects only the requests that come while a pass runs. Chains of what follows what give the passes.
    """

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        policies = [pair.policy for pair in batch.pairs]
        self.requests = joined([pair.table.request_times(pair.policy.hook, pair.policy.timer) for pair in batch.pairs])
        self.periodic: BoolArray = np.array([policy.timer.kind == "periodic" for policy in policies])
        self.drop: BoolArray = self.periodic | np.array([policy.busy == "drop" for policy in policies])
        debounce = [policy.timer.delay_ns if policy.timer.kind == "debounce" else -1 for policy in policies]
        self.debounce_ns = np.array(debounce, np.int64)
        boots = [
            [t for t in (0, *pair.table.prepared.snp.inits) if pair.policy.boot and t < horizon]
            for pair, horizon in zip(batch.pairs, batch.horizon_ns.tolist(), strict=True)
        ]
        self.boot_at = begins([len(due) for due in boots])
        self.boot_ns: Int64Array = np.array([t for due in boots for t in due], np.int64)
        self.boot_pair = np.repeat(np.arange(len(batch)), np.diff(self.boot_at))
        self._lost_ranges: tuple[Array, Array] = (np.zeros(0, np.int64), np.zeros(0, np.int64))
        self._kept: tuple[RequestTimes, Array | None] = (self.requests, None)
        self.lost: Array | None = None
        """The requests that boot passes make a timer lose, (n,) bool; None for none."""

    def adopt(self, other: Schedule, chosen: Array) -> None:
        """Take over what the schedule of another batch knows of the pairs `chosen` there, which are those here."""
        if not len(other._lost_ranges[0]):
            return
        _, boot = expand(other.boot_at[:-1][chosen], np.diff(other.boot_at)[chosen])
        shift = (self.requests.at[:-1] - other.requests.at[:-1][chosen])[self.boot_pair]
        self._set_lost(*(edge[boot] + shift for edge in other._lost_ranges))

    def _among_requests(self, requests: RequestTimes, t_ns: Array, at: Array, side: Literal["left", "right"]) -> Array:
        found = search(requests.t_ns, requests.at[:-1], requests.at[1:], t_ns, at, side)
        return found + spread(requests.at[:-1], at)

    def advance(self, passes: Passes) -> tuple[Passes, BoolArray]:
        """
        Compute the starts anew.

        Parameters
        ----------
        passes : Passes
            Of the last round, with the ends that its lengths gave.

        Returns
        -------
        passes : Passes
        moved : (n_pairs,) bool
            Whether any start, or the request that a pass begins with, is another one.
        """
        batch, n_pairs = self.batch, len(self.batch)
        timer = np.flatnonzero(~passes.boot)
        timer_at = np.searchsorted(timer, passes.at)
        boot_start, boot_end, boot_length = self._boots(passes, timer, timer_at)
        requests, origin, lost_moved = self._without_lost(boot_start, boot_end)
        due, following = self._due(requests, passes, boot_end, kept=origin is None)
        if self.drop.any():
            following = self._skip_lost(requests, origin, passes, timer, due, following)
        met = chain(following, requests.at, (requests.following, requests.met) if origin is None else None)
        met_at = np.searchsorted(met, requests.at)
        first = met if origin is None else origin[met]

        # All passes in order, boot passes before those of the timer that could not start earlier.
        start = max_scan_within(due[0][met], met_at)
        before = search(start, met_at[:-1], met_at[1:], boot_start, self.boot_at, "left")
        at = met_at + self.boot_at
        n = len(met) + len(self.boot_ns)
        is_boot = np.zeros(n, bool)
        place = before + met_at[self.boot_pair] + np.arange(len(self.boot_ns))
        is_boot[place] = True
        others = np.flatnonzero(~is_boot)
        pair = np.repeat(np.arange(n_pairs), np.diff(at))
        due_ns, start_ns, all_first = (np.empty(n, np.int64) for _ in range(3))
        due_ns[place], due_ns[others] = self.boot_ns, due[1][met]
        start_ns[place], start_ns[others] = boot_start, start
        all_first[place], all_first[others] = -1, first
        length = np.empty(n, np.int64)
        length[place], length[others] = boot_length, self._lengths(passes, timer, first)
        start_ns = self._pushed(due_ns, length, at, start_ns)
        late = start_ns >= batch.horizon_ns[pair]
        found = Passes(at, pair, start_ns, start_ns + length, is_boot, all_first)
        if late.any():
            found = some_passes(found, np.flatnonzero(~late))
        return found, differing(passes, found) | lost_moved

    def play(self, passes: Passes) -> tuple[Passes, BoolArray]:
        """
        Compute the starts anew, one after another; takes and returns what `advance` does.

        Where passes run back to back, which request begins a pass depends on every length before it, and rounds of
        `advance` settle that one pass at a time. This settles it at once; only lengths are then left to settle.
        """
        batch = self.batch
        timer = np.flatnonzero(~passes.boot)
        timer_at = np.searchsorted(timer, passes.at)
        boot_start, boot_end, boot_length = self._boots(passes, timer, timer_at)
        requests = self.requests
        length = self._length_by_request(passes, timer, requests.at)
        starts: list[int] = []
        firsts: list[int] = []
        counts: list[int] = []
        boots, boots_end = boot_start.copy(), boot_end.copy()
        edges, boot_edges = requests.at.tolist(), self.boot_at.tolist()
        for q, pair in enumerate(batch.pairs):
            a, b, c, d = edges[q], edges[q + 1], boot_edges[q], boot_edges[q + 1]
            start, first = serial_starts(
                pair.policy,
                requests.t_ns[a:b],
                self.boot_ns[c:d].tolist(),
                int(batch.horizon_ns[q]),
                length[a:b],
                boot_length[c:d].tolist(),
            )
            starts += start
            firsts += [i + a if i >= 0 else -1 for i in first]
            counts.append(len(start))
        at = begins(counts)
        start_ns, first_ = np.array(starts, np.int64), np.array(firsts, np.int64)
        is_boot = first_ < 0
        ordinal = np.flatnonzero(is_boot)
        owner = np.repeat(np.arange(len(batch)), counts)
        place = self._boot_index(ordinal, owner[ordinal])
        length_ns = np.where(is_boot, 0, length[np.maximum(first_, 0)] if len(length) else 0)
        length_ns[ordinal] = boot_length[place]
        boots[place] = start_ns[ordinal]
        boots_end[place] = start_ns[ordinal] + boot_length[place]
        _, _, lost_moved = self._without_lost(boots, boots_end)
        found = Passes(at, owner, start_ns, start_ns + length_ns, is_boot, first_)
        return found, differing(passes, found) | lost_moved

    def _boot_index(self, ordinal: Array, pair: Array) -> Array:
        # The n-th boot pass that started is the n-th that falls due. `pair` of each that started, ascending.
        begin = np.searchsorted(pair, np.arange(len(self.batch)))
        return self.boot_at[pair] + np.arange(len(ordinal)) - begin[pair]

    def _boots(self, passes: Passes, timer: Array, timer_at: Array) -> tuple[Array, Array, Array]:
        # Start, end and length of each boot pass: after whatever runs when it falls due.
        n = len(self.boot_ns)
        length = np.zeros(n, np.int64)
        old = np.flatnonzero(passes.boot)
        length[self._boot_index(old, passes.pair[old])] = (passes.end_ns - passes.start_ns)[old]
        start = self.boot_ns
        if len(timer):
            before = search(passes.start_ns[timer], timer_at[:-1], timer_at[1:], self.boot_ns, self.boot_at, "left")
            last = timer[before + timer_at[self.boot_pair] - 1]
            start = np.where(before > 0, np.maximum(start, passes.end_ns[last]), start)
        start = self._pushed(start, length, self.boot_at, max_scan_within(start, self.boot_at))
        return start, start + length, length

    def _pushed(self, due: Array, length: Array, at: Array, otherwise: Array) -> Array:
        # Each pass at its due time or, if that is later, at the end of the one before: one scan, by which a shift runs
        # through all passes that push each other. It saves rounds and decides nothing, so where its sums might pass
        # 63 bits (lengths of a round that are far off) `otherwise` stands in.
        before = np.cumsum(length) - length
        before -= spread(np.append(before, 0)[at[:-1]], at)
        pushed = max_scan_within(due - before, at) + before
        total = np.zeros(len(at) - 1)
        some = np.diff(at) > 0
        if some.any():
            total[some] = np.add.reduceat(length.astype(np.float64), at[:-1][some])
        unsafe = total > _SAFE_NS
        if not unsafe.any():
            return pushed
        return np.where(spread(unsafe, at), max_scan_within(otherwise, at), pushed)

    def _without_lost(self, boot_start: Array, boot_end: Array) -> tuple[RequestTimes, Array | None, BoolArray]:
        # Requests that ``drop`` loses in boot passes, and ticks that those skip, neither begin a pass nor move a timer.
        moved = np.zeros(len(self.batch), bool)
        all_requests = self.requests
        dropping = self.drop[self.boot_pair]
        if not dropping.any() or not len(all_requests.t_ns):
            return all_requests, None, moved
        at_start = self._among_requests(all_requests, boot_start, self.boot_at, "left")
        after_start = self._among_requests(all_requests, boot_start, self.boot_at, "right")
        begin = np.where(self.periodic[self.boot_pair], at_start, after_start)
        end = np.maximum(self._among_requests(all_requests, boot_end, self.boot_at, "left"), begin)
        end = np.where(dropping, end, begin)
        old_begin, old_end = self._lost_ranges
        if len(old_begin):
            changed = (begin != old_begin) | (end != old_end)
        else:
            changed = end > begin
        if changed.any() or not len(old_begin):
            moved[self.boot_pair[changed]] = True
            self._set_lost(begin, end)
        return *self._kept, moved

    def _set_lost(self, begin: Array, end: Array) -> None:
        self._lost_ranges = begin, end
        n = len(self.requests.t_ns)
        lost = np.cumsum(sum_at(n + 1, begin, 1) - sum_at(n + 1, end, 1))[:n] > 0
        self.lost, self._kept = None, (self.requests, None)
        if lost.any():
            self.lost = lost
            self._kept = without(self.requests, lost, self.debounce_ns)

    def _due(
        self, requests: RequestTimes, passes: Passes, boot_end: Array, *, kept: bool
    ) -> tuple[tuple[Array, Array], Array]:
        # For each request as the first of a batch: start and due time of its pass, and the first request after that.
        due, following = requests.alone_ns.copy(), requests.following.copy()
        start = due.copy()
        waiting = passes.start_ns if len(passes.start_ns) and not self.drop.all() else None
        if waiting is not None:
            # Those that come while a pass runs wait for its end, and a debounced batch is then still open.
            begin = self._after_starts(requests, passes, kept=kept)
            own = ~self.drop[passes.pair] & (begin < requests.at[1:][passes.pair])
            k = np.flatnonzero(own)
            k = k[requests.t_ns[begin[k]] < passes.end_ns[k]]
            at, end_ns = np.searchsorted(k, passes.at), passes.end_ns[k]
            before = self._among_requests(requests, end_ns, at, "left")
            after = self._among_requests(requests, end_ns, at, "right")
            owner, index = expand(begin[k], before - begin[k])
            wait = passes.pair[k[owner]], end_ns[owner], before[owner], after[owner]
            self._hold(requests, index, *wait, (start, due, following))
        n_boots = np.diff(self.boot_at)
        if len(start) and len(boot_end):
            before = self._among_requests(requests, boot_end, self.boot_at, "left")
            after = self._among_requests(requests, boot_end, self.boot_at, "right")
            size = np.diff(requests.at)
            for n in range(int(n_boots.max())):
                # By rising due times, so that a pass held up into the next boot pass waits for that one, too.
                has = n_boots > n
                boot = np.where(has, self.boot_at[:-1] + n, 0)
                held = (start < np.repeat(np.where(has, boot_end[boot], 0), size)) & (
                    start >= np.repeat(self.boot_ns[boot], size)
                )
                index = np.flatnonzero(held)
                pair = np.searchsorted(requests.at, index, "right") - 1
                b = boot[pair]
                self._hold(requests, index, pair, boot_end[b], before[b], after[b], (start, due, following))
        return (start, due), following

    def _after_starts(self, requests: RequestTimes, passes: Passes, *, kept: bool) -> Array:
        # The first request later than each pass's start: mostly the one that the next pass begins with.
        if not kept:
            return self._among_requests(requests, passes.start_ns, passes.at, "right")
        stop = requests.at[1:][passes.pair]
        found = stop.copy()
        found[:-1] = np.where(passes.boot[1:] | (passes.pair[1:] != passes.pair[:-1]), stop[:-1], passes.first[1:])
        t_ns = np.append(requests.t_ns, FOREVER)
        wrong = (found < stop) & (t_ns[found] <= passes.start_ns)
        wrong |= t_ns[found - 1] > passes.start_ns
        wrong |= (found == stop) | (found == requests.at[:-1][passes.pair])
        k = np.flatnonzero(wrong)
        found[k] = self._among_requests(requests, passes.start_ns[k], np.searchsorted(k, passes.at), "right")
        return found

    def _hold(
        self,
        requests: RequestTimes,
        index: Array,
        pair: Array,
        free_ns: Array,
        before: Array,
        after: Array,
        out: tuple[Array, Array, Array],
    ) -> None:
        # The passes of these requests start at `free_ns` at the earliest; requests before it are the first `before`.
        if not len(index):
            return
        start, due, following = out
        joins = np.where(self.debounce_ns[pair] >= 0, np.maximum(index, before - 1), index)
        quiet = requests.quiet[joins]
        own_due, own_following = requests.due_ns[quiet], requests.past[quiet]
        sooner = requests.latest_ns[index] < own_due
        own_due = np.where(sooner, requests.latest_ns[index], own_due)
        own_following = np.where(sooner, requests.past_latest[index], own_following)
        due[index] = own_due
        start[index] = np.maximum(own_due, free_ns)
        following[index] = np.maximum(own_following, after)

    def _skip_lost(
        self,
        requests: RequestTimes,
        origin: Array | None,
        passes: Passes,
        timer: Array,
        due: tuple[Array, Array],
        following: Array,
    ) -> Array:
        # The first request after a batch is the first that its own pass does not lose.
        if not len(timer):
            return following
        length = self._length_by_request(passes, timer, self.requests.at)
        if origin is not None:
            length = length[origin]
        start = due[0]
        k = np.flatnonzero(spread(self.drop, requests.at) & (following < spread(requests.at[1:], requests.at)))
        k = k[start[k] + length[k] > requests.t_ns[following[k]]]
        if not len(k):
            return following
        at = np.searchsorted(k, requests.at)
        following = following.copy()
        following[k] = np.maximum(following[k], self._among_requests(requests, (start + length)[k], at, "left"))
        return following

    def _length_by_request(self, passes: Passes, timer: Array, at: Array) -> Array:
        # Of a pass that begins with a request: as in the last round, or like the pass before it then.
        n = int(at[-1])
        known = passes.first[timer]
        count = np.cumsum(sum_at(n + 1, known, 1))[:n]
        length = np.append((passes.end_ns - passes.start_ns)[timer], 0)
        own = count > spread(np.searchsorted(known, at[:-1]), at)
        return np.where(own, length[count - 1], 0)

    def _lengths(self, passes: Passes, timer: Array, first: Array) -> Array:
        # The same, for some requests.
        if not len(timer):
            return np.zeros(len(first), np.int64)
        known = passes.first[timer]
        if np.array_equal(known, first):
            same: Array = (passes.end_ns - passes.start_ns)[timer]
            return same
        k = np.searchsorted(known, first, "right") - 1
        pair = np.searchsorted(self.requests.at, first, "right") - 1
        own = (k >= 0) & (known[k] >= self.requests.at[pair])
        return np.where(own, (passes.end_ns - passes.start_ns)[timer][k], 0)
