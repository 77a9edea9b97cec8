"""``gmemgpu show``: the decision table of a results directory, or its policies beside a baseline."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from gmemgpu.errors import Problem, SpecError

if TYPE_CHECKING:
    from gmemgpu.report.decision import DecisionTable

__all__ = ["add_arguments", "run", "print_table"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``gmemgpu show``."""
    parser.add_argument("directory", metavar="DIR", help="results directory of a sweep; it may be unfinished")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="write JSON: value, interval, seeds and kind of each figure")
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
        "--pivot", metavar="AXIS", help="print one table: policies by values of this axis, of the figure --metric names"
    )
    parser.add_argument(
        "--spread",
        metavar="AXIS",
        help="print each policy's least, median, most and worst over an axis, such as vm_table.host, of --metric "
        "(default: benefit), and at how many of its values it is better than --baseline",
    )
    parser.add_argument(
        "--metric",
        nargs="+",
        default=[],
        metavar="KEY",
        help="which figures (default: those of the table; with --baseline coverage benefit never core_s, with --pivot "
        "coverage); any of `gmemgpu help metrics`",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the table; 0 if there is one."""
    if arguments.spread is not None:
        return _print_spread(arguments)
    if arguments.baseline is not None:
        return _print_differences(arguments)
    form = "json" if arguments.json else "csv" if arguments.csv else "text"
    group_by, metrics = arguments.group_by, arguments.metric
    if arguments.pivot is not None:
        _refuse_with_pivot(arguments)
        group_by = [*(key for key in group_by if key != arguments.pivot), arguments.pivot]
        metrics = metrics or ["coverage"]
    from gmemgpu.report.decision import read_decision_table
    from gmemgpu.report.render import MOST_GROUPS

    try:
        table = read_decision_table(
            arguments.directory,
            group_by=group_by,
            policies=arguments.policy,
            sort=arguments.sort,
            quantities=metrics,
            most_groups=MOST_GROUPS if form == "text" else None,
        )
        print_table(table, form=form, command=_command(arguments), metrics=metrics, pivot=arguments.pivot)
    except SpecError as error:
        raise _renamed(error, "--pivot", arguments.pivot) from None
    return 0


def _refuse_with_pivot(arguments: argparse.Namespace) -> None:
    problems = [
        Problem(f"--{name}", "holds every value of every axis already; leave --pivot out")
        for name in ("json", "csv")
        if getattr(arguments, name)
    ]
    if arguments.sort is not None and arguments.sort != "policy":
        problems.append(Problem("--sort", "a pivot has one order of policies for all columns; leave it out"))
    if len(arguments.metric) > 1:
        problems.append(Problem("--metric", f"a pivot shows one figure, not {len(arguments.metric)}"))
    if problems:
        raise SpecError(problems)


def _renamed(error: SpecError, option: str, axis: str | None) -> SpecError:
    # An axis that was asked for by another option than --group-by is that option's.
    return SpecError(
        replace(problem, where=option)
        if problem.where == "--group-by" and problem.message.startswith(f'"{axis}":')
        else problem
        for problem in error.problems
    )


def _command(arguments: argparse.Namespace) -> str:
    words = ["gmemgpu", "show", arguments.directory]
    for name in ("group_by", "policy", "metric"):
        if values := getattr(arguments, name):
            words += [f"--{name.replace('_', '-')}", *values]
    for name in ("sort", "pivot"):
        if (value := getattr(arguments, name)) is not None:
            words += [f"--{name}", value]
    return shlex.join(words)


def _print_spread(arguments: argparse.Namespace) -> int:
    others = [name for name in ("json", "csv", "sort", "pivot", "group_by") if getattr(arguments, name)]
    problems = [Problem(f"--{name.replace('_', '-')}", "does not go with --spread; leave it out") for name in others]
    if len(arguments.metric) > 1:
        problems.append(Problem("--metric", f"a spread shows one figure, not {len(arguments.metric)}"))
    if problems:
        raise SpecError(problems)
    from gmemgpu.cli.terminal import is_ascii_only, text_width
    from gmemgpu.report.ascii import to_ascii
    from gmemgpu.report.spread import read_spread, spread_lines

    try:
        spread = read_spread(
            arguments.directory,
            arguments.spread,
            quantity=arguments.metric[0] if arguments.metric else "benefit",
            baseline=arguments.baseline or None,
            policies=arguments.policy,
        )
    except SpecError as error:
        raise _renamed(error, "--spread", arguments.spread) from None
    plain = to_ascii if is_ascii_only() else str
    sys.stdout.writelines(f"{plain(line)}\n" for line in spread_lines(spread, text_width() or 100))
    return 0


def _print_differences(arguments: argparse.Namespace) -> int:
    problems = []
    if arguments.sort is not None:
        problems.append(Problem("--sort", "differences stay in the order of the policies; leave it out"))
    if arguments.csv:
        problems.append(Problem("--csv", "holds no differences; use --json"))
    if arguments.pivot is not None:
        problems.append(Problem("--pivot", "holds no differences; use --group-by"))
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
        from gmemgpu.cli.terminal import is_ascii_only, text_width
        from gmemgpu.report.ascii import to_ascii

        plain = to_ascii if is_ascii_only() else str
        sys.stdout.writelines(f"{plain(line)}\n" for line in comparison_lines(table, min(text_width() or 80, 80)))
    return 0


def print_table(
    table: DecisionTable, form: str, *, command: str = "", metrics: Sequence[str] = (), pivot: str | None = None
) -> None:
    """
    Write a decision table to standard output.

    Parameters
    ----------
    table : DecisionTable
        What to write.
    form : {"text", "json", "csv"}
    command : str
        What prints the text again.
    metrics : sequence of str
        Quantities that were asked for by name.
    pivot : str, optional
        For text, the axis whose values are columns.
    """
    if form != "text":
        from gmemgpu.report.export import csv_lines, json_lines

        sys.stdout.writelines(json_lines(table) if form == "json" else csv_lines(table))
        return
    from gmemgpu.cli.terminal import is_ascii_only, text_width
    from gmemgpu.metrics.quantity import quantity_named
    from gmemgpu.report.render import decision_lines, pivot_lines, provenance_lines

    width, ascii_only = text_width(), is_ascii_only()
    if pivot is not None:
        lines = pivot_lines(table, pivot, table.quantities[0], width, ascii_only=ascii_only)
    else:
        first = [found.key for name in metrics if (found := quantity_named(name)) is not None]
        lines = decision_lines(table, width, first=first, ascii_only=ascii_only)
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.writelines(f"{line}\n" for line in provenance_lines(table, command, width, ascii_only=ascii_only))
