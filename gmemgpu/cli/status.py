"""``gmemgpu status``: how far a sweep is, who works on it, what failed."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gmemgpu.sweeping.status import Client, SweepStatus

__all__ = ["add_arguments", "run"]

_SHOWN = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``gmemgpu status``."""
    parser.add_argument("directory", metavar="DIR", help="results directory of a sweep, running or not")
    parser.add_argument("--json", action="store_true", help="write JSON: all failures, all clients")


def run(arguments: argparse.Namespace) -> int:
    """Look and print; 0, also if something failed."""
    from gmemgpu.sweeping.status import read_status

    found = read_status(arguments.directory)
    if arguments.json:
        print(json.dumps(asdict(found), indent=1, ensure_ascii=False))
        return 0
    from gmemgpu.cli.terminal import print_table

    print_table([], _lines(found), title=f"{arguments.directory}: {found.name}")
    for failure in found.failures[:_SHOWN]:
        print("failed: " + failure.message.replace("\n", "\n        "))
    if len(found.failures) > _SHOWN:
        print(f"… and {len(found.failures) - _SHOWN:,} more; --json has them all")
    if found.failures:
        print(f"to try them again: gmemgpu retry {arguments.directory}, then the sweep")
    return 0


def _lines(found: SweepStatus) -> list[tuple[str, str]]:
    lines = [
        ("done", f"{found.n_done:,} of {found.n_parts:,} parts, {found.n_rows_done:,} of {found.n_rows:,} evaluations"),
        ("failed", f"{len(found.failures):,}"),
        ("missing", f"{found.n_missing:,}"),
        ("merged", "yes" if found.is_merged else "no"),
    ]
    for client in found.clients:
        state = "; it has ended, others may take over" if client.gone else f", {_crew(client)}"
        does = "to merge the rows" if client.is_merging else f"{_count(client.n_claims, 'part')} claimed"
        lines.append(("working", f"{client.who}: {does}{state}"))
    if found.rows_per_s is not None:
        lines.append(("rate", f"{found.rows_per_s:,.1f} evaluations/s"))
    if found.left_s is not None:
        hours = ((found.core_hours_left, "core-hours"), (found.gpu_hours_left, "GPU-hours"))
        lines.append(("left", ", ".join([_time(found.left_s), *(f"{n:,.2f} {unit}" for n, unit in hours if n)])))
    return lines


def _crew(client: Client) -> str:
    workers = _count(client.n_workers, "worker")
    return f"{workers} on {_count(client.n_devices, 'GPU')}" if client.n_devices else workers


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"


def _time(seconds: float) -> str:
    for unit, length in (("d", 86_400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"
