"""``gmemgpu import ftrace``: a trace of a real host, from what ftrace, perf or bpftrace wrote."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from gmemgpu.errors import InputError, Problem, SpecError

if TYPE_CHECKING:
    from gmemgpu.ftrace.call_log import CallLog
    from gmemgpu.ftrace.life import Account
    from gmemgpu.model.host import Host
    from gmemgpu.model.trace import Trace

__all__ = ["add_ftrace_arguments", "import_ftrace"]


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
    from gmemgpu.ftrace.call_log import read_calls
    from gmemgpu.ftrace.life import trace_of_calls
    from gmemgpu.ftrace.notes import notes_of
    from gmemgpu.trace.form import trace_form
    from gmemgpu.trace.write import write_trace

    path, output = Path(arguments.file), Path(arguments.output)
    trace_form(output)
    if output.exists() and path.exists() and output.samefile(path):
        raise SpecError(Problem("--output", f"{output} is the file that is read; give the trace another name"))
    host = _host(Path(arguments.host))
    log = read_calls(path)
    trace, account = trace_of_calls(log, host, str(path), arguments.shared_as)
    notes = notes_of(log, account, trace)
    write_trace(trace, output)
    _tell(arguments, log, account, trace, notes)
    return 0


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


def _tell(arguments: argparse.Namespace, log: CallLog, account: Account, trace: Trace, notes: list[str]) -> None:
    if arguments.json:
        read = {"lines": log.n_lines, "calls": len(log.calls), "lost": log.n_lost, "gaps": log.n_gaps}
        read |= {"late": log.n_late, "damaged": log.n_damaged}
        summary = {"output": arguments.output, "events": len(trace), "horizon_ns": trace.horizon_ns}
        print(json.dumps({**summary, "read": read, "account": asdict(account), "notes": notes}, indent=1))
        return
    for problem in log.damaged:
        print(f"warning: {problem}", file=sys.stderr)
    for note in notes:
        print(note, file=sys.stderr)
    print(f"{arguments.output}: {len(trace):,} events, {trace.horizon_ns / 1e9:,.3f} s", file=sys.stderr)
