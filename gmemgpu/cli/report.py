"""``gmemgpu report``: a results directory as one page that needs nothing else, or its answer as a text to cite."""

from __future__ import annotations

import argparse
import shlex
import sys

from gmemgpu.cli.decide import add_decision_arguments, parse_worth

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``gmemgpu report``."""
    add_decision_arguments(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("-o", "--output", metavar="FILE", help="the page (default: report.html, here)")
    form.add_argument("--mail", action="store_true", help="print the answer instead: ASCII of at most 72 columns")
    form.add_argument("--markdown", action="store_true", help="print the answer instead, in Markdown")


def run(arguments: argparse.Namespace) -> int:
    """Write the page or print the answer; 0 if there is one."""
    if arguments.mail or arguments.markdown:
        return _print_answer(arguments)
    from gmemgpu.figures.catalogue import Choice
    from gmemgpu.figures.report import write_report

    output = arguments.output or "report.html"
    choice = Choice(
        directory=arguments.directory,
        group_by=arguments.group_by,
        policies=arguments.policy,
        baseline=arguments.baseline,
        cost=arguments.cost,
        worth=parse_worth(arguments.worth),
    )
    write_report(choice, output)
    print(f"gmemgpu: {output} written", file=sys.stderr)
    return 0


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
    sys.stdout.writelines(f"{line}\n" for line in lines(decision, table, _command(arguments)))
    return 0


def _command(arguments: argparse.Namespace) -> str:
    # The results directory does not know which file its specification came from.
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
    return f"gmemgpu sweep SPEC -o DIR && gmemgpu report DIR {shlex.join(words)}"
