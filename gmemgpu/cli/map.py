"""``gmemgpu map``: regions × time under a policy, drawn with characters, or as a picture."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gmemgpu.cli.recorded_run import add_run_arguments, chosen_regions, chosen_time, heading, print_lines, recorded_runs
from gmemgpu.errors import Problem, SpecError

if TYPE_CHECKING:
    from gmemgpu.explain.record import RunRecord

__all__ = ["add_arguments", "run"]

_WITHOUT_TERMINAL = (80, 40)
_MOST_COLUMNS, _MOST_ROWS = 400, 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``gmemgpu map``."""
    add_run_arguments(parser)
    parser.add_argument("--region", metavar="A-B", help="only these regions, as in 0-63 (default: all)")
    parser.add_argument("--from", dest="begin", metavar="TIME", help='from when on, as in "10 s" (default: the start)')
    parser.add_argument("--until", metavar="TIME", help="until when (default: the horizon)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--ascii", action="store_true", help="draw with ASCII characters only")
    form.add_argument(
        "-o", "--output", "--png", metavar="FILE", help="draw a picture: FILE ends in .svg, .png, .pdf or .html"
    )


def run(arguments: argparse.Namespace) -> int:
    """Draw; 0 if that went well."""
    if arguments.output is not None:
        # Before a long run: the name of a file, and what draws.
        from gmemgpu.figures.write import check_form, renderer

        check_form(arguments.output)
        renderer()
    (record,) = recorded_runs(arguments, 1)
    horizon_ns = record.prepared.horizon_ns
    begin_ns = chosen_time("--from", arguments.begin, horizon_ns, 0)
    end_ns = chosen_time("--until", arguments.until, horizon_ns, horizon_ns)
    if begin_ns >= end_ns:
        raise SpecError(Problem("--until", "is not after --from; give a later time, or an earlier --from"))
    regions = chosen_regions(arguments.region, record)
    if arguments.output is not None:
        return _write_picture(arguments, record, regions, (begin_ns, end_ns))
    from gmemgpu.explain.map_text import ASCII_MARKS, BLOCK_MARKS, LABEL_WIDTH, N_LINES_AROUND, map_lines
    from gmemgpu.explain.region_map import region_map

    columns, lines = shutil.get_terminal_size(_WITHOUT_TERMINAL)
    title = heading(arguments.trace, record)
    found = region_map(
        record,
        min(max(lines - len(title) - N_LINES_AROUND, 4), _MOST_ROWS),
        min(max(columns - LABEL_WIDTH, 10), _MOST_COLUMNS),
        regions=regions,
        times_ns=(begin_ns, end_ns),
    )
    marks = ASCII_MARKS if arguments.ascii or not _can_show("".join(BLOCK_MARKS)) else BLOCK_MARKS
    print_lines([*title, *map_lines(found, marks)])
    return 0


def _write_picture(
    arguments: argparse.Namespace, record: RunRecord, regions: tuple[int, int], times_ns: tuple[int, int]
) -> int:
    from gmemgpu.explain.region_map import region_map
    from gmemgpu.figures.time_map import MOST_COLUMNS, MOST_ROWS, time_map
    from gmemgpu.figures.write import write_figure

    found = region_map(record, MOST_ROWS, MOST_COLUMNS, regions=regions, times_ns=times_ns)
    title = f"{Path(arguments.trace).name} under {record.policy.name}"
    write_figure(time_map(found, title=title), arguments.output)
    return 0


def _can_show(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
