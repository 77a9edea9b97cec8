"""``gmemgpu trace``: what is in a trace file, whether it is sound, what its RMP looks like at a time."""

from __future__ import annotations

import argparse
import json
from typing import Any

from gmemgpu.cli.message import harmless, tell
from gmemgpu.errors import TraceError

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``gmemgpu trace``."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="action")
    for name, text in (
        ("info", "show what is in a trace"),
        ("check", "validate a trace; doubtful rows are warnings, exit code 2 if it is invalid"),
        ("scan", "scan the RMP at a time: which regions are free, and how little keeps the others from it"),
    ):
        action = actions.add_parser(name, help=text, description=text)
        action.add_argument("file", metavar="FILE", help="trace file: .parquet, .csv or .csv.gz")
        action.add_argument("--json", action="store_true", help="write JSON")
        if name == "scan":
            action.add_argument("--at", metavar="TIME", help='as in "10 s" (default: the end of the trace)')
            action.add_argument("--backend", default="numpy", metavar="B", help="numpy, numba or cupy (default: numpy)")


def run(arguments: argparse.Namespace) -> int:
    """Run the action that was named."""
    return {"info": _info, "check": _check, "scan": _scan}[arguments.action](arguments)


def _check(arguments: argparse.Namespace) -> int:
    from gmemgpu.trace.read import read_trace
    from gmemgpu.trace.warn import trace_warnings

    # Not the read_trace of the API: that tells some of the warnings, and here come all.
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
        tell(f"warning: {warning}")
    print(f"{harmless(arguments.file)}: valid, {len(trace):,} events, {'with' if warnings else 'no'} warnings")
    return 0


def _info(arguments: argparse.Namespace) -> int:
    from gmemgpu.api import read_trace
    from gmemgpu.trace.info import trace_info

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


def _scan(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from gmemgpu.api import read_trace
    from gmemgpu.cli.recorded_run import chosen_time
    from gmemgpu.cli.scan import region_scanner
    from gmemgpu.rmp.image import rmp_image
    from gmemgpu.rmp.summary import summarize

    scan_regions = region_scanner(arguments.backend)
    trace = read_trace(arguments.file)
    # What happens at the horizon happens no more.
    at_ns = min(chosen_time("--at", arguments.at, trace.horizon_ns, trace.horizon_ns), trace.horizon_ns - 1)
    found = summarize(scan_regions(rmp_image(trace, at_ns)), trace.host.hole_regions())
    if arguments.json:
        print(json.dumps({"t_ns": at_ns, **asdict(found)}, indent=1))
        return 0
    from gmemgpu.cli.terminal import print_table

    first = "–" if found.first_block_median is None else f"{found.first_block_median} of 0 to 511"
    lines = [
        ("regions", f"{found.regions:,} of 1 GiB, {found.assigned_pages:,} pages assigned"),
        ("free", f"{found.free:,}"),
        ("busy through one page", f"{found.busy_page:,}"),
        ("through at most 512 pages", f"{found.busy_block:,}"),
        ("through at most 1 %", f"{found.busy_percent:,}"),
        ("first assigned block", f"{first}, median of busy regions"),
        ("RMP bytes of a pass", f"{found.pass_bytes:,} a scanner, no bit being set"),
    ]
    print_table([], lines, title=f"{arguments.file}, {at_ns / 1e9:,.3f} s")
    return 0


def _lines(info: dict[str, Any]) -> list[tuple[str, str]]:
    from gmemgpu.model.host import Host
    from gmemgpu.units import format_bytes

    host = info["host"]

    def seconds(time_ns: int | None) -> str:
        return "–" if time_ns is None else f"{time_ns / 1e9:,.3f} s"

    def assigned(pages: int) -> str:
        return f"{pages:,} pages, {pages / max(Host(**host).present_pages, 1):.1%}"

    holes = f", holes: {len(host['holes'])}" if host["holes"] else ""
    return [
        (
            "host",
            f"{format_bytes(host['memory_bytes'])}{holes}, nodes: {host['nodes']}, cores: {host['cores']} of "
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
