"""``gmemgpu calibrate``: the costs of RMPOPT, fitted to measured passes."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

from gmemgpu.cli.message import tell
from gmemgpu.errors import Problem, SpecError, StoreError

if TYPE_CHECKING:
    from gmemgpu.calibration.fit import Calibration, FittedCost

__all__ = ["add_arguments", "run"]

_TIMES = {"wall": "wall", "leader_busy": "leader", "follower_busy": "followers"}
_IDENTIFIED = {"alone": "yes", "together": "only in a sum", "at bound": "at its bound", "not measured": "no: default"}
_SOURCES = {
    "alone": "fitted",
    "together": "not identified: passes tell only a sum of it and others, in which it is nearest the default",
    "at bound": "fitted, at the end of what a cost may be",
    "not measured": "not identified: the package's default",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``gmemgpu calibrate``."""
    parser.add_argument(
        "file", metavar="FILE", nargs="?", help="TOML with [[pass]] tables (default: the passes that were published)"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="write a costs file, for --costs and costs of a spec")
    parser.add_argument("--json", action="store_true", help="write JSON")


def run(arguments: argparse.Namespace) -> int:
    """Read measured passes, print the costs that fit them and write these; 0 if the file could be read."""
    from gmemgpu.calibration.fit import fit_costs
    from gmemgpu.calibration.measurement import published_passes, read_passes

    output = Path(arguments.output) if arguments.output is not None else None
    given = Path(arguments.file) if arguments.file is not None else None
    if output is not None and given is not None and output.exists() and given.exists() and output.samefile(given):
        raise SpecError(Problem("--output", f"{output} is the file that is read; give the costs another name"))
    found = fit_costs(published_passes() if given is None else read_passes(given))
    name = "published passes" if given is None else str(given)
    if arguments.json:
        print(json.dumps({"measurements": name, **asdict(found)}, indent=1))
    else:
        _print(found)
    if output is not None:
        _write(_costs_file(found, name), output)
        tell(f"{output}: {len(found.costs)} costs")
    return 0


def _print(found: Calibration) -> None:
    from gmemgpu.cli.terminal import print_table
    from gmemgpu.explain.duration import span_text

    lines = [
        (cost.name, f"{cost.fitted_ns:,}", _interval(cost), f"{cost.default_ns:,}", _IDENTIFIED[cost.known])
        for cost in found.costs
    ]
    print_table(["cost, ns", "fitted", "95 %", "default", "identified"], lines, right=[1, 2, 3])
    if found.freedom:
        print(f"\nintervals are of the runs beyond those that the fit needs, of which there are {found.freedom:,}")
    else:
        print("\nno intervals, for the fit needs every run: measure passes again, or others")
    if found.together:
        print("costs of which the passes tell only sums, as near the default as these allow:")
        for group in found.together:
            print(fill(", ".join(group), 80, initial_indent="  ", subsequent_indent="  "))
    absent = [cost.name for cost in found.costs if cost.known == "not measured"]
    if absent:
        print("costs on which no measured time depends, and which keep the default:")
        print(fill(", ".join(absent), 80, initial_indent="  ", subsequent_indent="  "))
    print("\nthe passes, and by how much the model is longer, with fitted and default costs:")
    times = [
        (
            time.name,
            _TIMES[time.time],
            f"{time.runs:,}",
            span_text(time.measured_ns),
            f"{time.fitted_ns / time.measured_ns - 1:+.1%}",
            f"{time.default_ns / time.measured_ns - 1:+.1%}",
        )
        for time in found.times
    ]
    print_table(["pass", "time", "runs", "measured", "fitted", "default"], times, right=[2, 3, 4, 5])


def _interval(cost: FittedCost) -> str:
    return "" if cost.low_ns is None else f"{cost.low_ns:,} to {cost.high_ns:,}"


def _costs_file(found: Calibration, name: str) -> str:
    from gmemgpu import __version__

    lines = [f"# Fitted by gmemgpu {__version__} calibrate to {name!r}."]
    for cost in found.costs:
        interval = f", 95 %: {_interval(cost)}" if cost.low_ns is not None else ""
        lines.append(f'{cost.name} = {{ ns = {cost.fitted_ns}, source = "{_SOURCES[cost.known]}{interval}" }}')
    return "\n".join(lines) + "\n"


def _write(text: str, path: Path) -> None:
    from gmemgpu.atomic import is_wrong_path, written_output

    try:
        with written_output(path) as file:
            file.write(text.encode(errors="backslashreplace"))
    except OSError as error:
        reason = f"cannot be written: {error.strerror or error}"
        if is_wrong_path(error):
            raise SpecError(Problem("--output", f"{path} {reason}; choose a folder that you may write to")) from None
        raise StoreError(f"{path}: {reason}; make room there or choose another folder") from None
