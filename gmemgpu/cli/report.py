"""``gmemgpu report``: a results directory as one page that needs nothing else, or its answer as a text to cite."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gmemgpu.cli.decide import add_decision_arguments, parse_worth
from gmemgpu.cli.message import tell
from gmemgpu.errors import Problem, SpecError

if TYPE_CHECKING:
    from gmemgpu.decision.decision import Decision
    from gmemgpu.explain.region_map import RegionMap

__all__ = ["add_arguments", "run"]

_MAP_ROWS, _MAP_COLUMNS = 128, 240
"""More cells than that make a page slow to draw."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``gmemgpu report``."""
    add_decision_arguments(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("-o", "--output", metavar="FILE", help="the page (default: report.html, here)")
    form.add_argument("--mail", action="store_true", help="print the answer instead: ASCII of at most 72 columns")
    form.add_argument("--markdown", action="store_true", help="print the answer instead, in Markdown")
    parser.add_argument(
        "--map",
        nargs=2,
        metavar=("TRACE", "POLICY"),
        help="add a map of regions and time to the page: this trace file under this policy",
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the page or print the answer; 0 if there is one."""
    if arguments.mail or arguments.markdown:
        if arguments.map is not None:
            raise SpecError(Problem("--map", "is part of the page; leave it out, or --mail and --markdown"))
        return _print_answer(arguments)
    from gmemgpu.figures.catalogue import Choice
    from gmemgpu.figures.report import write_report

    output = arguments.output or "report.html"
    if Path(output).suffix.lower() not in (".html", ".htm"):
        raise SpecError(Problem("--output", f"{output} does not end in .html; gmemgpu plot makes SVG, PNG and PDF"))
    choice = Choice(
        directory=arguments.directory,
        group_by=arguments.group_by,
        policies=arguments.policy,
        baseline=arguments.baseline,
        cost=arguments.cost,
        worth=parse_worth(arguments.worth),
    )
    write_report(choice, output, None if arguments.map is None else _region_map(*arguments.map))
    tell(f"gmemgpu: {output} written")
    return 0


def _region_map(path: str, name: str) -> tuple[str, RegionMap]:
    from gmemgpu.api import read_trace
    from gmemgpu.catalogue import choose_policies, named_policies
    from gmemgpu.explain.prepared import Prepared
    from gmemgpu.explain.region_map import region_map
    from gmemgpu.explain.replay import record_run
    from gmemgpu.model.cost import Costs

    (policy,) = choose_policies([name], named_policies(), where="--map")
    record = record_run(Prepared(read_trace(path)), policy, Costs())
    return f"{Path(path).name} under {name}", region_map(record, _MAP_ROWS, _MAP_COLUMNS)


def _print_answer(arguments: argparse.Namespace) -> int:
    from gmemgpu.decision.decision import decide
    from gmemgpu.decision.letter import QUANTITIES, mail_lines, markdown_lines
    from gmemgpu.report.comparison import compare

    decision = decide(
        arguments.directory,
        group_by=arguments.group_by,
        policies=arguments.policy,
        baseline=arguments.baseline,
        cost=arguments.cost,
        **parse_worth(arguments.worth),
    )
    table = compare(
        arguments.directory,
        baseline=decision.baseline,
        group_by=arguments.group_by,
        policies=[name for name in arguments.policy if name != decision.baseline],
        quantities=QUANTITIES if any(group.weighed.bound for group in decision.groups) else QUANTITIES[1:],
    )
    lines = mail_lines if arguments.mail else markdown_lines
    sys.stdout.writelines(f"{line}\n" for line in lines(decision, table, _command(arguments, decision)))
    return 0


def _command(arguments: argparse.Namespace, decision: Decision) -> str:
    words = ["--mail" if arguments.mail else "--markdown"]
    for option, value in (
        ("--group-by", arguments.group_by),
        ("--policy", arguments.policy),
        ("--baseline", arguments.baseline),
        ("--cost", None if arguments.cost == "core_s" else arguments.cost),
        ("--worth", arguments.worth),
    ):
        if value:
            words += [option, *([value] if isinstance(value, str) else value)]
    return f"{decision.provenance.command} && gmemgpu report DIR {shlex.join(words)}"
