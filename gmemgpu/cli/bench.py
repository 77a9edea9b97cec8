"""``gmemgpu bench``: how fast the engines are here, and from how many evaluations on `auto` takes the GPU."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gmemgpu.cli.message import tell

if TYPE_CHECKING:
    from gmemgpu.measuring.rates import Rates

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``gmemgpu bench``."""
    parser.add_argument("--quick", action="store_true", help="seconds, not minutes: all policies together, no kinds")
    parser.add_argument("--json", action="store_true", help="write JSON")


def run(arguments: argparse.Namespace) -> int:
    """Measure, print, and store what `auto` goes by; 0 if that went well."""
    from gmemgpu.engine.crossover import gpu_key, read_crossovers
    from gmemgpu.measuring.machine import describe_machine
    from gmemgpu.measuring.rates import FULL, QUICK, crossover_pairs, measure_rates, save_crossover

    with _progress() as report:
        rates = measure_rates(QUICK if arguments.quick else FULL, report)
    machine = {**describe_machine(), "gpu": gpu_key() if rates.missing is None else None}
    n_pairs = crossover_pairs(rates.rates)
    if arguments.json:
        print(json.dumps(_json(machine, rates, n_pairs), indent=1, ensure_ascii=False), flush=True)
    else:
        _print(machine, rates, n_pairs)
    if rates.missing is None:
        problem = read_crossovers().problem
        if problem is not None:
            tell(f"gmemgpu: warning: {problem}; it is replaced")
        path = save_crossover(machine["gpu"], n_pairs)
        if not arguments.json:
            print(f"`--backend auto` goes by this: {path}")
    return 0


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    if not sys.stderr.isatty():
        yield lambda what: None
        return
    from rich.console import Console

    with Console(stderr=True).status("starting") as status:
        yield lambda what: status.update(what)


def _json(machine: dict[str, Any], rates: Rates, n_pairs: int | None) -> dict[str, Any]:
    return {
        "machine": machine,
        "gpu_missing": rates.missing,
        "cpu_engine": rates.cpu_engine,
        "rates": [
            {
                "policies": rate.kind,
                "n_policies": rate.n_policies,
                "n_traces": rate.n_traces,
                "n_pairs": rate.n_pairs,
                "cpu_per_s": round(rate.cpu_per_s, 1),
                "cupy_per_s": None if rate.cupy_per_s is None else round(rate.cupy_per_s, 1),
            }
            for rate in rates.rates
        ],
        "crossover_pairs": n_pairs,
    }


def _print(machine: dict[str, Any], rates: Rates, n_pairs: int | None) -> None:
    from gmemgpu.cli.terminal import print_table
    from gmemgpu.measuring.rates import crossover_pairs
    from gmemgpu.measuring.sample import PRESET

    gpu = machine["gpu"] or "no GPU"
    cores = f"{rates.cores} core{'s' if rates.cores > 1 else ''}"
    print(
        f"{machine['cpu']}, {cores}, {machine['memory_gib']} GiB; {gpu}; "
        f"Python {machine['python']}, NumPy {machine['numpy']}, gmemgpu {machine['gmemgpu']}"
    )
    print(f"evaluations per second; traces of the small {PRESET}; all integers compared\n")
    headings = ["policies", "traces", "evaluations", f"{rates.cpu_engine}, {cores}"]
    on_device = rates.missing is None
    lines = []
    for rate in rates.rates:
        line = [f"{rate.kind} ({rate.n_policies})", f"{rate.n_traces:,}", f"{rate.n_pairs:,}"]
        line.append(f"{rate.cpu_per_s:,.0f}/s")
        if rate.cupy_per_s is not None:
            line += [f"{rate.cupy_per_s:,.0f}/s", f"{rate.cupy_per_s / rate.cpu_per_s:.2f} ×"]
        lines.append(line)
    headings += ["cupy", f"cupy / {rates.cpu_engine}"] if on_device else []
    print_table(headings, lines, right=range(1, len(headings)))
    print()
    if not on_device:
        print(f"cupy: {rates.missing}")
        return
    for kind in dict.fromkeys(rate.kind for rate in rates.rates):
        found = crossover_pairs(rates.rates, kind)
        print(f"{kind}: " + (f"the GPU pays from {found:,} evaluations at once" if found else "the GPU never pays"))
