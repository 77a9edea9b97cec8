"""``gmemgpu import ftrace``: a trace of a real host, from what ftrace, perf or bpftrace wrote."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from gmemgpu.cli.message import tell
from gmemgpu.errors import InputError, Problem, SpecError

if TYPE_CHECKING:
    from gmemgpu.explain.observed_passes import PassMatch
    from gmemgpu.ftrace.call_log import CallLog
    from gmemgpu.ftrace.life import Account
    from gmemgpu.model.cost import Costs
    from gmemgpu.model.host import Host
    from gmemgpu.model.policy import Policy
    from gmemgpu.model.trace import Trace

__all__ = ["add_ftrace_arguments", "import_ftrace"]

_APPLIED = "merged"
"""The policy of the kernel."""


def add_ftrace_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Declare the options of ``gmemgpu import ftrace``.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Of that action.
    """
    parser.add_argument("file", metavar="FILE", help="text of trace-cmd report, tracefs, perf script or bpftrace")
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="trace to write: .parquet, .csv, .csv.gz")
    parser.add_argument(
        "--host", metavar="FILE", required=True, help="TOML with a table [host], as gmemgpu capture has it"
    )
    parser.add_argument(
        "--shared-as",
        choices=("release", "share"),
        help="what pages are that guests give back outside guest_memfd's own freeing (default: share)",
    )
    passes = parser.add_argument_group(
        "passes of RMPOPT that were observed are held against those that policies predict"
    )
    passes.add_argument(
        "--policy",
        nargs="+",
        action="extend",
        metavar="NAME",
        help="of these, by name, out of --policies and the package (default: all of --policies, or merged)",
    )
    passes.add_argument("--policies", metavar="FILE", help="TOML file with [[policy]] tables")
    passes.add_argument("--costs", metavar="FILE", help="TOML file with costs in ns, in place of the package's")
    parser.add_argument("--json", action="store_true", help="write what was read as JSON to standard output")


def import_ftrace(arguments: argparse.Namespace) -> int:
    """
    Read a file of calls and write its trace.

    Parameters
    ----------
    arguments : argparse.Namespace
        As declared.

    Returns
    -------
    int
        0 if it is written.
    """
    from gmemgpu.explain.observed_passes import match_text
    from gmemgpu.ftrace.call_log import read_calls
    from gmemgpu.ftrace.life import trace_of_calls
    from gmemgpu.ftrace.notes import notes_of
    from gmemgpu.trace.form import check_overwrites_none
    from gmemgpu.trace.write import write_trace

    path, output = Path(arguments.file), Path(arguments.output)
    read = (arguments.file, arguments.host, arguments.policies, arguments.costs)
    check_overwrites_none(output, [Path(name) for name in read if name])
    host = _host(Path(arguments.host))
    policies, costs = _predicting(arguments)
    log = read_calls(path)
    trace, account = trace_of_calls(log, host, str(path), arguments.shared_as)
    notes = notes_of(log, account, trace)
    write_trace(trace, output)
    matches: list[PassMatch] = []
    if account.passes.begun_ns or arguments.policy or arguments.policies:
        matches = _matches(trace, account, policies, costs)
        notes += [match_text(match) for match in matches]
    _tell(arguments, log, account, trace, notes, matches)
    return 0


def _predicting(arguments: argparse.Namespace) -> tuple[tuple[Policy, ...], Costs]:
    from gmemgpu.catalogue import choose_policies, named_policies, read_costs
    from gmemgpu.cli.evaluate import wanted_policies
    from gmemgpu.model.cost import Costs

    asked = arguments.policy or arguments.policies
    policies = wanted_policies(arguments) if asked else choose_policies([_APPLIED], named_policies())
    if any(policy.is_oracle for policy in policies):
        raise SpecError(Problem("--policy", "the oracle is a bound, which runs no pass; name policies"))
    return policies, read_costs(arguments.costs) if arguments.costs else Costs()


def _matches(trace: Trace, account: Account, policies: tuple[Policy, ...], costs: Costs) -> list[PassMatch]:
    from gmemgpu.explain.observed_passes import match_passes
    from gmemgpu.explain.prepared import Prepared
    from gmemgpu.explain.replay import record_run

    prepared, seen = Prepared(trace), account.passes
    records = (record_run(prepared, policy, costs) for policy in policies)
    return [match_passes(record, seen.begun_ns, seen.lasted_ns) for record in records]


def _host(path: Path) -> Host:
    from gmemgpu.model.host import Host
    from gmemgpu.toml_file import read_toml
    from gmemgpu.validation import validated

    document = read_toml(path)
    problems = [Problem(f"{path}: {key}", "unknown key; known: host") for key in document if key != "host"]
    if not isinstance(document.get("host"), dict):
        problems.append(Problem(str(path), "has no table [host]; gmemgpu capture --print host shows how to make it"))
    if problems:
        raise SpecError(problems)
    try:
        return validated(Host, document["host"], f"{path}: host")
    except InputError as error:
        raise SpecError(error.problems) from None


def _tell(
    arguments: argparse.Namespace,
    log: CallLog,
    account: Account,
    trace: Trace,
    notes: list[str],
    matches: list[PassMatch],
) -> None:
    if arguments.json:
        read = {"lines": log.n_lines, "calls": len(log.calls), "lost": log.n_lost, "gaps": log.n_gaps}
        read |= {"late": log.n_late, "damaged": log.n_damaged}
        summary = {"output": arguments.output, "events": len(trace), "horizon_ns": trace.horizon_ns}
        predictions = [asdict(match) for match in matches]
        summary |= {"read": read, "account": asdict(account), "predictions": predictions, "notes": notes}
        print(json.dumps(summary, indent=1))
        return
    for problem in log.damaged:
        tell(f"warning: {problem}")
    for note in notes:
        tell(note)
    tell(f"{arguments.output}: {len(trace):,} events, {trace.horizon_ns / 1e9:,.3f} s")
