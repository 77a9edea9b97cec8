"""
Where the time of a whole shard goes, and how it grows: with events, regions, policies, seeds, and the granule.

A shard is what a sweep's worker does: generate a trace, make its timeline, evaluate all named policies, write the part.
Growth is the exponent of the best line through the logarithms of size and CPU time, over a fourfold range: 1 is work in
proportion. For `events` each named policy has one of its own. Held fixed: the seed, and all that is not said to grow;
one core, the least of the repeats; what Numba compiles, it has compiled before.

    taskset -c 0 python -m bench.growth [--repeats N] [--save]
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.hardware import record
from gmemgpu.catalogue import named_policies
from gmemgpu.engine.array.columns import host_columns
from gmemgpu.engine.array.tables import Tables
from gmemgpu.engine.registry import engine
from gmemgpu.generator import generate
from gmemgpu.model.cost import Costs
from gmemgpu.model.policy import Policy
from gmemgpu.model.trace import Trace
from gmemgpu.sweeping.run.plan import make_plan
from gmemgpu.sweeping.run.shard import shard_rows
from gmemgpu.sweeping.spec import read_spec
from gmemgpu.sweeping.store.part import part_bytes, rows_to_arrow
from gmemgpu.workload.preset import small_variant, workload_from_mapping
from gmemgpu.workload.spec import Workload

ENGINES = ("numpy", "numba")
SHARDS = ("jobs/quickstart.toml", "jobs/azure-2017.toml")
SEED = 7
FACTORS = (1, 2, 4)
POLICIES = ("v3", "v10", "dirty_10s", "dirty_retry_10s", "refcount", "periodic_60s")


def least_s(work: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        before = time.process_time()
        work()
        times.append(time.process_time() - before)
    return min(times)


def stages(spec_file: str, backend: str, repeats: int) -> dict[str, Any]:
    """Take the first shard of each scenario apart; shares of all of them together."""
    spec = read_spec(spec_file)
    setting = make_plan(spec, backend).setting
    first = {shard.scenario: shard for shard in reversed(make_plan(spec, backend).shards)}
    taken_s = dict.fromkeys(("generate", "timeline", "evaluate", "write"), 0.0)
    for shard in first.values():
        one = dataclasses.replace(shard, seeds=shard.seeds[:1])
        workload = spec.scenarios[shard.scenario].workload
        # Loads what is loaded once.
        rows = shard_rows([one], setting)[0][0]
        part_bytes(rows_to_arrow(rows, setting.schema), {})
        trace = generate(workload, one.seeds[0]).trace
        generate_s = least_s(lambda workload=workload, one=one: generate(workload, one.seeds[0]), repeats)
        timeline_s = least_s(lambda trace=trace: Tables(host_columns(trace, compiled=backend == "numba")), repeats)
        whole_s = least_s(
            lambda trace=trace: engine(backend).evaluate([trace], setting.policies, setting.costs), repeats
        )
        write_s = least_s(lambda rows=rows: part_bytes(rows_to_arrow(rows, setting.schema), {}), repeats)
        found = (generate_s, timeline_s, max(0.0, whole_s - timeline_s), write_s)
        for name, spent_s in zip(taken_s, found, strict=True):
            taken_s[name] += spent_s
    total_s = sum(taken_s.values())
    shares = {name: round(spent_s / total_s, 3) for name, spent_s in taken_s.items()}
    return {"seeds_s": round(total_s, 2), **shares}


def workload_of(**changes: Any) -> Workload:
    # An hour of pods on an ordinary host, and as many VMs whatever its size.
    table = {"preset": "mixed-pods", "horizon_ns": "1 h", "warmup_ns": "1 min", **changes}
    return workload_from_mapping(table, "", Path())


def traces_of(*workloads: Workload) -> list[Trace]:
    return [generate(workload, SEED).trace for workload in workloads]


def chosen() -> list[Policy]:
    return [policy for policy in named_policies() if policy.name in POLICIES]


def grown() -> Iterator[tuple[str, list[tuple[list[Trace], list[Policy]]]]]:
    """Yield the name of what grows, and the batches: each twice what the one before was."""
    horizons = [workload_of(horizon_ns=f"{n} h") for n in FACTORS]
    yield "events", [(traces_of(one), chosen()) for one in horizons]
    # A terabyte, and two, and four, under one window, so that passes visit as many times as many regions.
    hosts = [{"name": "pod", "memory_bytes": f"{n / 2} TiB", "window_bytes": "4 TiB"} for n in FACTORS]
    yield "regions", [(traces_of(workload_of(host=host)), chosen()) for host in hosts]
    base = traces_of(workload_of())
    named = [[dataclasses.replace(one, name=f"{one.name} {k}") for k in range(n) for one in chosen()] for n in FACTORS]
    yield "policies", [(base, policies) for policies in named]
    seeds = [[generate(workload_of(), SEED + k).trace for k in range(n)] for n in FACTORS]
    yield "seeds", [(traces, chosen()) for traces in seeds]
    granules = [workload_of(horizon_ns="10 min", memory={"granule_pages": 8192 // n}) for n in FACTORS]
    yield "granules a GiB", [(traces_of(one), chosen()) for one in granules]


def exponent(sizes: Sequence[float], times_s: Sequence[float]) -> float:
    slope, _ = np.polyfit(np.log(sizes), np.log(times_s), 1)
    return round(float(slope), 2)


def growth(backend: str, repeats: int) -> dict[str, Any]:
    on = engine(backend)
    found: dict[str, Any] = {}
    for name, batches in grown():
        times_s = [
            least_s(lambda traces=traces, policies=policies: on.evaluate(traces, policies, Costs()), repeats)
            for traces, policies in batches
        ]
        events = [sum(map(len, traces)) for traces, _ in batches]
        sizes = events if name == "events" else FACTORS
        found[name] = {"exponent": exponent(sizes, times_s), "events": events, "s": [round(s, 3) for s in times_s]}
        if name == "events":
            # A growing share of a policy's time is the timeline's: that is left in, as it is in a shard.
            alone = {
                policy.name: [
                    least_s(lambda traces=traces, policy=policy: on.evaluate(traces, [policy], Costs()), repeats)
                    for traces, _ in batches
                ]
                for policy in named_policies()
            }
            found["events, by policy"] = {policy: exponent(events, times) for policy, times in alone.items()}
        print(backend, name, found[name], file=sys.stderr)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--save", action="store_true", help="write bench/results/growth.json")
    arguments = parser.parse_args()
    small = generate(small_variant(workload_of()), SEED).trace
    figures: dict[str, Any] = {}
    for backend in ENGINES:
        engine(backend).evaluate([small], named_policies(), Costs())
        shares = {}
        for spec_file in SHARDS:
            shares[Path(spec_file).stem] = stages(spec_file, backend, arguments.repeats)
            print(backend, spec_file, shares[Path(spec_file).stem], file=sys.stderr)
        figures[backend] = {"shares": shares, "growth": growth(backend, arguments.repeats)}
    record("growth", "taskset -c 0 python -m bench.growth --save", figures, save=arguments.save)


if __name__ == "__main__":
    main()
