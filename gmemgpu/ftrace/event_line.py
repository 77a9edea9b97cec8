"""
Lines of ``trace-cmd report``, of the file ``trace`` of tracefs, of ``perf script``, and of bpftrace as captured here.

COMM may hold blanks and dashes, so a line is read from where its columns are sure: the pid before the CPU.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gmemgpu.ftrace.probe import FUNCTIONS, probe_of

__all__ = ["Call", "Damaged", "lost_events", "parse_call"]

_TIME = r"(?:(?P<s>[0-9]{1,12})\.(?P<frac>[0-9]{1,9})|(?P<us>[0-9]{1,15})us ?[+!#*@$]?|(?P<count>[0-9]{1,20}))"
_FTRACE = re.compile(
    r"\s*(?:.*?)-(?P<tid>[0-9]{1,10})\s+(?:\(\s*[-0-9]+\)\s+)?"
    # The latency format writes CPU and flags in one.
    r"(?:\[(?P<cpu>[0-9]+)\]|(?P<cpu_of_flags>[0-9]+)(?=[^\s0-9]))\s*(?:[^\s0-9]\S*)?\s+"
    rf"{_TIME}\s*:\s+(?P<rest>\S.*)",
    re.ASCII,
)
_PERF = re.compile(
    r"\s*(?:\S.*?)\s+(?P<pid>-?[0-9]{1,10})(?:/(?P<tid>-?[0-9]{1,10}))?\s+(?:\[(?P<cpu>[0-9]+)\]\s+)?"
    rf"(?:[^\s0-9]\S*\s+)?{_TIME}:\s+(?:[0-9]+\s+)?(?P<rest>\S.*)",
    re.ASCII,
)
_EVENT = re.compile(r"(?:[\w.-]+:)?(?P<event>\w+)(?::|\(|\s|$)\s*(?P<arguments>.*)", re.ASCII)
_ARGUMENT = re.compile(r"\b([a-z_]\w*)=(0x[0-9a-fA-F]{1,16}|-?[0-9]{1,20})(?![\w.])", re.ASCII)
_POSITION = re.compile(r"arg([1-9])")
_OURS = re.compile("|".join(FUNCTIONS))
_LOST = re.compile(
    r"\[LOST (\d{1,18}) EVENTS\]|\[(\d{1,18}) EVENTS DROPPED\]|PERF_RECORD_LOST lost (\d{1,18})|^Lost (\d{1,18}) events"
)
_OVERWRITTEN = re.compile(r"# entries-in-buffer/entries-written: (\d{1,18})/(\d{1,18})")
_LOST_SOME = "[EVENTS DROPPED]"
_MOST_PFN = 1 << 40


@dataclass(frozen=True, slots=True)
class Call:
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
    arguments : dict of str to int
        Those that the line has; ``ret`` is what is returned.
    """

    t_ns: int
    line: int
    tid: int
    function: str
    returns: bool
    arguments: dict[str, int]


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
    event = _EVENT.fullmatch(match["rest"]) if match else None
    if match is None or event is None:
        # A symbol of a stack, a header, or a line that was cut; a call has arguments.
        return Damaged("its columns are none of a trace's") if "=" in line else None
    found = probe_of(event["event"])
    if found is None:
        return None
    function, returns = found
    if match["count"] is not None:
        return Damaged('its time is a count, not a time: trace with the clock "mono" or "boot"')
    t_ns = int(match["us"]) * 1000 if match["us"] else int(match["s"]) * 10**9 + int(match["frac"].ljust(9, "0"))
    # "(caller <- function)" is how a return is written, whatever its name.
    place = event["arguments"].partition(")")[0]
    returns = returns or (place.startswith("(") and "<-" in place)
    # `$retval` without a name is the first that a probe fetches.
    arguments = _arguments(event["arguments"], ("ret",) if returns else FUNCTIONS[function].arguments)
    why = None if returns else _fault(function, arguments)
    if why is not None:
        return Damaged(why)
    tid = match["tid"] or match.groupdict().get("pid") or "0"
    return Call(t_ns, number, int(tid), function, returns, arguments)


def _arguments(text: str, names: tuple[str, ...]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, value in _ARGUMENT.findall(text):
        place = _POSITION.fullmatch(name)
        if place and int(place[1]) <= len(names):
            name = names[int(place[1]) - 1]
        found[name] = int(value, 16 if value.startswith("0x") else 10)
    return found


def _fault(function: str, arguments: dict[str, int]) -> str | None:
    for name in FUNCTIONS[function].needed:
        if name not in arguments:
            return f"{function} without {name}: probes must fetch arguments, as gmemgpu capture --print has it"
    if "pfn" in arguments and not 0 <= arguments["pfn"] < _MOST_PFN:
        return f"pfn {arguments['pfn']:#x} is past all memory"
    if function.startswith("rmp_make"):
        if arguments["level"] not in (1, 2):
            return f"level {arguments['level']}: the RMP has entries of 4 KiB (1) and 2 MiB (2)"
        if arguments["level"] == 2 and arguments["pfn"] % 512:
            return f"pfn {arguments['pfn']:#x} is no 2 MiB page"
        if not 0 <= arguments.get("asid", 0) < 1 << 16:
            return f"asid {arguments['asid']} is none of a processor"
    return None
