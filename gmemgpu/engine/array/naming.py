"""The regions that requests name, one by one: each policy's scope, whatever its passes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gmemgpu.engine.array.batch import Batch
from gmemgpu.engine.array.xp.namespace import Array, Namespace, begins
from gmemgpu.model.policy import Hook, Scope
from gmemgpu.model.trace import Int64Array

__all__ = ["NamedRegions", "named_regions"]


@dataclass(frozen=True, slots=True, eq=False)
class NamedRegions:
    """
    Regions that requests of some pairs name, one pair after another.

    Parameters
    ----------
    at : (n_pairs + 1,) int64
        Where those of each pair begin.
    request : (n,) int64
        Index among the requests of its pair.
    position : (n,) int64
        Index among the covered regions of its trace.
    since_ns : (n,) int64
        From when on the request names it.
    """

    at: Array
    request: Array
    position: Array
    since_ns: Array

    def some(self, xp: Namespace, chosen: Int64Array) -> NamedRegions:
        """Select those of some pairs, by number on the host; in any order and as often as they are named."""
        if np.array_equal(chosen, np.arange(len(self.at) - 1)):
            return self
        pairs = xp.asarray(chosen)
        count = xp.diff(self.at)[pairs]
        _, index = xp.expand(self.at[:-1][pairs], count)
        return NamedRegions(xp.sums(count), self.request[index], self.position[index], self.since_ns[index])


def named_regions(batch: Batch) -> NamedRegions:
    """
    List what the requests of a batch name.

    Parameters
    ----------
    batch : Batch
        Of pairs whose scopes are not ``window`` or ``dirty_retry``; those with ``dirty``, and ticks, name nothing.
    """
    # Pairs of one trace with the same hook and scope share them.
    kinds: dict[tuple[Hook, Scope], int] = {}
    of_policy = []
    for policy in batch.policies:
        nothing = policy.scope == "dirty" or policy.timer.kind == "periodic"
        of_policy.append(-1 if nothing else kinds.setdefault((policy.hook, policy.scope), len(kinds)))
    begin, end = int(batch.trace_of.min()), int(batch.trace_of.max()) + 1
    kind = batch.of_policies(of_policy)
    # The first names nothing.
    of_pair = np.where(kind < 0, 0, 1 + kind * (end - begin) + batch.trace_of - begin)
    return _named(batch, begin, end, list(kinds)).some(batch.xp, of_pair)


def _named(batch: Batch, begin: int, end: int, kinds: list[tuple[Hook, Scope]]) -> NamedRegions:
    # Of each hook, scope and trace, trace by trace; before them one that names nothing.
    xp, hooks = batch.xp, batch.pairs.hooks
    none = xp.zeros(0, np.int64)
    places = {scope: hooks.places(scope) for _, scope in kinds}
    place_at = dict(zip(places, begins([len(position) for position, _ in places.values()]).tolist(), strict=False))
    starts, counts, sizes = [none], [none], [np.zeros(1, np.int64)]
    for hook, scope in kinds:
        at = hooks.requests(hook).at[begin : end + 1]
        first, count = (column[int(at[0]) : int(at[-1])].astype(np.int64) for column in hooks.ranges(hook, scope))
        starts.append(first + place_at[scope])
        counts.append(count)
        sizes.append(np.diff(at))
    position, since_ns = (
        xp.concatenate([none, *columns]) for columns in (zip(*places.values(), strict=True) if places else ((), ()))
    )
    request, place = xp.expand(xp.concatenate(starts), xp.concatenate(counts))
    position, since_ns = position[place], since_ns[place]
    if any(host.n_covered < host.n_regions for host in batch.tables.hosts[begin:end]):
        kept = xp.flatnonzero(position >= 0)
        request, position, since_ns = request[kept], position[kept], since_ns[kept]
    each_at = xp.asarray(begins(np.concatenate(sizes)))
    at = xp.searchsorted(request, each_at)
    return NamedRegions(at, request - xp.spread(each_at[:-1], at, len(request)), position, since_ns)
