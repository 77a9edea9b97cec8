"""
The CuPy engine on one GPU, beside the best CPU engine (numba, if installed) on all cores of the same machine; every
answer is compared before a figure.

In one run, timed by CUDA events after a warm-up, on inputs larger than the L2 cache: device copies; `rmp_scan` as a
share of their bandwidth; images of a trace's RMP, made and scanned; batches of 30 policies on 1,000 small and on some
large traces, end to end and kernel by kernel, with the memory predicted and held; from which batch on the GPU beats all
cores; whole sweeps, files included.

Meant to take ten minutes at most. Of --quick all but the last two parts took 38 s beside an H200, after CuPy's and
Numba's code was compiled, which is a minute more; those two have not been timed. With
--save the record is written after each part, so that a run that is cut off leaves what it had; its key "parts" names
those that are whole. Parts of an earlier run on the same day, machine and commit stay.

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
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if not __package__:
    # Called as a script: Python looks in this folder alone.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.gpu_batches import Case, batch_figures, image_figures, sweep_figures, thirty_policies
from bench.gpu_kernels import copy_bandwidth, launched_kernels, rmp_scan_rates, transfer_and_scan
from bench.hardware import hardware_line
from gmemgpu.atomic import written_whole
from gmemgpu.engine.kernel_runs import source_hash
from gmemgpu.engine.registry import cpu_engine_name, why_missing

PARTS = ("copy", "rmp_scan", "images", "batches", "crossover", "sweep")
RESULTS = Path(__file__).parent / "results"
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    device_bytes: int
    host_bytes: int
    repeats: int
    batch_repeats: int
    batch_s: float
    """Repeats of a case end after so long."""
    images: Case
    image_times: int
    cases: tuple[Case, ...]
    crossover: str
    sweep: dict[str, Any]
    cpu_engine: str | None = None
    """The best that can run here if left out."""
    sweep_backends: tuple[tuple[str, int | None], ...] | None = None
    """Each with its workers; the CPU engine and cupy, as they start by themselves, if left out."""


FULL = Size(
    device_bytes=4 * GIB,
    host_bytes=2 * GIB,
    repeats=30,
    batch_repeats=5,
    batch_s=20.0,
    images=Case("iaas-mixed", False, 1),
    image_times=168,
    cases=(Case("mixed-pods", True, 1000), Case("iaas-mixed", False, 64), Case("mixed-pods", False, 16)),
    crossover="FULL",
    sweep={"seeds": 128, "workload": {"preset": "iaas-mixed", "horizon_ns": "2 d"}},
)
QUICK = Size(
    device_bytes=2 * GIB,
    host_bytes=GIB // 2,
    repeats=10,
    batch_repeats=3,
    batch_s=5.0,
    images=Case("iaas-mixed", False, 1),
    image_times=168,
    cases=(Case("mixed-pods", True, 1000), Case("iaas-mixed", False, 32), Case("coco-pods", False, 16)),
    crossover="QUICK",
    sweep={"seeds": 32, "workload": {"preset": "iaas-mixed", "horizon_ns": "2 d"}},
)

_Keep = Callable[[], None]
"""Called when something more is there."""


def _copy(size: Size, figures: dict[str, Any], keep: _Keep) -> None:
    figures["copy"] = copy_bandwidth(size.device_bytes, size.repeats)


def _rmp_scan(size: Size, figures: dict[str, Any], keep: _Keep) -> None:
    if "copy" not in figures:
        _copy(size, figures, keep)
    figures["rmp_scan"] = rmp_scan_rates(size.device_bytes, size.repeats, figures["copy"]["GB_per_s"])
    figures["rmp_scan"]["host_memory"] = transfer_and_scan(size.host_bytes, size.batch_repeats)


def _images(size: Size, figures: dict[str, Any], keep: _Keep) -> None:
    figures["images"] = image_figures(size.images, size.image_times, size.batch_repeats)


def _batches(size: Size, figures: dict[str, Any], keep: _Keep) -> None:
    figures["batches"] = {}
    on_cpu = size.cpu_engine or cpu_engine_name()
    for case in size.cases:
        print(f"  {case.name}", file=sys.stderr)
        figures["batches"][case.name] = batch_figures(
            case, thirty_policies(), size.batch_repeats, cpu_engine=on_cpu, at_most_s=size.batch_s
        )
        keep()


def _crossover(size: Size, figures: dict[str, Any], keep: _Keep) -> None:
    from gmemgpu.measuring import rates

    found = rates.measure_rates(getattr(rates, size.crossover), lambda what: None)
    figures["crossover"] = {
        "cpu_engine": found.cpu_engine,
        "pairs": {
            kind: rates.crossover_pairs(found.rates, kind) for kind in dict.fromkeys(rate.kind for rate in found.rates)
        },
        "rates": [
            [rate.kind, rate.n_traces, rate.n_pairs, round(rate.cpu_per_s, 1), round(rate.cupy_per_s or 0, 1)]
            for rate in found.rates
        ],
    }


def _sweep(size: Size, figures: dict[str, Any], keep: _Keep) -> None:
    own = ((size.cpu_engine or cpu_engine_name(), None), ("cupy", None))
    figures["sweep"] = sweep_figures(size.sweep, size.sweep_backends or own)


_MEASURE: dict[str, Callable[[Size, dict[str, Any], _Keep], None]] = {
    "copy": _copy,
    "rmp_scan": _rmp_scan,
    "images": _images,
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


def measure(record: dict[str, Any], size: Size, parts: tuple[str, ...], keep: _Keep) -> None:
    """Measure parts into a record, and have it kept after each."""
    with launched_kernels() as launched:

        def keep_all() -> None:
            record["kernels"] |= {name: source_hash(name) for name in sorted(launched)}
            keep()

        for part in parts:
            print(part, file=sys.stderr)
            record["parts"].pop(part, None)
            begin = time.perf_counter()
            _MEASURE[part](size, record["figures"], keep_all)
            record["parts"][part] = {"command": record["command"], "seconds": round(time.perf_counter() - begin, 1)}
            keep_all()


def _earlier(path: Path, hardware: dict[str, Any]) -> dict[str, Any]:
    # What was measured on the same day, machine and commit.
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if found.get("hardware") == hardware and "parts" in found else {}


def lines_of(value: Any, path: str = "") -> list[tuple[str, str]]:
    """Flatten figures to lines of a table."""
    if isinstance(value, dict):
        return [line for key, inner in value.items() for line in lines_of(inner, f"{path} / {key}" if path else key)]
    if isinstance(value, list) and value and isinstance(value[0], list):
        return [(path, "  ".join(map(str, inner))) for inner in value]
    return [(path, f"{value:,}" if isinstance(value, int | float) else str(value))]


def main(argv: list[str] | None = None, sizes: tuple[Size, Size] = (FULL, QUICK)) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer traces and repeats")
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
    hardware = gpu_hardware()
    if arguments.commit:
        hardware["commit"] = arguments.commit
    options = [f"--only {' '.join(parts)}"] if parts != PARTS else []
    command = " ".join(["python bench/gpu.py", *(["--quick"] if arguments.quick else []), *options])
    slug = re.sub(r"[^a-z0-9]+", "-", hardware["gpu"].lower()).strip("-")
    path = arguments.save / f"gpu-{slug}.json" if arguments.save and not hardware["emulated"] else None
    record = {"benchmark": "gpu", "command": command, "hardware": hardware, "kernels": {}, "parts": {}, "figures": {}}
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        record |= {key: value for key, value in _earlier(path, hardware).items() if key != "command"}

    def keep() -> None:
        if path is not None:
            with written_whole(path) as file:
                file.write(f"{json.dumps(record, indent=1, ensure_ascii=False)}\n".encode())

    measure(record, sizes[arguments.quick], parts, keep)
    if arguments.json:
        print(json.dumps(record, indent=1, ensure_ascii=False))
    else:
        print(", ".join(f"{key} {value}" for key, value in hardware.items()))
        lines = lines_of({**record["figures"], "seconds": {k: part["seconds"] for k, part in record["parts"].items()}})
        width = max(len(name) for name, _ in lines)
        print("\n".join(f"{name:<{width}}  {value}" for name, value in lines))
    if arguments.save and path is None:
        print("bench/gpu.py: nothing is kept: this was an emulation", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
