"""All calls of a file, in order of time, and what is wrong with the file."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gmemgpu.columns.lines import text_lines
from gmemgpu.errors import Problem, TraceError
from gmemgpu.ftrace.event_line import Call, Damaged, lost_events, parse_call
from gmemgpu.ftrace.probe import FUNCTIONS, RMPUPDATES
from gmemgpu.model.trace import Int64Array

__all__ = ["CallLog", "Calls", "read_calls"]

_NAMES = tuple(FUNCTIONS)
_CODES = {name: code for code, name in enumerate(_NAMES)}
_MOST_VALUES = 3
_DAMAGED_KEPT = 20


class Calls:
    """Calls in few bytes each: a guest of 100 GiB makes a hundred million."""

    def __init__(self) -> None:
        self._words = array("q")
        self._order = np.zeros(0, np.int64)

    def __len__(self) -> int:
        return len(self._words) // _WIDTH

    def append(self, call: Call) -> None:
        """
        Append a call.

        Parameters
        ----------
        call : Call
            In any order of time.
        """
        what = _CODES[call.function] << 3 | call.returns << 2 | len(call.values)
        values = [value - (1 << 64) if value >= 1 << 63 else value for value in call.values]
        padding = (0,) * (_MOST_VALUES - len(values))
        self._words.extend((call.t_ns, call.line, call.tid, what, *values, *padding))

    def _table(self) -> Int64Array:
        return np.frombuffer(self._words, np.int64).reshape(-1, _WIDTH)

    def sort(self) -> None:
        """Set the order to that of time, then of the file."""
        self._order = np.argsort(self._table()[:, 0], kind="stable")

    def span_ns(self) -> tuple[int, int]:
        """Return the times of the first and the last."""
        t_ns = self._table()[:, 0]
        return int(t_ns.min()), int(t_ns.max())

    def functions(self) -> set[str]:
        """Return the functions that were called."""
        what = np.unique(self._table()[:, 3])
        return {_NAMES[code >> 3] for code in what.tolist() if not code & _RETURNS}

    def places(self, *functions: str) -> Int64Array:
        """
        Return where calls of functions stand, and returns.

        Parameters
        ----------
        *functions : str
            Names.

        Returns
        -------
        (m,) int64
            Places in order of time, ascending.
        """
        codes = [_CODES[name] for name in functions]
        return np.flatnonzero(np.isin(self._table()[self._order, 3] >> 3, codes))

    def failed(self) -> tuple[Int64Array, bool]:
        """
        Find the RMPUPDATEs that returned something else than 0.

        Returns
        -------
        (m,) int64
            Their places: of a thread's calls of a function the one before such a return.
        bool
            Whether any return tells what it returns.
        """
        table = self._table()[self._order]
        tid, what, ret = table[:, 2], table[:, 3], table[:, 4]
        order = np.lexsort((tid, what >> 3))
        returns, tells = (what[order] & _RETURNS) != 0, (what[order] & _N_VALUES) > 0
        same = (tid[order][1:] == tid[order][:-1]) & (what[order][1:] >> 3 == what[order][:-1] >> 3)
        tells &= np.isin(what[order] >> 3, [_CODES[name] for name in RMPUPDATES])
        ends = same & returns[1:] & tells[1:] & (ret[order][1:] != 0) & ~returns[:-1]
        return order[:-1][ends], bool((returns & tells).any())

    def at(self, places: Int64Array) -> Iterator[Call]:
        """
        Return calls.

        Parameters
        ----------
        places : (m,) int64
            Where they stand in order of time.

        Yields
        ------
        Call
            One for each.
        """
        table = self._table()
        for begin in range(0, len(places), _CHUNK):
            for t_ns, line, tid, what, *values in table[self._order[places[begin : begin + _CHUNK]]].tolist():
                kept = tuple(values[: what & _N_VALUES])
                yield Call(t_ns, line, tid, _NAMES[what >> 3], bool(what & _RETURNS), kept)

    def __iter__(self) -> Iterator[Call]:
        return self.at(np.arange(len(self)))


_CHUNK = 1 << 14
_RETURNS, _N_VALUES = 4, 3
_WIDTH = 4 + _MOST_VALUES


@dataclass(frozen=True, slots=True, eq=False)
class CallLog:
    """
    The calls of a file.

    Parameters
    ----------
    calls : Calls
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

    calls: Calls
    n_lines: int
    n_lost: int
    n_gaps: int
    n_late: int
    n_damaged: int
    damaged: list[Problem]


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
    calls = Calls()
    damaged: list[Problem] = []
    number = n_lost = n_gaps = n_late = n_damaged = last_ns = 0
    for number, line in text_lines(path):
        call = parse_call(line, number)
        if call is None:
            lost = lost_events(line)
            n_gaps += lost != 0
            n_lost += max(lost, 0)
        elif isinstance(call, Damaged):
            n_damaged += 1
            if len(damaged) < _DAMAGED_KEPT:
                damaged.append(Problem(f"{path}: line {number}", call.why))
        else:
            n_late += call.t_ns < last_ns
            last_ns = max(last_ns, call.t_ns)
            calls.append(call)
    if not len(calls):
        fault = "has no call of rmp_make_private or its like; gmemgpu capture --print shows how such a file is made"
        raise TraceError([Problem(str(path), fault), *damaged])
    calls.sort()
    return CallLog(calls, number, n_lost, n_gaps, n_late, n_damaged, damaged)
