"""Passes that were seen on a host, held against those that a policy would have run there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gmemgpu.explain.duration import span_text
from gmemgpu.explain.record import Cause, PassState, RunRecord
from gmemgpu.model.trace import Int64Array
from gmemgpu.units import NS_PER_S

__all__ = ["MOST_APART_NS", "PassMatch", "match_passes", "match_text"]

MOST_APART_NS = 10 * NS_PER_S
"""Two passes whose starts are farther apart are not taken for the same: the delay of v10."""


@dataclass(frozen=True, slots=True)
class PassMatch:
    """
    What of a host's passes a policy predicts.

    Parameters
    ----------
    policy : str
        Its name.
    n_predicted, n_observed, n_matched : int
        Passes that it would have run, that were seen, and that are both.
    only_predicted_ns, only_observed_ns : tuple of int
        Starts of those without a counterpart, ascending.
    start_apart_ns : tuple of int
        By how much each matched pass began later than predicted, in order of time.
    length_apart_ns : tuple of int
        By how much each lasted longer than predicted, of those whose end was seen.
    """

    policy: str
    n_predicted: int
    n_observed: int
    n_matched: int
    only_predicted_ns: tuple[int, ...]
    only_observed_ns: tuple[int, ...]
    start_apart_ns: tuple[int, ...]
    length_apart_ns: tuple[int, ...]


def match_passes(record: RunRecord, begun_ns: Sequence[int], lasted_ns: Sequence[int]) -> PassMatch:
    """
    Find which passes of a run are those that were seen.

    Parameters
    ----------
    record : RunRecord
        One policy on the host's trace. A pass at boot is not among those that it predicts: files begin later.
    begun_ns : sequence of int
        When those that were seen began, ascending.
    lasted_ns : sequence of int
        How long they lasted; -1 if that is not known.

    Returns
    -------
    PassMatch
        Two are matched if each is the nearest to the other, and they began no farther apart than `MOST_APART_NS`.
    """
    passes = record.passes
    ran = np.flatnonzero((passes.state == PassState.RAN) & (passes.cause != Cause.BOOT))
    predicted_ns, observed_ns = passes.start_ns[ran], np.array(begun_ns, np.int64)
    mine, seen = _pairs(predicted_ns, observed_ns)
    apart_ns = observed_ns[seen] - predicted_ns[mine]
    near = np.abs(apart_ns) <= MOST_APART_NS
    mine, seen, apart_ns = mine[near], seen[near], apart_ns[near]
    lasted = np.array(lasted_ns, np.int64)[seen]
    longer_ns = (lasted - (passes.end_ns - passes.start_ns)[ran][mine])[lasted >= 0]
    return PassMatch(
        record.policy.name,
        len(predicted_ns),
        len(observed_ns),
        len(mine),
        tuple(np.delete(predicted_ns, mine).tolist()),
        tuple(np.delete(observed_ns, seen).tolist()),
        tuple(apart_ns.tolist()),
        tuple(longer_ns.tolist()),
    )


def _pairs(a: Int64Array, b: Int64Array) -> tuple[Int64Array, Int64Array]:
    # Those of two ascending lists that are each other's nearest.
    if not len(a) or not len(b):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    of_a, of_b = _nearest(a, b), _nearest(b, a)
    mutual = np.flatnonzero(of_b[of_a] == np.arange(len(a)))
    return mutual, of_a[mutual]


def _nearest(of: Int64Array, among: Int64Array) -> Int64Array:
    after = np.searchsorted(among, of)
    before, after = np.maximum(after - 1, 0), np.minimum(after, len(among) - 1)
    return np.where(np.abs(of - among[before]) <= np.abs(among[after] - of), before, after)


def match_text(match: PassMatch) -> str:
    """
    Write how passes agree.

    Parameters
    ----------
    match : PassMatch
        Of one policy.

    Returns
    -------
    str
        A line.
    """
    text = (
        f"passes by {match.policy}: {match.n_predicted:,} predicted, {match.n_observed:,} observed; "
        f"{match.n_matched:,} matched, {len(match.only_predicted_ns):,} only predicted, "
        f"{len(match.only_observed_ns):,} only observed"
    )
    if not match.n_observed:
        text += "; trace rmpopt_work_handler as gmemgpu capture --print has it"
    if match.start_apart_ns:
        text += f"; start, observed less predicted: {_apart_text(match.start_apart_ns)}"
    if match.length_apart_ns:
        text += f"; length: {_apart_text(match.length_apart_ns)} of {len(match.length_apart_ns):,} whose end was seen"
    return text


def _apart_text(apart_ns: Sequence[int]) -> str:
    median, worst = sorted(apart_ns)[(len(apart_ns) - 1) // 2], max(apart_ns, key=abs)
    return f"{_signed(median)} (median), {_signed(worst)} (worst)"


def _signed(span_ns: int) -> str:
    return f"{'-' if span_ns < 0 else '+'}{span_text(abs(span_ns))}"
