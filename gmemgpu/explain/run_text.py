"""A run in words: its passes with what requested them and what each visit found; the life of a region; a moment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from gmemgpu.explain.duration import span_text
from gmemgpu.explain.holder import Holders
from gmemgpu.explain.record import Cause, Fate, PassState, RunRecord
from gmemgpu.explain.region_span import State, region_spans
from gmemgpu.explain.visit import VisitOutcome, Visits
from gmemgpu.explain.words import counted, filled, holders_text, ranges_text, request_text, total_text, when
from gmemgpu.model.policy import Policy

__all__ = ["moment_lines", "pass_lines", "policy_text", "run_lines", "shortened"]

_PASSES_SHOWN, _REQUESTS_SHOWN, _BUSY_SHOWN = 10, 4, 3


def shortened(indices: Sequence[int], most: int) -> tuple[Sequence[int], Sequence[int]]:
    """
    Choose the first and the last of many.

    Parameters
    ----------
    indices : sequence of int
        What there is.
    most : int
        How many are shown.

    Returns
    -------
    head : sequence of int
        All of them if there is room.
    tail : sequence of int
        The last ones.
    """
    if len(indices) <= most:
        return indices, []
    return indices[: most - most // 2], indices[len(indices) - most // 2 :]


def policy_text(policy: Policy) -> str:
    """
    Write a policy's choices.

    Parameters
    ----------
    policy : Policy
        Not the oracle.

    Returns
    -------
    str
        One sentence.
    """
    boot = "a boot pass" if policy.boot else "no boot pass"
    return (
        f"{policy.name}: hook {policy.hook}, timer {policy.timer}, busy {policy.busy}, scope {policy.scope}, "
        f"gate {policy.gate}, executor {policy.executor}, {boot}."
    )


def run_lines(record: RunRecord, *, whole: bool = False) -> list[str]:
    """
    Write a run pass by pass.

    Parameters
    ----------
    record : RunRecord
        One policy on one trace; not the oracle.
    whole : bool
        Leave nothing out.

    Returns
    -------
    list of str
        No wider than 80 columns.
    """
    passes, fate = record.passes, record.requests.fate
    n_fates = np.bincount(fate, minlength=len(Fate)).tolist()
    words = ("set the timer", "put it off", "joined a pass that was due", "lost")
    ran = passes.state == PassState.RAN
    causes = [(int((ran & (passes.cause == cause)).sum()), word) for cause, word in _CAUSES.items()]
    others = total_text((int((passes.state == state).sum()), word) for state, word in _IDLE.items())
    idle = f" Others that were due: {others}." if len(passes) > ran.sum() else ""
    lines = [
        *filled(policy_text(record.policy), 0),
        *filled(f"{counted(len(fate), 'request')}{_parts(zip(n_fates, words, strict=True))}", 0),
        *filled(f"{counted(int(ran.sum()), 'pass', 'passes')} ran{_parts(causes)}{idle}", 0),
    ]
    head, tail = shortened(range(len(passes)), len(passes) if whole else _PASSES_SHOWN)
    holders = Holders(record.prepared)
    for k in head:
        lines += ["", *pass_lines(record, k, holders, whole=whole)]
    if tail:
        left = counted(len(passes) - len(head) - len(tail), "pass", "passes")
        lines += ["", f"... {left} left out; --all shows them, --time those around a time"]
    for k in tail:
        lines += ["", *pass_lines(record, k, holders, whole=whole)]
    waiting = np.flatnonzero((record.requests.scan_pass < 0) & (fate != Fate.LOST))
    if len(waiting):
        lines += ["", "at the horizon a pass is still due"]
        lines += _request_lines(record, waiting.tolist(), whole=whole)
    if n_fates[Fate.LOST]:
        lost = np.flatnonzero(fate == Fate.LOST).tolist()
        lines += ["", f"lost, since a pass ran: {counted(len(lost), 'request')}"]
        lines += _request_lines(record, lost, whole=whole)
    return lines


def _parts(counts: Iterable[tuple[int, str]]) -> str:
    counts = list(counts)
    return f": {total_text(counts)}." if any(n for n, _ in counts) else "."


_CAUSES = {Cause.BOOT: "at boot", Cause.REQUESTS: "on request", Cause.CLOCK: "by the clock"}
_IDLE = {PassState.EMPTY: "without a region to visit", PassState.SKIPPED: "skipped with SNP off"}


def pass_lines(record: RunRecord, k: int, holders: Holders, *, whole: bool = False) -> list[str]:
    """
    Write one pass.

    Parameters
    ----------
    record : RunRecord
        The run.
    k : int
        Index of the pass.
    holders : Holders
        Looks up whose pages keep regions busy.
    whole : bool
        Leave nothing out.

    Returns
    -------
    list of str
        What made it due, then what it found.
    """
    passes, requests = record.passes, record.requests_of(k).tolist()
    start_ns, due_ns = int(passes.start_ns[k]), int(passes.due_ns[k])
    cause = {
        Cause.BOOT: "after boot or SNP_INIT",
        Cause.REQUESTS: f"for {counted(len(requests), 'request')}",
        Cause.CLOCK: "by the clock",
    }[Cause(passes.cause[k])]
    title = f"pass {k} at {when(record, start_ns)}, {cause}"
    if start_ns > due_ns:
        title += f", {span_text(start_ns - due_ns)} after it was due, since another one ran"
    if start_ns < record.prepared.warmup_ns:
        title += "; in the warm-up, not counted"
    # As the metric has it: a pass of no length has its start.
    ends_ns = max(int(passes.end_ns[k]), start_ns + 1)
    shutdowns = record.prepared.snp.shutdowns
    if passes.state[k] == PassState.RAN and any(start_ns < end and begin < ends_ns for begin, end in shutdowns):
        title += "; a hazard: SNP is shut down meanwhile"
    lines = [*filled(title, 0), *_request_lines(record, requests, whole=whole)]
    spent = "; its requests are spent" if requests else ""
    if passes.state[k] == PassState.SKIPPED:
        return [*lines, f"  skipped: SNP is off{spent}"]
    if passes.state[k] == PassState.EMPTY:
        return [*lines, f"  no region is left for it by scope, gate and window{spent}"]
    found = (passes.new[k], passes.cached[k], passes.failed[k], passes.wasted[k])
    words = ("set", "set already", "busy", "wasted")
    lasted, n = span_text(int(passes.end_ns[k]) - start_ns), len(record.targets[k])
    text = total_text((int(m), word) for m, word in zip(found, words, strict=True))
    if passes.early[k]:
        text += f" ({int(passes.early[k]):,} still converting)"
    lines += filled(f"visits {counted(n, 'region')} in {lasted}: {text}", 2)
    visits = record.visits(k)
    for outcome, word in (
        (VisitOutcome.NEW, "set"),
        (VisitOutcome.CACHED, "set already"),
        (VisitOutcome.WASTED, "wasted"),
    ):
        mine = visits.region[visits.outcome == outcome].tolist()
        if mine:
            why = ": taken again before all cores were done" if outcome is VisitOutcome.WASTED else ""
            lines += filled(f"{word:<12}{ranges_text(mine, whole=whole)}{why}", 2)
    return lines + _busy_lines(record, visits, holders, whole=whole)


def _request_lines(record: RunRecord, requests: Sequence[int], *, whole: bool) -> list[str]:
    head, tail = shortened(requests, len(requests) if whole else _REQUESTS_SHOWN)
    lines = [line for i in head for line in filled(request_text(record, i), 2)]
    if tail:
        left = list(requests[len(head) : len(requests) - len(tail)])
        n_moved = int((record.requests.fate[left] == Fate.MOVED).sum())
        moved = f", {n_moved:,} of which put the timer off" if n_moved else ""
        lines.append(f"  ... {counted(len(left), 'request')} more{moved}")
    return lines + [line for i in tail for line in filled(request_text(record, i), 2)]


def _busy_lines(record: RunRecord, visits: Visits, holders: Holders, *, whole: bool) -> list[str]:
    failed = np.flatnonzero(visits.outcome == VisitOutcome.FAILED).tolist()
    # Those whose guest is going come first: there a pass came too early.
    failed.sort(key=lambda i: not visits.early[i])
    shown = failed if whole else failed[:_BUSY_SHOWN]
    lines = []
    for i in shown:
        region, visit_ns = int(visits.region[i]), int(visits.visit_ns[i])
        if found := holders.at(region, visit_ns):
            lines += filled(f"{'busy':<12}{region}: {holders_text(found)}", 2)
        elif visits.failed_at_start[i]:
            lines += filled(f"{'busy':<12}{region}: when the pass started; free when its turn came", 2)
        else:
            lines += filled(f"{'failed':<12}{region}: SNP is off by then", 2)
    if left := sorted(int(visits.region[i]) for i in failed[len(shown) :]):
        lines += filled(f"{'busy':<12}{ranges_text(left)}", 2)
    return lines


def moment_lines(record: RunRecord, t_ns: int) -> list[str]:
    """
    Write what a run is about at a time.

    Parameters
    ----------
    record : RunRecord
        The run.
    t_ns : int
        Before the horizon.

    Returns
    -------
    list of str
        States of regions, what is pending, the pass before and the one after.
    """
    spans, passes, requests = region_spans(record), record.passes, record.requests
    now = (spans.begin_ns <= t_ns) & (t_ns < spans.end_ns)
    n_states = np.bincount(spans.state[now], minlength=len(State)).tolist()
    words = ("busy", "free and not optimized", "free and optimized", "with SNP off")
    lines = filled(f"At {when(record, t_ns)} regions are: {total_text(zip(n_states, words, strict=True))}.", 0)
    n_begun = int(np.searchsorted(passes.start_ns, t_ns, "right"))
    if n_begun and passes.end_ns[n_begun - 1] > t_ns:
        lines += filled(f"Pass {n_begun - 1} runs until {when(record, int(passes.end_ns[n_begun - 1]))}.", 0)
    else:
        lines.append("No pass runs.")
    made = np.arange(int(np.searchsorted(requests.made.t_ns, t_ns, "right")))
    spent = requests.scan_pass[made]
    pending = made[(requests.fate[made] != Fate.LOST) & ((spent < 0) | (spent >= n_begun))]
    if len(pending):
        n_moved = int((requests.fate[pending] == Fate.MOVED).sum())
        put_off = f", put off {counted(n_moved, 'time')} so far" if n_moved else ""
        due = when(record, int(requests.due_ns[pending[-1]]))
        lines += filled(f"A pass is due at {due}, for {counted(len(pending), 'request')}{put_off}.", 0)
    elif record.policy.timer.kind != "periodic":
        lines.append("No pass is due.")
    holders = Holders(record.prepared)
    for k in (n_begun - 1, n_begun):
        if 0 <= k < len(passes):
            lines += ["", *pass_lines(record, k, holders)]
    return lines
