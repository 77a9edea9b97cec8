"""``gmemgpu status``: how far a sweep is, who works on it, what failed."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gmemgpu.sweeping.store.status import SweepStatus

__all__ = ["add_arguments", "run"]

_SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``gmemgpu status``."""
    parser.add_argument("directory", metavar="DIR", help="results directory of a sweep, running or not")
    parser.add_argument("--json", action="store_true", help="write JSON: all failures, and who holds DIR")


def run(arguments: argparse.Namespace) -> int:
    """Look and print; 0, also if something failed."""
    from gmemgpu.sweeping.store.status import read_status

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
        print("the same `gmemgpu sweep` tries them again")
    return 0


def _lines(found: SweepStatus) -> list[tuple[str, str]]:
    lines = [
        ("done", f"{found.n_done:,} of {found.n_parts:,} parts, of {found.n_rows:,} evaluations in all"),
        ("failed", f"{len(found.failures):,}"),
        ("merged", "yes" if found.is_merged else "no"),
    ]
    if found.holder is not None:
        state = "has ended; the next sweep takes over" if found.holder.is_dead else "works on it"
        lines.append(("held by", f"{found.holder}: {state}, last sign of life {found.holder.silent_s:.0f} s ago"))
    if found.parts_per_s is not None:
        lines.append(("rate", f"{found.parts_per_s:,.2f} parts/s"))
    if found.left_s is not None:
        lines.append(("left", _time(found.left_s)))
    if found.until is not None:
        from gmemgpu.until import told_stop

        lines.append(("until", told_stop(found.until)))
    return lines


def _time(seconds: float) -> str:
    for unit, length in (("d", 86_400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"
