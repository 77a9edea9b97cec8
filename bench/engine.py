"""
The CPU engines on one core, side by side: every named policy on the same timeline, and two policies in SimPy.

Each case runs in a process of its own, so that peak memory is its own. Held fixed: the trace (a whole preset, seed 7;
of `azure-2017` the first scenario of its job), its timeline, made once, and the order: each policy on one engine, then
on the next. What Numba compiles, it has compiled before. Rows are compared before a figure is printed; the SimPy model
must count the same passes and attempts. For that comparison v3 and v10 pay for a timeline of their own, which a SimPy
model has no use for. It needs ``pip install simpy``; without it, that part is left out. Seconds are CPU time.

    taskset -c 0 python -m bench.engine [--save] [CASE ...]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

from bench.hardware import record
from gmemgpu.catalogue import named_policies
from gmemgpu.engine.array import evaluate_pairs
from gmemgpu.engine.array.batch import Pairs
from gmemgpu.engine.array.columns import host_columns
from gmemgpu.engine.array.tables import Tables
from gmemgpu.engine.compiled.columns import Columns
from gmemgpu.engine.compiled.policy_run import run_policy as run_compiled
from gmemgpu.engine.registry import engine
from gmemgpu.engine.verify import verify
from gmemgpu.generator import generate
from gmemgpu.model.cost import Costs
from gmemgpu.model.metric import MetricRow
from gmemgpu.model.trace import Trace
from gmemgpu.sweeping.spec.spec import read_spec
from gmemgpu.workload.preset import preset, small_variant
from gmemgpu.workload.spec import Workload

CASES = ("mixed-pods", "coco-pods", "iaas-mixed", "rolling-autoscale", "azure-2017", "last-big-VM")
SIMPY_CASES = ("mixed-pods", "coco-pods")
SIMPY_POLICIES = ("v3", "v10")


def peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def compare_engines(tables: Tables) -> dict[str, Any]:
    policies = [policy for policy in named_policies() if not policy.is_oracle]
    before = time.process_time()
    columns = Columns(tables)
    columns_s = time.process_time() - before
    # Each engine collects the requests of hooks itself, once for all policies.
    pairs, pairs_of_numba = (Pairs(tables, policies, Costs()) for _ in range(2))
    before = time.process_time()
    together = evaluate_pairs(pairs)
    together_s = time.process_time() - before
    runs: dict[str, Callable[[int], MetricRow]] = {
        "numba": lambda k: run_compiled(columns, pairs_of_numba, k),
        "numpy": lambda k: evaluate_pairs(pairs.some(np.array([k])))[0],
    }
    taken_s: dict[str, dict[str, float]] = {name: {} for name in runs}
    for k, (policy, row) in enumerate(zip(policies, together, strict=True)):
        for name, run in runs.items():
            before = time.process_time()
            assert run(k) == row, f"{policy.name}: the engines disagree"
            taken_s[name][policy.name] = time.process_time() - before
    total_s = {"numba": columns_s + sum(taken_s["numba"].values()), "numpy": together_s}
    return {
        "all_named_policies_s": {name: round(s, 3) for name, s in total_s.items()},
        "numpy_over_numba": round(total_s["numpy"] / total_s["numba"], 1),
        "slowest_alone_s": {
            name: {policy: round(of[policy], 3) for policy in sorted(of, key=of.__getitem__)[-3:]}
            for name, of in taken_s.items()
        },
    }


def compare_with_simpy(trace: Trace) -> dict[str, Any]:
    from bench.simpy_model import METRICS, simulate

    figures: dict[str, Any] = {}
    for policy in named_policies():
        if policy.name not in SIMPY_POLICIES:
            continue
        before = time.process_time()
        counted = simulate(trace, policy, Costs())
        taken_s = {"simpy": time.process_time() - before}
        for name in ("numpy", "numba"):
            before = time.process_time()
            row = engine(name).evaluate([trace], [policy], Costs())[0][0]
            taken_s[name] = time.process_time() - before
            assert {metric: row[metric] for metric in METRICS} == counted, f"{policy.name}: SimPy and {name} disagree"
        figures[policy.name] = {name: round(s, 2) for name, s in taken_s.items()}
    return figures


def workload(case: str) -> Workload:
    if case == "azure-2017":
        return read_spec("jobs/azure-2017.toml").scenarios[0].workload
    return preset(case)


def measure(case: str) -> dict[str, Any]:
    small = generate(small_variant(preset("mixed-pods")), 1).trace
    # Compiles, too.
    assert not verify(small, named_policies(), Costs()).differences, "the engines disagree"
    trace = generate(workload(case), 7).trace
    before = time.process_time()
    tables = Tables(host_columns(trace))
    figures: dict[str, Any] = {"events": len(trace), "timeline_s": round(time.process_time() - before, 2)}
    figures |= compare_engines(tables)
    figures["peak_memory_mib"] = peak_mib()
    if case in SIMPY_CASES and find_spec("simpy"):
        del tables
        figures["own_timeline_s"] = compare_with_simpy(trace)
    return figures


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
