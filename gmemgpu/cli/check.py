"""``gmemgpu check``: read every part of a results directory in full; remove what is damaged if asked to."""

from __future__ import annotations

import argparse
import json

__all__ = ["add_arguments", "run"]

_SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``gmemgpu check``."""
    parser.add_argument("directory", metavar="DIR", help="results directory of a sweep")
    parser.add_argument("--repair", action="store_true", help="remove what is damaged, so that a sweep makes it anew")
    parser.add_argument("--json", action="store_true", help="write JSON: every fault")


def run(arguments: argparse.Namespace) -> int:
    """Check and print; 0 if all that is there is right, or was removed, else 1."""
    from gmemgpu.sweeping.store.check import check_directory

    found = check_directory(arguments.directory, repair=arguments.repair)
    left = [fault for fault in found.faults if not fault.removed]
    status = 1 if left else 0
    if arguments.json:
        report = {
            "parts": found.n_parts,
            "whole": found.n_whole,
            "missing": found.n_missing,
            "merged": found.is_merged,
            "faults": [
                {"path": str(fault.path), "what": fault.what, "removed": fault.removed} for fault in found.faults
            ],
        }
        print(json.dumps(report, indent=1, ensure_ascii=False))
        return status
    for fault in found.faults[:_SHOWN]:
        print(f"{fault.path}: {fault.what}{'; removed' if fault.removed else ''}")
    if len(found.faults) > _SHOWN:
        print(f"… and {len(found.faults) - _SHOWN:,} more; --json has them all")
    print(
        f"{arguments.directory}: {found.n_whole:,} of {found.n_parts:,} parts whole, {found.n_missing:,} to compute, "
        f"{len(found.faults):,} {'fault' if len(found.faults) == 1 else 'faults'}; "
        f"{'merged rows agree' if found.is_merged else 'not merged'}"
    )
    if any(fault.is_ours for fault in left):
        print(f"`gmemgpu check {arguments.directory} --repair` removes what is damaged; then run the sweep again")
    return status
