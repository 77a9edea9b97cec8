"""
Where dense array passes beat one-by-one updates in the numpy engine: the window policies, timed over both thresholds.

Held fixed: seed, policies and traces (an hour of `mixed-pods`; eight days of `iaas-mixed`, no run-time conversions).
Each figure is the best of the repeats, in ms for all those policies. Results are compared before a figure is printed.

    taskset -c 0 python -m bench.crossover [--repeats N] [--save]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from unittest.mock import patch

from bench.hardware import record
from gmemgpu.catalogue import named_policies
from gmemgpu.engine.numpy import class_sums
from gmemgpu.engine.numpy.policy_run import run_policy
from gmemgpu.engine.prepared import Prepared
from gmemgpu.generator import generate
from gmemgpu.model.cost import Costs
from gmemgpu.workload.preset import workload_from_mapping

NEVER = 1 << 62
CASES = {
    "mixed-pods, 1 h": {"preset": "mixed-pods", "horizon_ns": "1 h", "warmup_ns": "5 min"},
    "iaas-mixed": {"preset": "iaas-mixed", "memory": {"conversions_per_s": 0}},
}
THRESHOLDS = {"DENSE_CHANGES": (0, 0.1, 0.2, 0.4, 0.8, NEVER), "DENSE_CLEAN": (0, 4, 8, 16, 64, NEVER)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--save", action="store_true", help="keep the figures in bench/results")
    arguments = parser.parse_args()
    policies = [policy for policy in named_policies() if policy.scope == "window" and policy.hook != "none"]
    figures: dict[str, object] = {"policies": [policy.name for policy in policies]}
    for case, table in CASES.items():
        prepared = Prepared(generate(workload_from_mapping(table, case, Path()), 7).trace)
        expected = [run_policy(prepared, policy, Costs()) for policy in policies]
        for name, values in THRESHOLDS.items():
            best_ms = {}
            for value in values:
                with patch.object(class_sums, name, value):
                    times = []
                    for _ in range(arguments.repeats):
                        before = time.perf_counter()
                        rows = [run_policy(prepared, policy, Costs()) for policy in policies]
                        times.append(time.perf_counter() - before)
                    assert rows == expected
                best_ms["never" if value == NEVER else str(value)] = round(min(times) * 1e3, 1)
            figures[f"{case}, ms by {name}"] = best_ms
    record("crossover", "taskset -c 0 python -m bench.crossover --save", figures, save=arguments.save)


if __name__ == "__main__":
    main()
