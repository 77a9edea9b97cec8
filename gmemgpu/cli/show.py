"""``gmemgpu show``: the decision table of a results directory."""

from __future__ import annotations

import argparse
import gc
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gmemgpu.report.decision import DecisionTable

__all__ = ["add_arguments", "run", "print_table"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``gmemgpu show``."""
    parser.add_argument("directory", metavar="DIR", help="results directory of a sweep; it may be unfinished")
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--json", action="store_true", help="write JSON: mean, interval and number of seeds of each figure"
    )
    form.add_argument("--csv", action="store_true", help="write CSV: one line for each group and policy")
    parser.add_argument(
        "--sort", metavar="COL", help='best first by this column, as its header or JSON says: "latency p99", regret …'
    )
    parser.add_argument(
        "--group-by",
        nargs="+",
        default=[],
        metavar="KEY",
        help="one table for each value of: label, preset, or an axis",
    )
    parser.add_argument("--policy", nargs="+", default=[], metavar="NAME", help="show only these, in this order")


def run(arguments: argparse.Namespace) -> int:
    """Print the table; 0 if there is one."""
    from gmemgpu.report.decision import decide

    # Half a million small objects of a large table stay: to look for cycles in them takes a quarter of a second.
    gc.disable()
    try:
        table = decide(arguments.directory, group_by=arguments.group_by, policies=arguments.policy, sort=arguments.sort)
        print_table(table, form="json" if arguments.json else "csv" if arguments.csv else "text")
    finally:
        gc.enable()
    return 0


def print_table(table: DecisionTable, form: str) -> None:
    """
    Write a decision table to standard output.

    Parameters
    ----------
    table : DecisionTable
        What to write.
    form : {"text", "json", "csv"}
    """
    if form != "text":
        from gmemgpu.report.export import table_csv, table_json

        sys.stdout.write(table_json(table) + "\n" if form == "json" else table_csv(table))
        return
    from gmemgpu.cli.terminal import console
    from gmemgpu.report.render import render

    output = console()
    for piece in render(table):
        output.print(piece)
