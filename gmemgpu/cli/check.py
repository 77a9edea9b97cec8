"""``gmemgpu check``: read every part of a results directory in full; remove what is bad if asked to."""

from __future__ import annotations

import argparse
import json

__all__ = ["add_arguments", "run"]

_SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``gmemgpu check``."""
    parser.add_argument("directory", metavar="DIR", help="results directory of a sweep")
    parser.add_argument("--repair", action="store_true", help="remove what is bad, so that a sweep makes it anew")
    parser.add_argument("--json", action="store_true", help="write JSON: every fault")


def run(arguments: argparse.Namespace) -> int:
    """Check and print; 0 if all that is there is right, or was repaired, else 1."""
    from gmemgpu.sweeping.checking import check_directory

    found = check_directory(arguments.directory, repair=arguments.repair)
    status = 1 if found.faults and not found.repaired else 0
    if arguments.json:
        report = {
            "parts": found.n_parts,
            "whole": found.n_whole,
            "missing": found.n_missing,
            "merged": found.is_merged,
            "repaired": found.repaired,
            "faults": [{"path": str(fault.path), "what": fault.what} for fault in found.faults],
        }
        print(json.dumps(report, indent=1, ensure_ascii=False))
        return status
    for fault in found.faults[:_SHOWN]:
        print(f"{fault.path}: {fault.what}{'; removed' if found.repaired else ''}")
    if len(found.faults) > _SHOWN:
        print(f"… and {len(found.faults) - _SHOWN:,} more; --json has them all")
    merged = "merged rows agree" if found.is_merged else "no merged rows"
    print(
        f"{arguments.directory}: {found.n_whole:,} of {found.n_parts:,} parts whole, {found.n_missing:,} missing, "
        f"{len(found.faults):,} {'fault' if len(found.faults) == 1 else 'faults'}; {merged}"
    )
    if status:
        print(f"`gmemgpu check {arguments.directory} --repair` removes the files named; then run the sweep again")
    return status
