"""
The CuPy engine on one GPU, beside numpy on all cores of the same machine; every answer is compared before a figure.

In one run, timed by CUDA events after a warm-up, on inputs larger than the L2 cache: device copies; `rmp_scan` as a
share of their bandwidth; batches of 30 policies on 1,000 small and on some large traces, end to end and kernel by
kernel, with the memory predicted and held; from which batch on the GPU beats all cores; whole sweeps, files included.

    python bench/gpu.py [--quick] [--json] [--save [FOLDER]] [--only PART ...]        (or: python -m bench.gpu)

Needs cupy, numpy, pydantic (traces) and, for the part `sweep`, dask[distributed] and pyarrow. What is missing is named,
and left out with `--only`. On a machine without the network, bring wheels:
`pip download -d wheels --only-binary=:all: pydantic 'dask[distributed]' pyarrow rich`, and there
`pip install --no-index --find-links wheels pydantic 'dask[distributed]' pyarrow rich`.
`python -m bench.gpu_runs` then tells the package which kernels ran.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if not __package__:
    # Called as a script: Python looks in this folder alone.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.gpu_batches import Case, batch_figures, sweep_figures, thirty_policies
from bench.gpu_kernels import copy_bandwidth, rmp_scan_rates, transfer_and_scan, watched_launches
from bench.hardware import hardware_line
from gmemgpu.engine.crossover import core_count
from gmemgpu.engine.kernel_runs import source_hash
from gmemgpu.engine.registry import why_missing

PARTS = ("copy", "rmp_scan", "batches", "crossover", "sweep")
RESULTS = Path(__file__).parent / "results"
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    device_bytes: int
    host_bytes: int
    repeats: int
    batch_repeats: int
    cases: tuple[Case, ...]
    crossover: str
    sweep: dict[str, Any]
    # One worker a GPU makes all traces on one core; as many as there are cores share the GPU.
    sweep_backends: tuple[tuple[str, int | None], ...] = (("numpy", None), ("cupy", None), ("cupy", core_count()))


FULL = Size(
    device_bytes=4 * GIB,
    host_bytes=2 * GIB,
    repeats=30,
    batch_repeats=5,
    cases=(Case("mixed-pods", True, 1000), Case("iaas-mixed", False, 64), Case("mixed-pods", False, 16)),
    crossover="FULL",
    sweep={"seeds": 128, "workload": {"preset": "iaas-mixed", "horizon_ns": "2 d"}},
)
QUICK = Size(
    device_bytes=4 * GIB,
    host_bytes=GIB,
    repeats=10,
    batch_repeats=2,
    cases=(Case("mixed-pods", True, 1000), Case("iaas-mixed", False, 16)),
    crossover="QUICK",
    sweep={"seeds": 32, "workload": {"preset": "iaas-mixed", "horizon_ns": "2 d"}},
)


def _copy(size: Size, figures: dict[str, Any]) -> None:
    figures["copy"] = copy_bandwidth(size.device_bytes, size.repeats)


def _rmp_scan(size: Size, figures: dict[str, Any]) -> None:
    if "copy" not in figures:
        _copy(size, figures)
    figures["rmp_scan"] = rmp_scan_rates(size.device_bytes, size.repeats, figures["copy"]["GB_per_s"])
    figures["rmp_scan"]["host_memory"] = transfer_and_scan(size.host_bytes, size.batch_repeats)


def _batches(size: Size, figures: dict[str, Any]) -> None:
    figures["batches"] = {}
    for case in size.cases:
        print(f"  {case.name}", file=sys.stderr)
        figures["batches"][case.name] = batch_figures(case, thirty_policies(), size.batch_repeats)


def _crossover(size: Size, figures: dict[str, Any]) -> None:
    from gmemgpu.measuring import rates

    found = rates.measure_rates(getattr(rates, size.crossover), lambda what: None).rates
    figures["crossover"] = {
        "pairs": {kind: rates.crossover_pairs(found, kind) for kind in dict.fromkeys(rate.kind for rate in found)},
        "rates": [
            [rate.kind, rate.n_traces, rate.n_pairs, round(rate.cpu_per_s, 1), round(rate.cupy_per_s or 0, 1)]
            for rate in found
        ],
    }


def _sweep(size: Size, figures: dict[str, Any]) -> None:
    figures["sweep"] = sweep_figures(size.sweep, size.sweep_backends)


_MEASURE: dict[str, Callable[[Size, dict[str, Any]], None]] = {
    "copy": _copy,
    "rmp_scan": _rmp_scan,
    "batches": _batches,
    "crossover": _crossover,
    "sweep": _sweep,
}


def gpu_hardware() -> dict[str, Any]:
    """Describe the machine, its GPU, driver and CUDA with it."""
    import cupy

    from gmemgpu.engine.cupy.device import cuda_versions, devices, driver_version

    (gpu, *_) = devices()
    return {
        **hardware_line(),
        "gpu": gpu.name,
        "gpu_memory_gib": round(gpu.memory_bytes / GIB, 1),
        "multiprocessors": gpu.multiprocessors,
        "driver": driver_version(),
        **cuda_versions(),
        "cupy": cupy.__version__,
        "emulated": hasattr(cupy, "is_emulated"),
    }


def measure(size: Size, parts: tuple[str, ...]) -> dict[str, Any]:
    """Measure, and give the whole record."""
    figures: dict[str, Any] = {}
    hardware = gpu_hardware()
    with watched_launches() as launches:
        for part in parts:
            print(part, file=sys.stderr)
            _MEASURE[part](size, figures)
        ran = sorted(launches.seconds())
    return {"hardware": hardware, "kernels": {name: source_hash(name) for name in ran}, "figures": figures}


def lines_of(value: Any, path: str = "") -> list[tuple[str, str]]:
    """Flatten figures to lines of a table."""
    if isinstance(value, dict):
        return [line for key, inner in value.items() for line in lines_of(inner, f"{path} / {key}" if path else key)]
    if isinstance(value, list) and value and isinstance(value[0], list):
        return [(path, "  ".join(map(str, inner))) for inner in value]
    return [(path, f"{value:,}" if isinstance(value, int | float) else str(value))]


def main(argv: list[str] | None = None, sizes: tuple[Size, Size] = (FULL, QUICK)) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer traces and repeats; minutes rather than many")
    parser.add_argument("--json", action="store_true", help="write JSON in place of a table")
    parser.add_argument(
        "--save", nargs="?", const=RESULTS, type=Path, metavar="FOLDER", help="keep it in bench/results"
    )
    parser.add_argument("--only", nargs="+", default=PARTS, choices=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--commit", help="what is measured, where there is no git repository")
    arguments = parser.parse_args(argv)
    missing = why_missing("cupy")
    if missing is not None:
        print(f"bench/gpu.py: {missing}", file=sys.stderr)
        return 1
    parts = tuple(part for part in PARTS if part in arguments.only)
    found = measure(sizes[arguments.quick], parts)
    if arguments.commit:
        found["hardware"]["commit"] = arguments.commit
    options = [f"--only {' '.join(parts)}"] if parts != PARTS else []
    command = " ".join(["python bench/gpu.py", *(["--quick"] if arguments.quick else []), *options])
    found = {"benchmark": "gpu", "command": command, **found}
    text = json.dumps(found, indent=1, ensure_ascii=False)
    if arguments.json:
        print(text)
    else:
        print(", ".join(f"{key} {value}" for key, value in found["hardware"].items()))
        lines = lines_of(found["figures"])
        width = max(len(name) for name, _ in lines)
        print("\n".join(f"{name:<{width}}  {value}" for name, value in lines))
    if arguments.save:
        if found["hardware"]["emulated"]:
            print("bench/gpu.py: nothing is kept: this was an emulation", file=sys.stderr)
            return 1
        arguments.save.mkdir(parents=True, exist_ok=True)
        slug = re.sub(r"[^a-z0-9]+", "-", found["hardware"]["gpu"].lower()).strip("-")
        (arguments.save / f"gpu-{slug}.json").write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
