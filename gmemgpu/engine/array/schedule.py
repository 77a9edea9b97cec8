"""When the passes of all pairs start, given how long those of the last round took."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from gmemgpu.engine.array.batch import Batch
from gmemgpu.engine.array.begun import BootPasses, begun, boot_index, boot_passes, merged, met_passes
from gmemgpu.engine.array.due import Lasted, Timers, due_times, length_by_request
from gmemgpu.engine.array.passes import Passes, differing
from gmemgpu.engine.array.request_times import RequestTimes, TimedHook, among, request_times, some_requests, without
from gmemgpu.engine.array.serial import serial_starts
from gmemgpu.engine.array.xp.namespace import Array, begins
from gmemgpu.model.policy import Hook, Timer
from gmemgpu.model.trace import Int64Array

__all__ = ["Schedule"]


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
        periodic = np.array([policy.timer.kind == "periodic" for policy in policies])
        drop = periodic | np.array([policy.busy == "drop" for policy in policies])
        debounce = [policy.timer.delay_ns if policy.timer.kind == "debounce" else -1 for policy in policies]
        self.loses: Array
        """Whether requests that come while a pass runs are lost; ticks are no requests."""
        self.loses, self._periodic, dropping, debounce_ns = xp.put(
            every(drop & ~periodic), every(periodic), every(drop), every(debounce)
        )
        tables = batch.tables
        ends_ns = zip(tables.snp, tables.horizon_ns.tolist(), strict=True)
        boots = [[t for t in (0, *snp.inits) if t < horizon_ns] for snp, horizon_ns in ends_ns]
        has_boots = every([policy.boot for policy in policies])
        most_boots = max(map(len, boots)) if has_boots.any() else 0
        self.boot_at, self.boot_pair, index = batch.of_tables(begins([len(due) for due in boots]), has_boots)
        self.boot_ns = xp.asarray(np.array([t for due in boots for t in due], np.int64))[index]
        self._timers = Timers(
            dropping, bool(drop.any()), bool(drop.all()), debounce_ns, self.boot_at, self.boot_ns, most_boots
        )
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
            boot_start, boot_end, boot_length = boot_passes(
                self.xp, self.boot_at, self.boot_pair, self.boot_ns, passes, timer
            )
        requests, origin, lost_moved = self._without_lost(boot_start, boot_end)
        lasted = Lasted(passes.first[timer], (passes.end_ns - passes.start_ns)[timer], self.requests.at)
        starts, due, following = due_times(self.xp, self._timers, requests, origin, passes, boot_end, lasted)
        like = (requests.following, requests.met) if origin is None else None
        met = self.xp.chain(following, requests.at, like)
        coming = met_passes(self.xp, met, requests.at, starts, due, origin, lasted)
        boots = BootPasses(self.boot_at, boot_start, self.boot_ns, boot_length)
        found, moved = begun(self.xp, merged(self.xp, coming, boots), self.batch.horizon_ns, passes)
        return found, moved | lost_moved

    def play(self, passes: Passes) -> tuple[Passes, Array]:
        """
        Compute the starts anew, one after another; takes and returns what `advance` does.

        Where passes run back to back, which request begins a pass depends on every length before it, and rounds of
        `advance` settle that one pass at a time. This settles it at once; only lengths are then left to settle.
        """
        batch = self.batch
        timer = self.xp.flatnonzero(~passes.boot)
        boot_start, boot_end, boot_length = boot_passes(
            self.xp, self.boot_at, self.boot_pair, self.boot_ns, passes, timer
        )
        requests = self.requests
        lasted = Lasted(passes.first[timer], (passes.end_ns - passes.start_ns)[timer], requests.at)
        length = length_by_request(self.xp, lasted)
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
        place = boot_index(self.xp, self.boot_at, owner[ordinal])
        length_ns = self.xp.where(is_boot, 0, length[self.xp.maximum(first_, 0)] if len(length) else 0)
        length_ns[ordinal] = boot_length[place]
        boots_start[place] = start_ns[ordinal]
        boots_end[place] = start_ns[ordinal] + boot_length[place]
        _, _, lost_moved = self._without_lost(boots_start, boots_end)
        found = Passes(at, owner, start_ns, start_ns + length_ns, is_boot, first_)
        return found, differing(self.xp, passes, found) | lost_moved

    def _without_lost(self, boot_start: Array, boot_end: Array) -> tuple[RequestTimes, Array | None, Array]:
        # Requests that ``drop`` loses in boot passes, and ticks that those skip, neither begin a pass nor move a timer.
        moved = self.xp.zeros(len(self.batch), bool)
        all_requests = self.requests
        if not len(boot_start) or not self._timers.any_drop:
            return all_requests, None, moved
        dropping = self._timers.drop[self.boot_pair]
        if not dropping.any() or not len(all_requests.t_ns):
            return all_requests, None, moved
        at_start = among(self.xp, all_requests, boot_start, self.boot_at, "left")
        after_start = among(self.xp, all_requests, boot_start, self.boot_at, "right")
        begin = self.xp.where(self._periodic[self.boot_pair], at_start, after_start)
        end = self.xp.maximum(among(self.xp, all_requests, boot_end, self.boot_at, "left"), begin)
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
            self._kept = without(self.xp, self.requests, lost, self._timers.debounce_ns)
