"""``gmemgpu plot``: a figure of a results directory as a file."""

from __future__ import annotations

import argparse

from gmemgpu.cli.message import tell
from gmemgpu.errors import Problem, SpecError

__all__ = ["add_arguments", "run"]

_OF_FIGURES = {
    "x": ("pareto",),
    "y": ("pareto",),
    "metric": ("forest", "heat"),
    "baseline": ("forest", "worth", "tornado"),
    "cost": ("worth", "tornado"),
    "worth": ("worth", "tornado"),
}
"""Option to the figures that it changes: others refuse it, for what they show is not what was asked for."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``gmemgpu plot``."""
    parser.add_argument("directory", metavar="DIR", help="results directory of a sweep; it may be unfinished")
    parser.add_argument(
        "-o", "--output", metavar="FILE", required=True, help="ends in .svg, .png, .pdf or .html, and becomes that"
    )
    parser.add_argument(
        "--figure",
        choices=("pareto", "forest", "heat", "worth", "tornado", "latency"),
        default="pareto",
        help="cost against gain (pareto, the default), differences to a baseline (forest), policies by groups (heat), "
        "what is best for which worth of a set bit, which axis decides (tornado), or waiting times (latency)",
    )
    parser.add_argument("--x", metavar="KEY", help="pareto: across (default: core_s)")
    parser.add_argument("--y", metavar="KEY", help="pareto: upwards (default: benefit)")
    parser.add_argument(
        "--metric",
        nargs="+",
        metavar="KEY",
        help="forest and heat: which figures, as in `gmemgpu help metrics` (default: benefit)",
    )
    parser.add_argument(
        "--baseline",
        metavar="POLICY",
        help="forest, worth, tornado: less this one (default: merged, else v10, else the first)",
    )
    parser.add_argument("--cost", metavar="KIND", help="worth, tornado: core_s (default), ipis, or longest_pass_ns")
    parser.add_argument(
        "--worth", metavar="W", help='worth, tornado: of a set bit, "0.1 %%" of CPU (default) or core-s per GiB·h'
    )
    parser.add_argument("--policy", nargs="+", default=[], metavar="NAME", help="draw only these, in this order")
    parser.add_argument(
        "--group-by", nargs="+", default=[], metavar="KEY", help="a chart for each value of: label, preset, or an axis"
    )
    parser.add_argument("--group", nargs="+", default=[], metavar="NAME", help="draw only these groups")
    parser.add_argument("--width", type=_width, default=620, metavar="PX", help="of a chart (default: 620)")


def _width(text: str) -> int:
    # Narrower ones have no room for names, wider ones no screen or page.
    if not text.isascii() or not text.isdecimal() or not 240 <= int(text) <= 4000:
        raise argparse.ArgumentTypeError(f'"{text}" is no width; write 240 to 4000 pixels')
    return int(text)


def _refuse_unused(arguments: argparse.Namespace) -> None:
    problems = [
        Problem(f"--{name}", f"changes nothing of {arguments.figure}, but of {' and '.join(figures)}; leave it out")
        for name, figures in _OF_FIGURES.items()
        if getattr(arguments, name) is not None and arguments.figure not in figures
    ]
    if problems:
        raise SpecError(problems)


def run(arguments: argparse.Namespace) -> int:
    """Write the figure; 0 if there is one."""
    from gmemgpu.cli.decide import parse_worth
    from gmemgpu.figures.catalogue import Choice, figure
    from gmemgpu.figures.write import check_form, renderer, write_figure

    check_form(arguments.output)
    _refuse_unused(arguments)
    renderer()
    drawn, notes = figure(
        arguments.figure,
        Choice(
            directory=arguments.directory,
            group_by=arguments.group_by,
            policies=arguments.policy,
            groups=arguments.group,
            x=arguments.x or "core_s",
            y=arguments.y or "benefit",
            metrics=arguments.metric or ["benefit"],
            baseline=arguments.baseline,
            cost=arguments.cost or "core_s",
            worth=parse_worth(arguments.worth),
            width=arguments.width,
        ),
    )
    write_figure(drawn, arguments.output)
    for note in notes:
        tell(f"gmemgpu: {note}")
    return 0
