"""
Lines of ``trace-cmd report``, of the file ``trace`` of tracefs, of ``perf script``, and of bpftrace as captured here.

COMM may hold blanks and dashes, so a line is read from where its columns are sure: the pid before the CPU.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from gmemgpu.ftrace.probe import CONSOLE, FUNCTIONS, PASS_BEGINS, probe_of
from gmemgpu.units import PAGES_PER_BLOCK

__all__ = ["Call", "Damaged", "lost_events", "parse_call"]

_TIME = r"(?:(?P<s>[0-9]{1,12})\.(?P<frac>[0-9]{1,9})|(?P<us>[0-9]{1,15})us ?[+!#*@$]?|(?P<count>[0-9]{1,20}))"
_REST = r"\s+(?P<rest>(?:[\w.-]+:)?(?P<event>\w+)(?::|\(|\s|$)\s*(?P<arguments>.*))"
_FTRACE = re.compile(
    r"\s*(?:.*?)-(?P<tid>[0-9]{1,10})\s+(?:\(\s*[-0-9]+\)\s+)?"
    # The latency format writes CPU and flags in one.
    r"(?:\[[0-9]+\]|[0-9]+(?=[^\s0-9]))\s*(?:[^\s0-9]\S*)?\s+"
    rf"{_TIME}\s*:{_REST}",
    re.ASCII,
)
_PERF = re.compile(
    r"\s*(?:\S.*?)\s+(?:(?P<pid>-?[0-9]{1,10})/)?(?P<tid>-?[0-9]{1,10})\s+(?:\[[0-9]+\]\s+)?"
    rf"(?:[^\s0-9]\S*\s+)?{_TIME}:(?:\s+[0-9]+(?=\s))?{_REST}",
    re.ASCII,
)
_ARGUMENT = re.compile(r"\b([a-z_]\w*)=(0x[0-9a-fA-F]{1,16}|-?[0-9]{1,20})(?![\w.])", re.ASCII)
_OURS = re.compile("|".join(name for name in FUNCTIONS if name != CONSOLE) + f"|{PASS_BEGINS.pattern}")
_LOST = re.compile(
    r"\[LOST (\d{1,18}) EVENTS\]|\[(\d{1,18}) EVENTS DROPPED\]|PERF_RECORD_LOST lost (\d{1,18})|^Lost (\d{1,18}) events"
)
_OVERWRITTEN = re.compile(r"# entries-in-buffer/entries-written: (\d{1,18})/(\d{1,18})")
_LOST_SOME = "[EVENTS DROPPED]"
_MOST_PFN = 1 << 40


class Call(NamedTuple):
    """
    A call of one of `gmemgpu.ftrace.probe.FUNCTIONS`, or its return.

    Parameters
    ----------
    t_ns : int
        When, by whatever clock.
    line : int
        Where it stands in the file.
    tid : int
        Thread.
    function : str
        Name.
    returns : bool
        Whether it is the return.
    values : tuple of int
        Of a call the arguments in `Probe.needed`, in that order; of a return what is returned, if the line has it.
    """

    t_ns: int
    line: int
    tid: int
    function: str
    returns: bool
    values: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Damaged:
    """
    A line on one of the functions that cannot be read.

    Parameters
    ----------
    why : str
        For messages.
    """

    why: str


def lost_events(line: str) -> int:
    """
    Return how many events a line says were lost.

    Parameters
    ----------
    line : str
        Of any kind.

    Returns
    -------
    int
        0 if it says nothing of the kind, -1 if it does not say how many.
    """
    if match := _LOST.search(line):
        return int(next(group for group in match.groups() if group))
    if match := _OVERWRITTEN.match(line):
        return max(int(match[2]) - int(match[1]), 0)
    return -1 if _LOST_SOME in line else 0


def parse_call(line: str, number: int) -> Call | Damaged | None:
    """
    Read a line.

    Parameters
    ----------
    line : str
        Without what ends it.
    number : int
        Where it stands.

    Returns
    -------
    Call, Damaged or None
        None for a line that is not on one of the functions.
    """
    if not _OURS.search(line):
        return None
    match = _FTRACE.fullmatch(line) or _PERF.fullmatch(line)
    if match is None:
        # A symbol of a stack, a header, or a line that was cut; a call has arguments.
        return Damaged("its columns are none of a trace's") if _ARGUMENT.search(line) else None
    tid, seconds, fraction, microseconds, count, event, text = match.group(*_GROUPS)
    found = _known(event)
    if found is None:
        return None
    function, returns = found
    if function == CONSOLE and not PASS_BEGINS.search(text):
        return None
    if count is not None:
        return Damaged('its time is a count, not a time: trace with the clock "mono" or "boot"')
    t_ns = int(microseconds) * 1000 if microseconds else int(seconds) * 10**9 + int(fraction.ljust(9, "0"))
    # "(caller <- function)" is how a return is written, whatever its name.
    if not returns and text.startswith("("):
        returns = "<-" in text.partition(")")[0]
    if returns:
        # `$retval` without a name is the first that a probe fetches.
        of_return = dict(_ARGUMENT.findall(text))
        ret = next((of_return[name] for name in ("ret", "retval", "arg1") if name in of_return), None)
        return Call(t_ns, number, int(tid), function, True, () if ret is None else (_integer(ret),))
    values = _values(text, function)
    if isinstance(values, Damaged):
        return values
    return Call(t_ns, number, int(tid), function, False, values)


_GROUPS = ("tid", "s", "frac", "us", "count", "event", "arguments")


@cache
def _known(event: str) -> tuple[str, bool] | None:
    return probe_of(event)


def _integer(text: str) -> int:
    return int(text, 16 if text.startswith("0x") else 10)


def _values(text: str, function: str) -> tuple[int, ...] | Damaged:
    probe = FUNCTIONS[function]
    if not probe.needed:
        return ()
    found = dict(_ARGUMENT.findall(text))
    values = []
    for name in probe.needed:
        value = found.get(name) or found.get(f"arg{probe.arguments.index(name) + 1}")
        if value is None:
            return Damaged(f"{function} without {name}: probes must fetch arguments, as gmemgpu capture --print has it")
        values.append(_integer(value))
    if "pfn" in probe.needed and not 0 <= (pfn := values[probe.needed.index("pfn")]) < _MOST_PFN:
        return Damaged(f"pfn {pfn:#x} is past all memory")
    if function.startswith("rmp_make"):
        pfn, level, *asid = values
        if level not in (1, 2):
            return Damaged(f"level {level}: the RMP has entries of 4 KiB (1) and 2 MiB (2)")
        if level == 2 and pfn % PAGES_PER_BLOCK:
            return Damaged(f"pfn {pfn:#x} is no 2 MiB page")
        if asid and not 0 <= asid[0] < 1 << 16:
            return Damaged(f"asid {asid[0]} is none of a processor")
    return tuple(values)
