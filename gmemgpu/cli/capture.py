"""``gmemgpu capture``: the commands that take a trace on a real host."""

from __future__ import annotations

import argparse

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``gmemgpu capture``."""
    parser.add_argument(
        "--print",
        dest="tool",
        nargs="?",
        const="ftrace",
        required=True,
        choices=("ftrace", "bpftrace", "host"),
        metavar="TOOL",
        help="ftrace (shell commands; the default), bpftrace (a script), or host (commands that describe the host)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print what was asked for; nothing is run."""
    from gmemgpu.ftrace.capture import capture_commands

    print(capture_commands(arguments.tool), end="")
    return 0
