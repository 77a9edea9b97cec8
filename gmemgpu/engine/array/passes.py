"""The passes of several pairs, one after another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gmemgpu.engine.array.xp.namespace import Array, Namespace

__all__ = ["Passes", "no_passes", "some_passes", "differing", "first_at"]


@dataclass(frozen=True, slots=True, eq=False)
class Passes:
    """
    The passes of all pairs in order, those of pair q at ``at[q]:at[q + 1]``.

    Parameters
    ----------
    at : (n_pairs + 1,) int64
    pair : (n,) int64
    start_ns, end_ns : (n,) int64
        The end as of the last round; where a pass is new, a guess.
    boot : (n,) bool
    first : (n,) int64
        The request that a pass begins with; -1 for a boot pass.
    """

    at: Array
    pair: Array
    start_ns: Array
    end_ns: Array
    boot: Array
    first: Array


def no_passes(xp: Namespace, n_pairs: int) -> Passes:
    """Return none, which is where the first round begins."""
    none = xp.zeros(0, np.int64)
    return Passes(xp.zeros(n_pairs + 1, np.int64), none, none, none, none.astype(bool), none)


def some_passes(xp: Namespace, passes: Passes, kept: Array) -> Passes:
    """
    Select passes.

    Parameters
    ----------
    xp : Namespace
    passes : Passes
    kept : (m,) int64
        Their indices, ascending.
    """
    columns = (passes.pair, passes.start_ns, passes.end_ns, passes.boot, passes.first)
    return Passes(xp.searchsorted(kept, passes.at), *(column[kept] for column in columns))


def differing(xp: Namespace, old: Passes, new: Passes) -> Array:
    """Check which pairs have other passes than before, (n_pairs,) bool."""
    count = xp.diff(new.at)
    differs: Array = xp.diff(old.at) != count
    if not differs.any():
        moved = (old.start_ns != new.start_ns) | (old.first != new.first)
        differs[new.pair[xp.flatnonzero(moved)]] = True
        return differs
    same = xp.flatnonzero(~differs[new.pair])
    if not len(same):
        return differs
    was = same - (new.at[:-1] - old.at[:-1])[new.pair[same]]
    moved = (old.start_ns[was] != new.start_ns[same]) | (old.first[was] != new.first[same])
    differs[new.pair[same[xp.flatnonzero(moved)]]] = True
    return differs


def first_at(xp: Namespace, passes: Passes, t_ns: Array) -> Array:
    """
    Find the first pass of each pair that starts at a time or later.

    Parameters
    ----------
    xp : Namespace
    passes : Passes
    t_ns : (n_pairs,) int64
        One time a pair.

    Returns
    -------
    (n_pairs,) int64
    """
    begin = passes.at[:-1]
    return xp.search(passes.start_ns, begin, passes.at[1:], t_ns, xp.arange(len(t_ns) + 1), "left", begin)
