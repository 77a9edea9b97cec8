"""``gmemgpu help``: the pages of the documentation, on a terminal."""

from __future__ import annotations

import argparse
import sys
from typing import ClassVar

from gmemgpu.errors import InputError, Problem

__all__ = ["TOPICS", "add_arguments", "page_text", "run"]

TOPICS = {
    "quickstart": "from nothing to a decision table, and what its columns and rows say",
    "specs": "sweep specifications: every key with type, default and unit",
    "vm-tables": "replay VM arrivals of your own or of public data sets",
    "traces": "the trace format: make, check, scan and evaluate traces",
    "explain": "look into one run: what each pass found, and what a policy missed",
    "host": "what a real host shows: scans of its RMP, traces of its kernel",
    "policies": "the named policies, and how to write one",
    "decide": "which policy to take, for every worth of a set bit",
    "figures": "reports and figures: one page, SVG, PNG, PDF",
    "metrics": "every figure of the results, with unit and meaning",
    "python": "the same from Python and in notebooks",
    "sweeps-and-clusters": "run sweeps: resume, job arrays, schedulers, batch systems",
    "gpus": "the CuPy engine: what it needs, when it pays",
    "model": "what is computed, exactly: traces, policies, passes, metrics",
    "engines": "how the engines compute it, and how they are held to agree",
    "contributing": "set up, the rooms of the package, how to add things",
}
"""Topic to one line. Its page is ``gmemgpu/docs/<topic>.md``."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``gmemgpu help``."""
    parser.add_argument("topic", metavar="TOPIC", nargs="?", help="one of the list; without it the list is printed")


def page_text(topic: str) -> str:
    """
    Return a page as it reads on a terminal.

    Parameters
    ----------
    topic : str
        One of `TOPICS`.

    Returns
    -------
    str
        Markdown, without the comments that mark generated parts.
    """
    from importlib import resources

    text = (resources.files("gmemgpu") / "docs" / f"{topic}.md").read_text(encoding="utf-8")
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("<!--"))


def run(arguments: argparse.Namespace) -> int:
    """Print the topics, or one page; 0 if there is such a page."""
    from gmemgpu.cli.main import COMMANDS, main
    from gmemgpu.toml_file import unknown_key

    topic = arguments.topic
    if topic is None:
        width = max(map(len, TOPICS))
        print("\n".join(f"{name:<{width}}  {line}" for name, line in TOPICS.items()))
    elif topic in TOPICS:
        _print_page(page_text(topic))
    elif topic in COMMANDS:
        return main([topic, "--help"])
    else:
        raise InputError([Problem(f"help {topic}", unknown_key(topic, [*TOPICS, *COMMANDS], "topic"))])
    return 0


def _print_page(text: str) -> None:
    if not sys.stdout.isatty():
        print(text, end="")
        return
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.markdown import Markdown, MarkdownElement, TableElement
    from rich.table import Table

    class FoldedTable(TableElement):
        # Folded, never cut: what a narrow terminal replaced by "…" could not be read at all.
        def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
            for table in super().__rich_console__(console, options):
                if isinstance(table, Table):
                    for column in table.columns:
                        column.overflow = "fold"
                yield table

    class Page(Markdown):
        elements: ClassVar[dict[str, type[MarkdownElement]]] = {**Markdown.elements, "table_open": FoldedTable}

    # Without hyperlinks a link shows the page's name, which is what `gmemgpu help` takes.
    Console().print(Page(text, hyperlinks=False))
