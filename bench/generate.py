"""
Time from a workload to a trace and on to its timelines, on one core, with and without compiled code (Numba).

Held fixed: the seed, hence every integer, and what is timed is checked: the same trace and the same timelines either
way. CPU time, the least of the repeats; input and output in memory; what is compiled is compiled before.

    taskset -c 0 python -m bench.generate [--repeats N] [--save]
"""

from __future__ import annotations

import argparse
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from bench.hardware import record
from gmemgpu.generator import generate
from gmemgpu.model.trace import COLUMNS
from gmemgpu.timeline.build import build_timeline
from gmemgpu.workload.draw import draw_vm_table
from gmemgpu.workload.preset import preset, workload_from_mapping
from gmemgpu.workload.spec import Workload

SEED = 7
PODS_PER_DAY = 127_000
PRESETS = ("mixed-pods", "coco-pods", "iaas-mixed", "rolling-autoscale", "last-big-VM")
TIMELINE_COLUMNS = ("offset", "t_ns", "assigned", "gmem", "evicting", "used", "first")
JOBS = Path(__file__).parent.parent / "jobs"

T = TypeVar("T")


def _workloads() -> dict[str, Workload]:
    # A day of pods of 2 GiB on a 512 GiB host, all of them SNP guests.
    day = {
        "preset": "mixed-pods",
        "stock": {"vms": 0},
        "snp": {"share": 1.0},
        "arrivals": {"vms_per_s": PODS_PER_DAY / 86_400},
        "sizes": {"snp": "pod_1_2"},
    }
    azure = tomllib.loads((JOBS / "azure-2017.toml").read_text(encoding="utf-8"))["workload"]
    azure["snp"]["share"] = azure["snp"]["share"][1]
    return {
        "day_of_snp_pods": workload_from_mapping(day, "", Path()),
        **{name: preset(name) for name in PRESETS},
        "azure-2017": workload_from_mapping(azure, "", JOBS),
    }


def _least_s(work: Callable[[], T], repeats: int) -> tuple[float, T]:
    times = []
    for _ in range(repeats):
        begin = time.process_time()
        result = work()
        times.append(time.process_time() - begin)
    return round(min(times), 4), result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--save", action="store_true", help="keep the figures in bench/results")
    arguments = parser.parse_args()
    repeats = arguments.repeats
    figures: dict[str, object] = {"repeats": repeats}
    for name, workload in _workloads().items():
        build_timeline(generate(workload, SEED, compiled=True).trace, compiled=True)
        row: dict[str, object] = {}
        row["draw_vm_table_s"], vms = _least_s(lambda w=workload: draw_vm_table(w, SEED), repeats)
        for compiled, how in ((False, "plain"), (True, "compiled")):
            row[f"generate_{how}_s"], made = _least_s(
                lambda w=workload, c=compiled: generate(w, SEED, compiled=c), repeats
            )
            trace = made.trace
            row[f"timeline_{how}_s"], line = _least_s(
                lambda t=trace, c=compiled: build_timeline(t, compiled=c), repeats
            )
            if not compiled:
                plain_trace, plain_line = trace, line
        assert all(np.array_equal(getattr(trace, name), getattr(plain_trace, name)) for name in COLUMNS)
        assert all(np.array_equal(getattr(line, name), getattr(plain_line, name)) for name in TIMELINE_COLUMNS)
        figures[name] = {"vms": len(vms), "rejected": made.rejected, "events": len(trace), **row}
    record("generate", "taskset -c 0 python -m bench.generate", figures, save=arguments.save)


if __name__ == "__main__":
    main()
