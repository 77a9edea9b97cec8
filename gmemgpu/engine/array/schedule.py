"""When the passes of all pairs start, given how long those of the last round took."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from gmemgpu.engine.array.batch import Batch
from gmemgpu.engine.array.passes import Passes, differing, some_passes
from gmemgpu.engine.array.request_times import RequestTimes, TimedHook, request_times, some_requests, without
from gmemgpu.engine.array.serial import serial_starts
from gmemgpu.engine.array.xp.namespace import Array, Side, begins
from gmemgpu.model.policy import Hook, Timer
from gmemgpu.model.trace import Int64Array
from gmemgpu.timeline.snp import FOREVER

__all__ = ["Schedule"]

_SAFE_NS = 1 << 62
"""Sums of lengths up to here are added in int64; floats that judge them are off by far less than the other half."""


def _requests_of(batch: Batch) -> RequestTimes:
    # Pairs of one trace with the same hook and timer share them.
    kinds: dict[tuple[Hook | None, Timer], int] = {}
    of_policy = []
    for policy in batch.policies:
        timer = policy.timer
        hook = None if timer.kind == "periodic" else policy.hook
        of_policy.append(kinds.setdefault((hook, timer), len(kinds)))
    begin, end = int(batch.trace_of.min()), int(batch.trace_of.max()) + 1
    timed = [TimedHook(None if hook is None else batch.pairs.hooks.requests(hook), timer) for hook, timer in kinds]
    of_pair = batch.of_policies(of_policy) * (end - begin) + batch.trace_of - begin
    return some_requests(batch.xp, request_times(batch.tables, begin, end, timed), of_pair)


class Schedule:
    """
    The timers of a batch.

    Parameters
    ----------
    batch : Batch
    requests : RequestTimes, optional
        Those of the batch, if they are known.

    Notes
    -----
    A batch of requests begins with the first one after a pass's start, so what follows each request is known from the
    request and the last pass that started before it. Where that pass is over by then, nothing of it matters: a round
    corrects only the requests that come while a pass runs. Chains of what follows what give the passes.
    """

    def __init__(self, batch: Batch, requests: RequestTimes | None = None) -> None:
        self.batch = batch
        xp = self.xp = batch.xp
        policies, every = batch.policies, batch.of_policies
        self.requests = _requests_of(batch) if requests is None else requests
        self.request_pair = xp.owners(self.requests.at, len(self.requests.t_ns))
        periodic = np.array([policy.timer.kind == "periodic" for policy in policies])
        drop = periodic | np.array([policy.busy == "drop" for policy in policies])
        debounce = [policy.timer.delay_ns if policy.timer.kind == "debounce" else -1 for policy in policies]
        self.loses: Array
        """Whether requests that come while a pass runs are lost; ticks are no requests."""
        self.loses, self._periodic, self._drop, self._debounce_ns = xp.put(
            every(drop & ~periodic), every(periodic), every(drop), every(debounce)
        )
        self._any_drop, self._all_drop = bool(drop.any()), bool(drop.all())
        tables = batch.tables
        ends_ns = zip(tables.snp, tables.horizon_ns.tolist(), strict=True)
        boots = [[t for t in (0, *snp.inits) if t < horizon_ns] for snp, horizon_ns in ends_ns]
        has_boots = every([policy.boot for policy in policies])
        self._most_boots = max(map(len, boots)) if has_boots.any() else 0
        self.boot_at, self.boot_pair, index = batch.of_tables(begins([len(due) for due in boots]), has_boots)
        self.boot_ns = xp.asarray(np.array([t for due in boots for t in due], np.int64))[index]
        none = xp.zeros(0, np.int64)
        self._lost_ranges: tuple[Array, Array] = (none, none)
        self._kept: tuple[RequestTimes, Array | None] = (self.requests, None)
        self.lost: Array | None = None
        """The requests that boot passes make a timer lose, (n,) bool; None for none."""

    def of_some(self, batch: Batch, chosen: Int64Array) -> Schedule:
        """Return the schedule of a batch of the pairs `chosen` here, with what is known of them."""
        taken = Schedule(batch, some_requests(self.xp, self.requests, chosen))
        taken._adopt(self, self.xp.asarray(chosen))
        return taken

    def _adopt(self, other: Schedule, chosen: Array) -> None:
        if not len(other._lost_ranges[0]):
            return
        _, boot = self.xp.expand(other.boot_at[:-1][chosen], self.xp.diff(other.boot_at)[chosen])
        shift = (self.requests.at[:-1] - other.requests.at[:-1][chosen])[self.boot_pair]
        self._set_lost(*(edge[boot] + shift for edge in other._lost_ranges))

    def _among_requests(self, requests: RequestTimes, t_ns: Array, at: Array, side: Side) -> Array:
        found = self.xp.search(requests.t_ns, requests.at[:-1], requests.at[1:], t_ns, at, side)
        return found + self.xp.spread(requests.at[:-1], at, len(t_ns))

    def advance(self, passes: Passes) -> tuple[Passes, Array]:
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
        timer: Array = slice(None)
        boot_start = boot_end = boot_length = self.boot_ns
        if len(self.boot_ns):
            timer = self.xp.flatnonzero(~passes.boot)
            boot_start, boot_end, boot_length = self._boots(passes, timer)
        requests, origin, lost_moved = self._without_lost(boot_start, boot_end)
        due, following = self._due(requests, passes, boot_end, kept=origin is None)
        if self._any_drop:
            following = self._skip_lost(requests, origin, passes, timer, due, following)
        like = (requests.following, requests.met) if origin is None else None
        met = self.xp.chain(following, requests.at, like)
        met_at = self.xp.searchsorted(met, requests.at)
        first = met if origin is None else origin[met]

        # All passes in order, boot passes before those of the timer that could not start earlier.
        start, due_ns = self.xp.max_scan_within(due[0][met], met_at), due[1][met]
        length = self._lengths(passes, timer, first)
        if not len(self.boot_ns):
            return self._begun(
                passes, (met_at, due_ns, start, length, self.xp.zeros(len(met), bool), first), lost_moved
            )
        before = self.xp.search(start, met_at[:-1], met_at[1:], boot_start, self.boot_at, "left")
        at = met_at + self.boot_at
        n = len(met) + len(self.boot_ns)
        is_boot = self.xp.zeros(n, bool)
        place = before + met_at[self.boot_pair] + self.xp.arange(len(self.boot_ns))
        is_boot[place] = True
        others = self.xp.flatnonzero(~is_boot)
        columns = []
        for of_boots, of_others in ((self.boot_ns, due_ns), (boot_start, start), (boot_length, length), (-1, first)):
            column = self.xp.empty(n, np.int64)
            column[place], column[others] = of_boots, of_others
            columns.append(column)
        return self._begun(passes, (at, *columns[:3], is_boot, columns[3]), lost_moved)

    def _begun(self, passes: Passes, columns: tuple[Array, ...], lost_moved: Array) -> tuple[Passes, Array]:
        # Passes at their due times, or when the one before ends, as far as that is before the horizon.
        at, due_ns, start_ns, length, is_boot, all_first = columns
        pair = self.xp.owners(at, len(due_ns))
        start_ns = self._pushed(due_ns, length, at, start_ns)
        late = start_ns >= self.batch.horizon_ns[pair]
        found = Passes(at, pair, start_ns, start_ns + length, is_boot, all_first)
        if late.any():
            found = some_passes(self.xp, found, self.xp.flatnonzero(~late))
        return found, differing(self.xp, passes, found) | lost_moved

    def play(self, passes: Passes) -> tuple[Passes, Array]:
        """
        Compute the starts anew, one after another; takes and returns what `advance` does.

        Where passes run back to back, which request begins a pass depends on every length before it, and rounds of
        `advance` settle that one pass at a time. This settles it at once; only lengths are then left to settle.
        """
        batch = self.batch
        timer = self.xp.flatnonzero(~passes.boot)
        boot_start, boot_end, boot_length = self._boots(passes, timer)
        requests = self.requests
        length = self._length_by_request(passes, timer, requests.at)
        starts: list[int] = []
        firsts: list[int] = []
        counts: list[int] = []
        t_ns, lengths, at, boots_ns, boot_lengths, boot_at = self.xp.fetch(
            requests.t_ns, length, requests.at, self.boot_ns, boot_length, self.boot_at
        )
        policies = [batch.policies[k] for k in batch.policy_of.tolist()]
        horizons_ns = batch.tables.horizon_ns[batch.trace_of].tolist()
        edges = zip(policies, horizons_ns, pairwise(at.tolist()), pairwise(boot_at.tolist()), strict=True)
        for policy, horizon_ns, (a, b), (c, d) in edges:
            boots = boots_ns[c:d].tolist(), boot_lengths[c:d].tolist()
            start, first = serial_starts(policy, t_ns[a:b], boots[0], horizon_ns, lengths[a:b], boots[1])
            starts += start
            firsts += [i + a if i >= 0 else -1 for i in first]
            counts.append(len(start))
        at, owner = self.xp.asarray(begins(counts)), self.xp.asarray(np.repeat(np.arange(len(batch)), counts))
        start_ns, first_ = self.xp.asarray(np.array(starts, np.int64)), self.xp.asarray(np.array(firsts, np.int64))
        is_boot = first_ < 0
        ordinal = self.xp.flatnonzero(is_boot)
        boots_start, boots_end = boot_start.copy(), boot_end.copy()
        place = self._boot_index(ordinal, owner[ordinal])
        length_ns = self.xp.where(is_boot, 0, length[self.xp.maximum(first_, 0)] if len(length) else 0)
        length_ns[ordinal] = boot_length[place]
        boots_start[place] = start_ns[ordinal]
        boots_end[place] = start_ns[ordinal] + boot_length[place]
        _, _, lost_moved = self._without_lost(boots_start, boots_end)
        found = Passes(at, owner, start_ns, start_ns + length_ns, is_boot, first_)
        return found, differing(self.xp, passes, found) | lost_moved

    def _boot_index(self, ordinal: Array, pair: Array) -> Array:
        # The n-th boot pass that started is the n-th that falls due. `pair` of each that started, ascending.
        begin = self.xp.searchsorted(pair, self.xp.arange(len(self.batch)))
        return self.boot_at[pair] + self.xp.arange(len(ordinal)) - begin[pair]

    def _boots(self, passes: Passes, timer: Array) -> tuple[Array, Array, Array]:
        # Start, end and length of each boot pass: after whatever runs when it falls due.
        n = len(self.boot_ns)
        timer_at = self.xp.searchsorted(timer, passes.at)
        length = self.xp.zeros(n, np.int64)
        old = self.xp.flatnonzero(passes.boot)
        length[self._boot_index(old, passes.pair[old])] = (passes.end_ns - passes.start_ns)[old]
        start = self.boot_ns
        if len(timer):
            before = self.xp.search(
                passes.start_ns[timer], timer_at[:-1], timer_at[1:], self.boot_ns, self.boot_at, "left"
            )
            last = timer[before + timer_at[self.boot_pair] - 1]
            start = self.xp.where(before > 0, self.xp.maximum(start, passes.end_ns[last]), start)
        start = self._pushed(start, length, self.boot_at, self.xp.max_scan_within(start, self.boot_at))
        return start, start + length, length

    def _pushed(self, due: Array, length: Array, at: Array, otherwise: Array) -> Array:
        # Each pass at its due time or, if that is later, at the end of the one before: one scan, by which a shift runs
        # through all passes that push each other. It saves rounds and decides nothing, so where its sums might pass
        # 63 bits (lengths of a round that are far off) `otherwise` stands in.
        if not len(length):
            return otherwise
        before = self.xp.sums(length)
        before = before[:-1] - self.xp.spread(before[at[:-1]], at, len(length))
        pushed = self.xp.max_scan_within(due - before, at) + before
        if int(length.max()) * len(length) <= _SAFE_NS:
            return pushed
        total = self.xp.cumsum(length.astype(np.float64))
        unsafe = self.xp.diff(self.xp.concatenate([self.xp.zeros(1), total])[at]) > _SAFE_NS
        return self.xp.where(self.xp.spread(unsafe, at, len(length)), self.xp.max_scan_within(otherwise, at), pushed)

    def _without_lost(self, boot_start: Array, boot_end: Array) -> tuple[RequestTimes, Array | None, Array]:
        # Requests that ``drop`` loses in boot passes, and ticks that those skip, neither begin a pass nor move a timer.
        moved = self.xp.zeros(len(self.batch), bool)
        all_requests = self.requests
        if not len(boot_start) or not self._any_drop:
            return all_requests, None, moved
        dropping = self._drop[self.boot_pair]
        if not dropping.any() or not len(all_requests.t_ns):
            return all_requests, None, moved
        at_start = self._among_requests(all_requests, boot_start, self.boot_at, "left")
        after_start = self._among_requests(all_requests, boot_start, self.boot_at, "right")
        begin = self.xp.where(self._periodic[self.boot_pair], at_start, after_start)
        end = self.xp.maximum(self._among_requests(all_requests, boot_end, self.boot_at, "left"), begin)
        end = self.xp.where(dropping, end, begin)
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
        lost = self.xp.cumsum(self.xp.count_at(n + 1, begin) - self.xp.count_at(n + 1, end))[:n] > 0
        self.lost, self._kept = None, (self.requests, None)
        if lost.any():
            self.lost = lost
            self._kept = without(self.xp, self.requests, lost, self._debounce_ns)

    def _due(
        self, requests: RequestTimes, passes: Passes, boot_end: Array, *, kept: bool
    ) -> tuple[tuple[Array, Array], Array]:
        # For each request as the first of a batch: start and due time of its pass, and the first request after that.
        due, following = requests.alone_ns.copy(), requests.following.copy()
        start = due.copy()
        waiting = passes.start_ns if len(passes.start_ns) and not self._all_drop else None
        if waiting is not None:
            # Those that come while a pass runs wait for its end, and a debounced batch is then still open.
            begin = self._after_starts(requests, passes, kept=kept)
            own = ~self._drop[passes.pair] & (begin < requests.at[1:][passes.pair])
            k = self.xp.flatnonzero(own)
            k = k[requests.t_ns[begin[k]] < passes.end_ns[k]]
            at, end_ns = self.xp.searchsorted(k, passes.at), passes.end_ns[k]
            before = self._among_requests(requests, end_ns, at, "left")
            after = self._among_requests(requests, end_ns, at, "right")
            owner, index = self.xp.expand(begin[k], before - begin[k])
            kept_last = self.xp.last_of_each(len(start), index)
            if kept_last is not None:
                owner, index = owner[kept_last], index[kept_last]
            wait = passes.pair[k[owner]], end_ns[owner], before[owner], after[owner]
            self._hold(requests, index, *wait, (start, due, following))
        n_boots = self.xp.diff(self.boot_at)
        if len(start) and len(boot_end):
            before = self._among_requests(requests, boot_end, self.boot_at, "left")
            after = self._among_requests(requests, boot_end, self.boot_at, "right")
            for n in range(self._most_boots):
                # By rising due times, so that a pass held up into the next boot pass waits for that one, too.
                has = n_boots > n
                boot = self.xp.where(has, self.boot_at[:-1] + n, 0)
                held = (start < self.xp.spread(self.xp.where(has, boot_end[boot], 0), requests.at, len(start))) & (
                    start >= self.xp.spread(self.boot_ns[boot], requests.at, len(start))
                )
                index = self.xp.flatnonzero(held)
                pair = self.xp.searchsorted(requests.at, index, "right") - 1
                b = boot[pair]
                self._hold(requests, index, pair, boot_end[b], before[b], after[b], (start, due, following))
        return (start, due), following

    def _after_starts(self, requests: RequestTimes, passes: Passes, *, kept: bool) -> Array:
        # The first request later than each pass's start: mostly the one that the next pass begins with.
        if not kept:
            return self._among_requests(requests, passes.start_ns, passes.at, "right")
        stop = requests.at[1:][passes.pair]
        found = stop.copy()
        found[:-1] = self.xp.where(passes.boot[1:] | (passes.pair[1:] != passes.pair[:-1]), stop[:-1], passes.first[1:])
        t_ns = self.xp.with_last(requests.t_ns, FOREVER)
        wrong = (found < stop) & (t_ns[found] <= passes.start_ns)
        wrong |= t_ns[found - 1] > passes.start_ns
        wrong |= (found == stop) | (found == requests.at[:-1][passes.pair])
        k = self.xp.flatnonzero(wrong)
        found[k] = self._among_requests(requests, passes.start_ns[k], self.xp.searchsorted(k, passes.at), "right")
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
        joins = self.xp.where(self._debounce_ns[pair] >= 0, self.xp.maximum(index, before - 1), index)
        quiet = requests.quiet[joins]
        own_due, own_following = requests.due_ns[quiet], requests.past[quiet]
        sooner = requests.latest_ns[index] < own_due
        own_due = self.xp.where(sooner, requests.latest_ns[index], own_due)
        own_following = self.xp.where(sooner, requests.past_latest[index], own_following)
        due[index] = own_due
        start[index] = self.xp.maximum(own_due, free_ns)
        following[index] = self.xp.maximum(own_following, after)

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
        if not len(passes.first[timer]):
            return following
        length = self._length_by_request(passes, timer, self.requests.at)
        if origin is not None:
            length = length[origin]
        start = due[0]
        k = self.xp.flatnonzero(
            self.xp.spread(self._drop, requests.at, len(start))
            & (following < self.xp.spread(requests.at[1:], requests.at, len(start)))
        )
        k = k[start[k] + length[k] > requests.t_ns[following[k]]]
        if not len(k):
            return following
        at = self.xp.searchsorted(k, requests.at)
        following = following.copy()
        following[k] = self.xp.maximum(following[k], self._among_requests(requests, (start + length)[k], at, "left"))
        return following

    def _length_by_request(self, passes: Passes, timer: Array, at: Array) -> Array:
        # Of a pass that begins with a request: as in the last round, or like the pass before it then.
        n = int(at[-1])
        known = passes.first[timer]
        count = self.xp.cumsum(self.xp.count_at(n + 1, known))[:n]
        length = self.xp.with_last((passes.end_ns - passes.start_ns)[timer], 0)
        own = count > self.xp.spread(self.xp.searchsorted(known, at[:-1]), at, n)
        return self.xp.where(own, length[count - 1], 0)

    def _lengths(self, passes: Passes, timer: Array, first: Array) -> Array:
        # The same, for some requests.
        known = passes.first[timer]
        if not len(known):
            return self.xp.zeros(len(first), np.int64)
        if len(known) == len(first) and bool((known == first).all()):
            same: Array = (passes.end_ns - passes.start_ns)[timer]
            return same
        k = self.xp.searchsorted(known, first, "right") - 1
        pair = self.xp.searchsorted(self.requests.at, first, "right") - 1
        own = (k >= 0) & (known[k] >= self.requests.at[pair])
        return self.xp.where(own, (passes.end_ns - passes.start_ns)[timer][k], 0)
