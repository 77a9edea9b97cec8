"""
The numpy engine on one core: timelines, every named policy, and memory; the reference checks a small case first.

Each case runs in a process of its own, so that peak memory is its own: a day of pods placed whole (12 events a pod,
1.5 million in all), the same with VMSA pages scattered over every region, a million such events on a host of 2 TiB, and
eight days of `iaas-mixed`, with and without run-time conversions.

    taskset -c 0 python -m bench.engine [--save] [CASE ...]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.hardware import record
from bench.pods import DAY_NS, HOST, day_of_pods
from gmemgpu.catalogue import named_policies
from gmemgpu.engine.array import evaluate_pairs
from gmemgpu.engine.array.batch import pair_of
from gmemgpu.engine.array.table import TraceTable
from gmemgpu.engine.prepared import Prepared
from gmemgpu.engine.verify import verify
from gmemgpu.generator import generate
from gmemgpu.lifecycle.life_cycle import trace_from_vms
from gmemgpu.model.cost import Costs
from gmemgpu.model.trace import Trace
from gmemgpu.units import TIB
from gmemgpu.workload.guest_memory import GuestMemory
from gmemgpu.workload.preset import preset, small_variant, workload_from_mapping

CASES = ("pods", "pods-scattered-vmsa", "pods-2-tib", "iaas-mixed", "iaas-mixed-no-conversions")
REPEATS = 5


def trace_of(case: str) -> Trace:
    if case.startswith("pods"):
        memory = GuestMemory(
            placement="first_fit",
            vmsa="scatter" if case.endswith("vmsa") else "packed",
            conversions_per_s=0,
            context_pages=0,
            granule_pages=1 << 19,
        )
        large = case == "pods-2-tib"
        host = dataclasses.replace(HOST, memory_bytes=2 * TIB, cores=256) if large else HOST
        pods = day_of_pods(83_000 if large else 127_000)
        return trace_from_vms(pods, host, memory, horizon_ns=DAY_NS, warmup_ns=0, seed=7).trace
    overrides: dict[str, Any] = {"preset": "iaas-mixed"}
    if case.endswith("no-conversions"):
        overrides["memory"] = {"conversions_per_s": 0}
    return generate(workload_from_mapping(overrides, case, Path()), 7).trace


def measure(case: str) -> dict[str, Any]:
    small = generate(small_variant(preset("mixed-pods")), 1).trace
    assert not verify(small, named_policies(), Costs()).differences, "the engines disagree"
    trace = trace_of(case)
    before = time.perf_counter()
    table = TraceTable(Prepared(trace))
    timelines_s = time.perf_counter() - before
    policies = [policy for policy in named_policies() if not policy.is_oracle]
    by_policy: dict[str, list[float]] = {policy.name: [] for policy in policies}
    together: list[float] = []
    for _ in range(1 if case.startswith("pods") else REPEATS):
        before = time.perf_counter()
        evaluate_pairs([pair_of(table, policy, Costs()) for policy in policies])
        together.append(time.perf_counter() - before)
        for policy in policies:
            before = time.perf_counter()
            evaluate_pairs([pair_of(table, policy, Costs())])
            by_policy[policy.name].append(time.perf_counter() - before)
    medians = {name: sorted(times)[len(times) // 2] for name, times in by_policy.items()}
    total_s = sorted(together)[len(together) // 2]
    return {
        "events": len(trace),
        "timelines_s": round(timelines_s, 2),
        "all_named_policies_s": round(total_s, 3),
        "policy_evaluations_per_s": round(len(policies) / total_s, 1),
        "slowest_policies_s": {name: round(medians[name], 3) for name in sorted(medians, key=medians.get)[-5:]},  # type: ignore[arg-type]
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=CASES, metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--save", action="store_true", help="write bench/results/engine.json")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.cases[0])))
        return
    figures = {}
    for case in arguments.cases:
        run = subprocess.run(
            [sys.executable, "-m", "bench.engine", "--one", case],
            stdout=subprocess.PIPE,
            check=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        figures[case] = json.loads(run.stdout)
        print(case, figures[case], file=sys.stderr)
    record("engine", "taskset -c 0 python -m bench.engine --save", figures, save=arguments.save)


if __name__ == "__main__":
    main()
