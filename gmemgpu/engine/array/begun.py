"""The passes that begin with given requests, and boot passes between them: each when the one before it has ended."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gmemgpu.engine.array.due import Lasted
from gmemgpu.engine.array.passes import Passes, differing, some_passes
from gmemgpu.engine.array.xp.namespace import Array, Namespace

__all__ = ["BootPasses", "Coming", "begun", "boot_index", "boot_passes", "merged", "met_passes", "pushed"]

_SAFE_NS = 1 << 62
"""Sums of lengths up to here are added in int64; floats that judge them are off by far less than the other half."""


@dataclass(frozen=True, slots=True, eq=False)
class Coming:
    """
    Passes in order, some of which may start too late; those of each pair one after another.

    Parameters
    ----------
    at : (n_pairs + 1,) int64
    start_ns, due_ns, length_ns : (n,) int64
        Starts ascend within a pair, and may yet be pushed back.
    first : (n,) int64
        The request that each begins with; -1 for a boot pass.
    boot : (n,) bool
    """

    at: Array
    start_ns: Array
    due_ns: Array
    length_ns: Array
    first: Array
    boot: Array


@dataclass(frozen=True, slots=True, eq=False)
class BootPasses:
    """
    Boot passes.

    Parameters
    ----------
    at : (n_pairs + 1,) int64
    start_ns, due_ns, length_ns : (n,) int64
        Starts ascend within a pair.
    """

    at: Array
    start_ns: Array
    due_ns: Array
    length_ns: Array


def boot_index(xp: Namespace, at: Array, pair: Array) -> Array:
    """Return which boot passes those are that started, by the pair of each: the n-th is the n-th that falls due."""
    return at[pair] + xp.arange(len(pair)) - xp.edges(pair, len(at) - 1)[pair]


def boot_passes(
    xp: Namespace, at: Array, pair: Array, due_ns: Array, passes: Passes, timer: Array
) -> tuple[Array, Array, Array]:
    """
    Compute when boot passes start: after whatever runs when they fall due.

    Parameters
    ----------
    xp : Namespace
    at : (n_pairs + 1,) int64
        Where the boot passes of each pair begin.
    pair, due_ns : (n,) int64
        Of each; due times ascend within a pair.
    passes : Passes
        Of the last round.
    timer : (m,) int64
        Those of them that are no boot passes.

    Returns
    -------
    start_ns, end_ns, length_ns : (n,) int64
    """
    n = len(due_ns)
    timer_at, old = xp.searchsorted(timer, passes.at), xp.flatnonzero(passes.boot)
    if xp.fuses:
        start, end, length = (xp.empty(n, np.int64) for _ in range(3))
        of_passes = timer, timer_at, old, xp.searchsorted(old, passes.at), passes.start_ns, passes.end_ns
        xp.fused("boot_passes", len(at) - 1, at, due_ns, *of_passes, start, end, length)
        return start, end, length
    length = xp.zeros(n, np.int64)
    length[boot_index(xp, at, passes.pair[old])] = (passes.end_ns - passes.start_ns)[old]
    start = due_ns
    if len(timer):
        before = xp.search(passes.start_ns[timer], timer_at[:-1], timer_at[1:], due_ns, at, "left")
        last = timer[before + timer_at[pair] - 1]
        start = xp.where(before > 0, xp.maximum(start, passes.end_ns[last]), start)
    start = pushed(xp, start, length, at, xp.max_scan_within(start, at))
    return start, start + length, length


def met_passes(
    xp: Namespace, met: Array, at: Array, start: Array, due: Array, origin: Array | None, lasted: Lasted
) -> Coming:
    """
    Look up the passes that begin with some requests.

    Parameters
    ----------
    xp : Namespace
    met : (m,) int64
        Those requests, ascending.
    at : (n_pairs + 1,) int64
        Where the requests begin of which those are some.
    start, due, origin : (n,) int64
        Of all those; see `due_times`.
    lasted : Lasted
        Passes last as they did, or like the one before.
    """
    met_at, m = xp.searchsorted(met, at), len(met)
    if xp.fuses:
        start_ns, due_ns, length_ns, first = (xp.empty(m, np.int64) for _ in range(4))
        given = (met, start, due, met if origin is None else origin, lasted.first, lasted.length_ns, lasted.at)
        numbers = len(at) - 1, len(lasted.first), int(origin is not None)
        xp.fused("met_passes", m, *given, start_ns, due_ns, length_ns, first, *numbers)
    else:
        first = met if origin is None else origin[met]
        start_ns, due_ns, length_ns = start[met], due[met], _lengths(xp, lasted, first)
    return Coming(met_at, xp.max_scan_within(start_ns, met_at), due_ns, length_ns, first, xp.zeros(m, bool))


def _lengths(xp: Namespace, lasted: Lasted, first: Array) -> Array:
    known = lasted.first
    if not len(known):
        return xp.zeros(len(first), np.int64)
    if len(known) == len(first) and bool((known == first).all()):
        return lasted.length_ns
    k = xp.searchsorted(known, first, "right") - 1
    pair = xp.searchsorted(lasted.at, first, "right") - 1
    own = (k >= 0) & (known[k] >= lasted.at[pair])
    return xp.where(own, lasted.length_ns[k], 0)


def merged(xp: Namespace, coming: Coming, boots: BootPasses) -> Coming:
    """Return boot passes among the others, before those of their pair that could not start earlier."""
    n_boots, n_met = len(boots.due_ns), len(coming.first)
    if not n_boots:
        return coming
    at, n = coming.at + boots.at, n_met + n_boots
    if xp.fuses:
        columns = [xp.empty(n, np.int64) for _ in range(4)]
        is_boot = xp.empty(n, bool)
        given = (coming.start_ns, coming.due_ns, coming.length_ns, coming.first, coming.at)
        given_boots = (boots.start_ns, boots.due_ns, boots.length_ns, boots.at)
        xp.fused("merge_boots", n, *given, *given_boots, *columns, is_boot, len(at) - 1, n_met)
        return Coming(*[at, *columns, is_boot])
    begin = coming.at[:-1]
    before = xp.search(coming.start_ns, begin, coming.at[1:], boots.start_ns, boots.at, "left", begin)
    is_boot = xp.zeros(n, bool)
    place = before + xp.arange(n_boots)
    is_boot[place] = True
    others = xp.flatnonzero(~is_boot)
    columns = []
    for of_boots, of_others in (
        (boots.start_ns, coming.start_ns),
        (boots.due_ns, coming.due_ns),
        (boots.length_ns, coming.length_ns),
        (-1, coming.first),
    ):
        column = xp.empty(n, np.int64)
        column[place], column[others] = of_boots, of_others
        columns.append(column)
    return Coming(*[at, *columns, is_boot])


def pushed(xp: Namespace, due: Array, length: Array, at: Array, otherwise: Array) -> Array:
    """
    Compute starts where passes wait for the one before them to end.

    Parameters
    ----------
    xp : Namespace
    due, length : (n,) int64
        Due time and length of each pass, neither below zero.
    at : (n_pairs + 1,) int64
    otherwise : (n,) int64
        What stands in where sums might pass 63 bits.

    Returns
    -------
    (n,) int64
        Starts.

    Notes
    -----
    One scan, by which a shift runs through all passes that push each other. It saves rounds and decides nothing, since
    lengths of a round may be far off.
    """
    if not len(length):
        return otherwise
    if xp.fuses:
        start, unsafe = xp.push_scan(due, length, at)
        if not int(unsafe[0]):
            return start
    return _pushed(xp, due, length, at, otherwise)


def _pushed(xp: Namespace, due: Array, length: Array, at: Array, otherwise: Array) -> Array:
    before = xp.sums(length)
    before = before[:-1] - xp.spread(before[at[:-1]], at, len(length))
    found = xp.max_scan_within(due - before, at) + before
    if int(length.max()) * len(length) <= _SAFE_NS:
        return found
    total = xp.cumsum(length.astype(np.float64))
    beyond = xp.diff(xp.concatenate([xp.zeros(1), total])[at]) > _SAFE_NS
    return xp.where(xp.spread(beyond, at, len(length)), xp.max_scan_within(otherwise, at), found)


def begun(xp: Namespace, coming: Coming, horizon_ns: Array, old: Passes) -> tuple[Passes, Array]:
    """
    Start passes at their due times, or when the one before ends, as far as that is before the horizon.

    Parameters
    ----------
    xp : Namespace
    coming : Coming
    horizon_ns : (n_pairs,) int64
    old : Passes
        Of the last round.

    Returns
    -------
    passes : Passes
    differs : (n_pairs,) bool
        Whether a pair's passes are others than before.
    """
    at, length, n = coming.at, coming.length_ns, len(coming.first)
    if xp.fuses:
        n_pairs = len(at) - 1
        start, unsafe = xp.push_scan(coming.due_ns, length, at)

        def kept() -> Array:
            return xp.sums(xp.search(start, at[:-1], at[1:], horizon_ns, xp.arange(n_pairs + 1), "left"))

        kept_at = kept()
        total, beyond = (int(each[0]) for each in xp.fetch(kept_at[-1:], unsafe))
        if beyond:
            start = _pushed(xp, coming.due_ns, length, at, coming.start_ns)
            kept_at = kept()
            total = int(kept_at[-1])
        pair, start_ns, end_ns, first = (xp.empty(total, np.int64) for _ in range(4))
        boot, differs = xp.empty(total, bool), xp.zeros(n_pairs, np.int32)
        given = (at, start, length, coming.first, coming.boot, kept_at, old.at, old.start_ns, old.first)
        out = pair, start_ns, end_ns, first, boot, differs
        xp.fused("begun_passes", max(total, n_pairs), *given, *out, n_pairs)
        return Passes(kept_at, pair, start_ns, end_ns, boot, first), differs > 0
    start = pushed(xp, coming.due_ns, length, at, coming.start_ns)
    pair = xp.owners(at, n)
    late = start >= horizon_ns[pair]
    found = Passes(at, pair, start, start + length, coming.boot, coming.first)
    if late.any():
        found = some_passes(xp, found, xp.flatnonzero(~late))
    return found, differing(xp, old, found)
