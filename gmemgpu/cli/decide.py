"""``gmemgpu decide``: which policy to take, for every worth of a set bit."""

from __future__ import annotations

import argparse
import sys

from gmemgpu.errors import Problem, SpecError

__all__ = ["add_arguments", "run", "add_decision_arguments", "parse_worth"]


def add_decision_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Declare the options that `gmemgpu decide` and `gmemgpu report` share.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Gets them.
    """
    parser.add_argument("directory", metavar="DIR", help="results directory of a sweep; it may be unfinished")
    parser.add_argument(
        "--group-by",
        nargs="+",
        default=[],
        metavar="KEY",
        help="one answer for each value of: label, preset, an axis",
    )
    parser.add_argument("--policy", nargs="+", default=[], metavar="NAME", help="choose among these only")
    parser.add_argument(
        "--baseline", metavar="POLICY", help="what they are held against (default: merged, else v10, else the first)"
    )
    parser.add_argument(
        "--cost",
        default="core_s",
        metavar="KIND",
        help="what a policy costs: core_s (default), ipis, or longest_pass_ns",
    )
    parser.add_argument(
        "--worth",
        metavar="W",
        help='what a set bit is worth, for the sentence: "0.1 %%" of CPU (default), or a number of core-s per GiB·h',
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``gmemgpu decide``."""
    add_decision_arguments(parser)
    parser.add_argument("--json", action="store_true", help="write JSON: every range, switch point and lead in full")


def parse_worth(text: str | None) -> dict[str, float]:
    """
    Parse what ``--worth`` says.

    Parameters
    ----------
    text : str or None
        A number, with a per cent sign after it or not.

    Returns
    -------
    dict
        ``worth`` or ``share``, as `gmemgpu.decision.decision.decide` takes them.

    Raises
    ------
    SpecError
        If it is no number.
    """
    if text is None:
        return {}
    number, percent, rest = text.partition("%")
    try:
        if rest.strip():
            raise ValueError
        figure = float(number)
    except ValueError:
        message = f'"{text}" is no worth; write "0.1 %" of CPU, or a number of core-seconds per GiB·h'
        raise SpecError(Problem("--worth", message)) from None
    return {"share": figure / 100} if percent else {"worth": figure}


def run(arguments: argparse.Namespace) -> int:
    """Print the decision; 0 if there is one."""
    from gmemgpu.decision.decision import decide

    decision = decide(
        arguments.directory,
        group_by=arguments.group_by,
        policies=arguments.policy,
        baseline=arguments.baseline,
        cost=arguments.cost,
        **parse_worth(arguments.worth),
    )
    if arguments.json:
        from gmemgpu.decision.export import decision_json

        sys.stdout.write(decision_json(decision) + "\n")
        return 0
    from gmemgpu.cli.terminal import is_ascii_only, text_width
    from gmemgpu.decision.text import decision_lines
    from gmemgpu.report.ascii import to_ascii

    # Longer lines of prose are hard to read.
    width = min(text_width() or 80, 100)
    plain = to_ascii if is_ascii_only() else str
    sys.stdout.writelines(f"{plain(line)}\n" for line in decision_lines(decision, width))
    return 0
