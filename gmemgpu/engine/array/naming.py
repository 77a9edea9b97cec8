"""The regions that requests name, one by one: each policy's scope, whatever its passes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gmemgpu.engine.array.batch import Batch
from gmemgpu.engine.array.table import TraceTable
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
    kinds: dict[tuple[Hook, Scope] | None, int] = {None: 0}
    of_policy = []
    for policy in batch.policies:
        nothing = policy.scope == "dirty" or policy.timer.kind == "periodic"
        of_policy.append(kinds.setdefault(None if nothing else (policy.hook, policy.scope), len(kinds)))
    kind = batch.of_policies(of_policy)
    asked, of_pair = np.unique(np.where(kind > 0, batch.table_of * len(kinds) + kind, 0), return_inverse=True)
    of_pair = of_pair + (asked[0] > 0)
    by_number = [key for key in kinds if key is not None]
    tables, numbers = divmod(asked[asked > 0], len(kinds))
    keys = [(table, *by_number[k - 1]) for table, k in zip(tables.tolist(), numbers.tolist(), strict=True)]
    return _named(batch.xp, batch.tables.tables, keys).some(batch.xp, of_pair)


def _named(xp: Namespace, tables: list[TraceTable], asked: list[tuple[int, Hook, Scope]]) -> NamedRegions:
    # Of each table, hook and scope; before them one that names nothing.
    none = np.zeros(0, np.int64)
    places = {(table, scope): tables[table].places(scope) for table, _, scope in asked}
    place_at = dict(zip(places, begins([len(position) for position, _ in places.values()]).tolist(), strict=False))
    ranges = [tables[table].named(hook, scope) for table, hook, scope in asked]
    request_at = begins([0, *(len(begin) for begin, _ in ranges)])
    base = np.array([0, *(place_at[table, scope] for table, _, scope in asked)])
    position, since_ns = (
        xp.asarray(np.concatenate([none, *columns]))
        for columns in (zip(*places.values(), strict=True) if places else ((), ()))
    )
    begin, count = (
        xp.asarray(np.concatenate([none.astype(np.int32), *columns])).astype(np.int64)
        for columns in (zip(*ranges, strict=True) if ranges else ((), ()))
    )
    each_at = xp.asarray(request_at)
    request, place = xp.expand(begin + xp.spread(xp.asarray(base), each_at), count)
    position, since_ns = position[place], since_ns[place]
    if any(len(tables[table].prepared.covered) < len(tables[table].prepared.cores) for table, _, _ in asked):
        kept = xp.flatnonzero(position >= 0)
        request, position, since_ns = request[kept], position[kept], since_ns[kept]
    at = xp.searchsorted(request, each_at)
    return NamedRegions(at, request - xp.spread(each_at[:-1], at), position, since_ns)
