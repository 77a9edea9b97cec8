"""
Time from a workload to a trace, on one core: a day of 127,000 pods of 2 GiB on a 512 GiB host, all of them SNP guests.

Held fixed: the seed, hence every integer; each figure is the median of the repeats, input and output in memory.

    taskset -c 0 python -m bench.generate [--repeats N] [--save]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from bench.hardware import record
from gmemgpu.generator import generate
from gmemgpu.workload.draw import draw_vm_table
from gmemgpu.workload.preset import preset, workload_from_mapping

SEED = 7
PODS_PER_DAY = 127_000


def _median_s(work: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--save", action="store_true", help="keep the figures in bench/results")
    arguments = parser.parse_args()
    day = workload_from_mapping(
        {
            "preset": "mixed-pods",
            "stock": {"vms": 0},
            "snp": {"share": 1.0},
            "arrivals": {"vms_per_s": PODS_PER_DAY / 86_400},
            "sizes": {"snp": "pod_1_2"},
        },
        "",
        Path(),
    )
    figures: dict[str, object] = {"repeats": arguments.repeats}
    for name, workload in (("day_of_snp_pods", day), ("mixed-pods", preset("mixed-pods"))):
        # What is timed is checked: the same integers again, and nothing refused.
        vms, made = draw_vm_table(workload, SEED), generate(workload, SEED)
        assert draw_vm_table(workload, SEED).departure_ns.tolist() == vms.departure_ns.tolist()
        assert made.admitted == len(vms)
        figures[name] = {
            "vms": len(vms),
            "events": len(made.trace),
            "draw_vm_table_s": round(_median_s(lambda w=workload: draw_vm_table(w, SEED), arguments.repeats), 4),
            "generate_s": round(_median_s(lambda w=workload: generate(w, SEED), arguments.repeats), 3),
        }
    record("generate", "taskset -c 0 python -m bench.generate", figures, save=arguments.save)


if __name__ == "__main__":
    main()
