"""What the commands that look into one run share: which trace and policies, which regions and times."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from gmemgpu.cli.message import harmless
from gmemgpu.errors import Problem, SpecError

if TYPE_CHECKING:
    from gmemgpu.explain.record import RunRecord

__all__ = ["add_run_arguments", "chosen_regions", "chosen_time", "heading", "print_lines", "recorded_runs"]


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Declare the trace and the options that choose policies.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Gets the options.
    """
    from gmemgpu.cli.evaluate import add_policy_arguments

    parser.add_argument("trace", metavar="TRACE", help="trace file: .parquet, .csv or .csv.gz")
    add_policy_arguments(parser)


def recorded_runs(arguments: argparse.Namespace, n: int) -> tuple[RunRecord, ...]:
    """
    Run the chosen policies on the trace.

    Parameters
    ----------
    arguments : argparse.Namespace
        As `add_run_arguments` declares them.
    n : int
        How many policies the command takes.

    Returns
    -------
    tuple of RunRecord
        In the order in which they were asked for.

    Raises
    ------
    SpecError
        If there are more or fewer policies, or one is unknown.
    TraceError
        If the trace cannot be read or is wrong.
    """
    from gmemgpu.api import read_trace
    from gmemgpu.catalogue import read_costs, tell_doubts
    from gmemgpu.cli.evaluate import wanted_policies
    from gmemgpu.model.cost import Costs

    need, example = ("one policy", "--policy v10") if n == 1 else (f"{n} policies", "--policy v10 capped")
    remedy = f"{need}, as in {example}; `gmemgpu policies` lists them"
    if arguments.policy is None and arguments.policies is None:
        raise SpecError(Problem("--policy", f"is missing; name {remedy}"))
    policies = wanted_policies(arguments)
    if len(policies) != n:
        names = ", ".join(policy.name for policy in policies)
        where = "--policy" if arguments.policy else "--policies"
        raise SpecError(Problem(where, f"gives {len(policies)} ({names}); name {remedy}"))
    costs = read_costs(arguments.costs) if arguments.costs else Costs()
    tell_doubts(policies, "policies", strict=arguments.strict)
    trace = read_trace(arguments.trace)
    from gmemgpu.explain.prepared import Prepared
    from gmemgpu.explain.replay import record_run

    prepared = Prepared(trace)
    return tuple(record_run(prepared, policy, costs) for policy in policies)


def chosen_regions(text: str | None, record: RunRecord) -> tuple[int, int]:
    """
    Read which regions are wanted.

    Parameters
    ----------
    text : str or None
        One, or the first and the last, as in ``0-63``; None for all.
    record : RunRecord
        A run on the host that they belong to.

    Returns
    -------
    (int, int)
        The first, and the one after the last.

    Raises
    ------
    SpecError
        If it is neither, or there are no such regions.
    """
    n = len(record.prepared.cores)
    if text is None:
        return 0, n
    match = re.fullmatch(r"\s*([0-9]+)\s*(?:-\s*([0-9]+)\s*)?", text)
    if match is None:
        raise SpecError(Problem("--region", f'"{text}" is no region; write its number, or two as in 0-63'))
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first:
        raise SpecError(Problem("--region", f"{first}-{last} ends before it begins; write {last}-{first}"))
    if last >= n:
        raise SpecError(Problem("--region", f"{last} is beyond the host, which has regions 0 to {n - 1}"))
    return first, last + 1


def chosen_time(option: str, text: str | None, horizon_ns: int, default_ns: int) -> int:
    """
    Read a time in the trace.

    Parameters
    ----------
    option : str
        The option's name, for messages.
    text : str or None
        As in ``"10 s"``; None for the default.
    horizon_ns : int
        The trace's.
    default_ns : int
        What holds without it.

    Returns
    -------
    int
        In ns, up to the horizon.

    Raises
    ------
    SpecError
        If it is no time or past the horizon.
    """
    from gmemgpu.units import format_duration_ns, parse_duration_ns

    if text is None:
        return default_ns
    try:
        t_ns = parse_duration_ns(text)
    except ValueError as error:
        raise SpecError(Problem(option, str(error))) from None
    if t_ns > horizon_ns:
        end = format_duration_ns(horizon_ns)
        raise SpecError(Problem(option, f'"{text}" is past the horizon; the trace ends at {end}'))
    return t_ns


def heading(name: str, record: RunRecord) -> list[str]:
    """
    Write what is looked at.

    Parameters
    ----------
    name : str
        The trace's file.
    record : RunRecord
        The run.

    Returns
    -------
    list of str
        Lines without line breaks.
    """
    from gmemgpu.explain.duration import span_text
    from gmemgpu.explain.episode_fate import episodes_text

    n, length = len(record.prepared.cores), span_text(record.prepared.horizon_ns)
    return [
        f"{name} under {record.policy.name}: {n:,} regions of 1 GiB, {length}",
        episodes_text(record),
        "",
    ]


def print_lines(lines: Iterable[str]) -> None:
    """
    Print lines, whatever the encoding of the output.

    Parameters
    ----------
    lines : iterable of str
        ASCII, but for names of files and policies; of those an encoding may lack characters.
    """
    encoding = sys.stdout.encoding or "ascii"
    for line in lines:
        print(harmless(line).encode(encoding, "backslashreplace").decode(encoding))
