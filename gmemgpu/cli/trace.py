"""``gmemgpu trace info`` and ``gmemgpu trace check``: what is in a trace file, and whether it is sound."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from gmemgpu.errors import TraceError

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``gmemgpu trace``."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="action")
    for name, text in (
        ("info", "say what is in a trace"),
        ("check", "validate a trace; doubtful rows are warnings, exit code 2 if it is invalid"),
    ):
        action = actions.add_parser(name, help=text, description=text)
        action.add_argument("file", metavar="FILE", help="trace file: .parquet, .csv or .csv.gz")
        action.add_argument("--json", action="store_true", help="write JSON")


def run(arguments: argparse.Namespace) -> int:
    """Do what the sub-command says."""
    return _check(arguments) if arguments.action == "check" else _info(arguments)


def _check(arguments: argparse.Namespace) -> int:
    from gmemgpu.trace.read import read_trace
    from gmemgpu.trace.warn import trace_warnings

    try:
        trace = read_trace(arguments.file)
    except TraceError as error:
        if arguments.json:
            problems = [{"where": item.where, "message": item.message} for item in error.problems]
            print(json.dumps({"valid": False, "problems": problems, "warnings": []}, indent=1, ensure_ascii=False))
            return error.exit_code
        raise
    warnings = trace_warnings(trace, arguments.file)
    if arguments.json:
        doubts = [{"where": item.where, "message": item.message} for item in warnings]
        print(json.dumps({"valid": True, "problems": [], "warnings": doubts}, indent=1, ensure_ascii=False))
        return 0
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(f"{arguments.file}: valid, {len(trace):,} events, {'with' if warnings else 'no'} warnings")
    return 0


def _info(arguments: argparse.Namespace) -> int:
    from gmemgpu.trace.info import trace_info
    from gmemgpu.trace.read import read_trace

    info = trace_info(read_trace(arguments.file))
    if arguments.json:
        print(json.dumps(info, indent=1, ensure_ascii=False))
        return 0
    from gmemgpu.cli.terminal import print_table

    print_table([], _lines(info), title=arguments.file)
    kinds = [(kind, f"{count:,}") for kind, count in info["events_by_kind"].items() if count]
    if kinds:
        print_table(["kind", "events"], kinds, right=[1])
    return 0


def _lines(info: dict[str, Any]) -> list[tuple[str, str]]:
    from gmemgpu.units import PAGE_BYTES, format_bytes

    host = info["host"]

    def seconds(time_ns: int | None) -> str:
        return "–" if time_ns is None else f"{time_ns / 1e9:,.3f} s"

    def assigned(pages: int) -> str:
        share = pages * PAGE_BYTES / host["memory_bytes"]
        return f"{pages:,} pages, {share:.1%}"

    return [
        (
            "host",
            f"{format_bytes(host['memory_bytes'])}, nodes: {host['nodes']}, cores: {host['cores']} of "
            f"{host['threads_per_core']} threads, {host['window']} window of {format_bytes(host['window_bytes'])}",
        ),
        ("regions", f"{info['regions']:,} of 1 GiB, {info['regions_covered']:,} covered by a window"),
        ("horizon", f"{seconds(info['horizon_ns'])}, warm-up {seconds(info['warmup_ns'])}"),
        ("events", f"{info['events']:,}, and {info['events_past_horizon']:,} past the horizon"),
        ("span", f"{seconds(info['first_ns'])} to {seconds(info['last_ns'])}"),
        ("VMs, inodes", f"{info['vms']:,}, {info['inodes']:,}"),
        ("regions touched", f"{info['regions_assigned']:,} by assign, {info['regions_used']:,} by use"),
        ("assigned at start", assigned(info["assigned_pages_start"])),
        ("assigned at most", f"{assigned(info['assigned_pages_max'])}, at {seconds(info['assigned_max_ns'])}"),
        ("assigned at end", assigned(info["assigned_pages_end"])),
        (
            "free regions",
            f"{info['free_regions_start']:,} at start, {info['free_regions_min']:,} at least, "
            f"{info['free_regions_end']:,} at end",
        ),
    ]
