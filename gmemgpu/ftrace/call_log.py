"""All calls of a file, in order of time, and what is wrong with the file."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from gmemgpu.columns.lines import text_lines
from gmemgpu.errors import Problem, TraceError
from gmemgpu.ftrace.event_line import Call, Damaged, lost_events, parse_call

__all__ = ["CallLog", "read_calls"]


@dataclass(frozen=True, slots=True, eq=False)
class CallLog:
    """
    The calls of a file.

    Parameters
    ----------
    calls : list of Call
        By time, then as they stand in the file.
    n_lines : int
        Lines of the file.
    n_lost : int
        Events that it says were lost, as far as it says how many.
    n_gaps : int
        Places where it says that events were lost, with how many or without.
    n_late : int
        Calls that stand after a later one.
    n_damaged : int
        Lines on the functions that cannot be read.
    damaged : list of Problem
        The first of them.
    """

    calls: list[Call]
    n_lines: int
    n_lost: int
    n_gaps: int
    n_late: int
    n_damaged: int
    damaged: list[Problem]


_DAMAGED_KEPT = 20


def read_calls(path: Path) -> CallLog:
    """
    Read the calls of a file.

    Parameters
    ----------
    path : Path
        Text of ftrace, trace-cmd, perf or bpftrace; compressed or not.

    Returns
    -------
    CallLog
        At least one call.

    Raises
    ------
    TraceError
        If it cannot be read, or has no call.
    """
    calls: list[Call] = []
    damaged: list[Problem] = []
    number = n_lost = n_gaps = n_late = n_damaged = last_ns = 0
    for number, line in text_lines(path):
        lost = lost_events(line)
        if lost:
            n_gaps += 1
            n_lost += max(lost, 0)
            continue
        call = parse_call(line, number)
        if isinstance(call, Damaged):
            n_damaged += 1
            if len(damaged) < _DAMAGED_KEPT:
                damaged.append(Problem(f"{path}: line {number}", call.why))
        elif call is not None:
            n_late += call.t_ns < last_ns
            last_ns = max(last_ns, call.t_ns)
            calls.append(call)
    if not calls:
        fault = "has no call of rmp_make_private or its like; gmemgpu capture --print shows how such a file is made"
        raise TraceError([Problem(str(path), fault), *damaged])
    calls.sort(key=attrgetter("t_ns"))
    return CallLog(calls, number, n_lost, n_gaps, n_late, n_damaged, damaged)
