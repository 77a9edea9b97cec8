"""The parts of sentences about a run: requests, regions, pages, VMs."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence

import numpy as np

from gmemgpu.explain.duration import time_text
from gmemgpu.explain.holder import Holder
from gmemgpu.explain.missed import Miss, Reason
from gmemgpu.explain.record import Fate, RunRecord
from gmemgpu.model.event import Kind
from gmemgpu.model.trace import Trace
from gmemgpu.units import PAGES_PER_REGION

__all__ = ["counted", "filled", "holders_text", "miss_text", "ranges_text", "request_text", "total_text", "when"]

_WIDTH = 80
_UNBROKEN = re.compile(r"(?<=\d) (?=(?:ns|us|ms|s|min|h|d|pages?)\b)|(?<=\bVM) (?=\d)|(?<=\binode) (?=\d)")
"""Between a number and its unit, or an id and what it is of."""
_MOST_RANGES = 12
_MOST_HOLDERS = 3


def counted(n: int, one: str, many: str = "") -> str:
    """
    Write a number and what it counts.

    Parameters
    ----------
    n : int
        How many.
    one, many : str
        The noun for one, and for more if that is not `one` with an s.

    Returns
    -------
    str
        As in ``1 pass`` and ``1,200 passes``.
    """
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def filled(text: str, indent: int) -> list[str]:
    """
    Cut a sentence into lines of 80 columns.

    Parameters
    ----------
    text : str
        Without line breaks.
    indent : int
        Columns left of it; lines that go on have two more.

    Returns
    -------
    list of str
        At least one.
    """
    lines = textwrap.wrap(
        _UNBROKEN.sub("\N{NO-BREAK SPACE}", text),
        _WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 2),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]


def when(record: RunRecord, t_ns: int) -> str:
    """
    Write a time of a run.

    Parameters
    ----------
    record : RunRecord
        The run.
    t_ns : int
        The time.

    Returns
    -------
    str
        With its unit.
    """
    return time_text(int(t_ns), horizon_ns=record.prepared.horizon_ns)


def ranges_text(numbers: Sequence[int], *, whole: bool = False) -> str:
    """
    Write ascending numbers as ranges.

    Parameters
    ----------
    numbers : sequence of int
        At least one, each once.
    whole : bool
        All of them, however many.

    Returns
    -------
    str
        As in ``0, 2-17 and 31 more``.
    """
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    shown = ranges if whole or len(ranges) <= _MOST_RANGES else ranges[: _MOST_RANGES - 1]
    text = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in shown)
    left = len(numbers) - sum(b - a + 1 for a, b in shown)
    return f"{text} and {left:,} more" if left else text


def holders_text(holders: Sequence[Holder]) -> str:
    """
    Write whose pages keep a region busy.

    Parameters
    ----------
    holders : sequence of Holder
        At least one.

    Returns
    -------
    str
        As in ``262,144 pages of VM 1, still converting``.
    """
    parts = []
    for holder in holders[:_MOST_HOLDERS]:
        owner = f"VM {holder.vm}" if holder.vm >= 0 else "firmware or the host" if holder.inode < 0 else "no VM"
        text = f"{counted(holder.n_pages, 'page')} of {owner}"
        if holder.vm >= 0 > holder.inode:
            text += ", of no guest_memfd"
        elif holder.is_evicting:
            text += ", still converting"
        parts.append(text)
    if left := holders[_MOST_HOLDERS:]:
        parts.append(f"{counted(sum(holder.n_pages for holder in left), 'page')} of {len(left):,} more")
    return "; ".join(parts)


def _event_text(record: RunRecord, request: int) -> str:
    made, trace = record.requests.made, record.prepared.trace
    first, last = int(made.first_region[request]), int(made.last_region[request])
    regions = "" if last < first else f"region {first}" if first == last else f"regions {first}-{last}"
    event = int(made.event[request])
    if event < 0:
        last = _last_clearing(trace, first, int(made.t_ns[request]))
        return f"{regions} became free by {_named_event(trace, last)}"
    text = _named_event(trace, event)
    if regions:
        text += f", {counted(int(trace.npages[event]), 'page')} in {regions}"
    return text


def _named_event(trace: Trace, event: int) -> str:
    ids = (("VM", int(trace.vm[event])), ("inode", int(trace.inode[event])))
    owner = ", ".join(f"{word} {number}" for word, number in ids if number >= 0)
    text = Kind(trace.kind[event]).text
    return f"{text} of {owner}" if owner else text


def _last_clearing(trace: Trace, region: int, t_ns: int) -> int:
    # The last event of an instant that took pages of a region out of assignment: it made it free.
    low, high = np.searchsorted(trace.t_ns, t_ns, "left"), np.searchsorted(trace.t_ns, t_ns, "right")
    rows = np.arange(low, high)
    begin, end = region * PAGES_PER_REGION, (region + 1) * PAGES_PER_REGION
    clears = np.isin(trace.kind[rows], (Kind.RELEASE, Kind.SHARE))
    reaches = (trace.pfn[rows] < end) & (trace.pfn[rows] + trace.npages[rows] > begin)
    return int(rows[clears & reaches & (trace.npages[rows] > 0)][-1])


def request_text(record: RunRecord, request: int) -> str:
    """
    Write what made a request, and what the timer did with it.

    Parameters
    ----------
    record : RunRecord
        The run.
    request : int
        Its index.

    Returns
    -------
    str
        A sentence without a full stop.
    """
    requests = record.requests
    due = when(record, int(requests.due_ns[request]))
    fate = {
        Fate.ARMED: f"sets the timer, due {due}",
        Fate.MOVED: f"puts the timer off, due {due}",
        Fate.JOINED: f"joins the pass due {due}",
        Fate.LOST: "is lost, since a pass runs",
    }[Fate(requests.fate[request])]
    t_ns = int(requests.made.t_ns[request])
    snp, hazard = record.prepared.snp, ""
    if any(begin_ns <= t_ns < end_ns for begin_ns, end_ns in snp.shutdowns):
        hazard = "; a hazard: SNP is being shut down"
    elif any(begin_ns <= t_ns < end_ns for begin_ns, end_ns in snp.unloads):
        hazard = "; a hazard: KVM is unloaded"
    return f"{when(record, t_ns)}  {_event_text(record, request)}: {fate}{hazard}"


def miss_text(record: RunRecord, miss: Miss) -> str:
    """
    Write why an episode was missed.

    Parameters
    ----------
    record : RunRecord
        The run.
    miss : Miss
        Of one of its episodes.

    Returns
    -------
    str
        A clause, with the pass and the request that it is about.
    """
    text = miss.reason.value
    if miss.request >= 0:
        text += f" ({when(record, int(record.requests.made.t_ns[miss.request]))} {_event_text(record, miss.request)})"
    elif miss.scan_pass >= 0:
        passes, k = record.passes, miss.scan_pass
        verb = "due" if miss.reason is Reason.WAITED else "started"
        at = passes.due_ns[k] if miss.reason is Reason.WAITED else passes.start_ns[k]
        text += f" (pass {k}, {verb} {when(record, int(at))})"
    return text


def total_text(counts: Iterable[tuple[int, str]]) -> str:
    """
    Write counts that are not 0.

    Parameters
    ----------
    counts : iterable of (int, str)
        How many, and of what.

    Returns
    -------
    str
        As in ``3 set, 1 busy``; ``nothing`` if all are 0.
    """
    return ", ".join(f"{n:,} {word}" for n, word in counts if n) or "nothing"
