"""``gmemgpu retry``: forget what failed, so that the next run tries it again."""

from __future__ import annotations

import argparse

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``gmemgpu retry``."""
    parser.add_argument("directory", metavar="DIR", help="results directory of a sweep")


def run(arguments: argparse.Namespace) -> int:
    """Forget failures and say how to go on; 0."""
    from pathlib import Path

    from gmemgpu.sweeping.journal import Journal
    from gmemgpu.sweeping.layout import FAILURES
    from gmemgpu.sweeping.manifest import read_manifest

    read_manifest(arguments.directory)
    n = Journal(Path(arguments.directory) / FAILURES).forget()
    if n:
        print(f"{n:,} failed {'shard' if n == 1 else 'shards'} will be tried again by the next")
        print(f"  gmemgpu sweep SPEC -o {arguments.directory}")
        print("(or `gmemgpu shard`, with the spec that made the directory)")
    else:
        print(f"{arguments.directory}: nothing failed")
    return 0
