"""``gmemgpu completion``: what a shell has to read to complete commands and options."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

from gmemgpu.errors import GmemgpuError

__all__ = ["add_arguments", "run", "whole_parser"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``gmemgpu completion``."""
    parser.add_argument(
        "shell", choices=("bash", "zsh", "tcsh"), help='for bash: eval "$(gmemgpu completion bash)" in ~/.bashrc'
    )


def whole_parser() -> argparse.ArgumentParser:
    """
    Build one parser of all commands; each run of the program makes only that of its own.

    Returns
    -------
    argparse.ArgumentParser
        With a sub-parser for each command.
    """
    from gmemgpu.cli.main import COMMANDS

    parser = argparse.ArgumentParser(prog="gmemgpu")
    commands = parser.add_subparsers()
    for name, text in COMMANDS.items():
        import_module(f"gmemgpu.cli.{name}").add_arguments(commands.add_parser(name, help=text))
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Print the script; 0 if it can be made."""
    try:
        import shtab
    except ModuleNotFoundError:
        raise GmemgpuError('completion needs shtab; run: pip install "gmemgpu[completion]"') from None
    sys.stdout.write(shtab.complete(whole_parser(), arguments.shell).rstrip() + "\n")
    return 0
