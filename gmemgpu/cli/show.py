"""``gmemgpu show``: the decision table of a results directory, or its policies beside a baseline."""

from __future__ import annotations

import argparse
import gc
import sys
from typing import TYPE_CHECKING

from gmemgpu.errors import Problem, SpecError

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
    parser.add_argument(
        "--baseline",
        nargs="?",
        const="",
        metavar="POLICY",
        help="print differences to this policy on the same traces (default: merged, else v10, else the first)",
    )
    parser.add_argument(
        "--metric",
        nargs="+",
        default=[],
        metavar="KEY",
        help="with --baseline: which figures (default: coverage benefit never core_s); any of `gmemgpu help metrics`",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the table; 0 if there is one."""
    if arguments.baseline is not None:
        return _print_differences(arguments)
    if arguments.metric:
        raise SpecError(Problem("--metric", "chooses among differences; give --baseline too"))
    from gmemgpu.report.decision import read_decision_table

    # Half a million small objects of a large table stay: to look for cycles in them takes a quarter of a second.
    gc.disable()
    try:
        table = read_decision_table(
            arguments.directory, group_by=arguments.group_by, policies=arguments.policy, sort=arguments.sort
        )
        print_table(table, form="json" if arguments.json else "csv" if arguments.csv else "text")
    finally:
        gc.enable()
    return 0


def _print_differences(arguments: argparse.Namespace) -> int:
    problems = []
    if arguments.sort is not None:
        problems.append(Problem("--sort", "differences stay in the order of the policies; leave it out"))
    if arguments.csv:
        problems.append(Problem("--csv", "holds no differences; use --json"))
    if problems:
        raise SpecError(problems)
    from gmemgpu.report.comparison import compare
    from gmemgpu.report.comparison_text import comparison_lines
    from gmemgpu.report.export import comparison_json

    table = compare(
        arguments.directory,
        baseline=arguments.baseline or None,
        group_by=arguments.group_by,
        policies=arguments.policy,
        quantities=arguments.metric,
    )
    if arguments.json:
        sys.stdout.write(comparison_json(table) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in comparison_lines(table))
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
