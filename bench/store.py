"""
The store at its largest: to go on with a sweep of 10^5 parts, to merge 10^6 rows, to show them; no engine runs.

The rows are made up, the rest is as a sweep would have it: 1000 scenarios, 100 seeds, a part of 10 policies for each.
Each step runs in a process of its own, so that peak memory is its own; `resume` is from the start of the interpreter
to the list of parts that are missing (none).

    taskset -c 0 python -m bench.store [--parts N] [--keep DIR] [--save]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bench.hardware import record
from gmemgpu.catalogue import named_policies
from gmemgpu.model.policy import ORACLE
from gmemgpu.sweeping.run.plan import make_plan
from gmemgpu.sweeping.run.shard import Setting, Shard
from gmemgpu.sweeping.spec import read_spec
from gmemgpu.sweeping.store.directory import Store, open_store
from gmemgpu.sweeping.store.part import PartFile, part_bytes

N_SEEDS = 100
N_POLICIES = 10
N_BINS = 180
STEPS = ("resume", "merge", "show", "show_json", "show_json_by_preset", "check", "status")
_STARTED = time.perf_counter()


def spec_of(n_parts: int) -> dict[str, Any]:
    names = [policy.name for policy in named_policies() if policy is not ORACLE][: N_POLICIES - 1]
    # So many VMs that a trace is a shard of its own.
    return {
        "name": "made up",
        "seeds": N_SEEDS,
        "policies": names,
        "workload": {
            "preset": "iaas-mixed",
            "stock": {"vms": 50_000},
            "snp": {"share": [round(0.2 + 0.8 * i * N_SEEDS / n_parts, 6) for i in range(n_parts // N_SEEDS)]},
        },
    }


def store_of(directory: Path, n_parts: int) -> Store:
    spec = read_spec(spec_of(n_parts))
    return open_store(directory, spec, make_plan(spec, "numpy"))


def made_up_rows(setting: Setting, shard: Shard, random: np.random.Generator) -> pa.Table:
    scenario = setting.scenarios[shard.scenario]
    n_rows = len(shard.seeds) * len(setting.policies)
    columns = []
    numbers = pa.array(random.integers(1, 2**40, len(setting.schema) * n_rows))
    for i, field in enumerate(setting.schema):
        if field.name in ("label", "preset"):
            values: Any = [getattr(scenario, field.name)] * n_rows
        elif field.name in scenario.axes:
            values = [scenario.axes[field.name]] * n_rows
        elif field.name == "seed":
            values = [shard.seeds[0]] * n_rows
        elif field.name == "policy":
            values = [policy.name for policy in setting.policies]
        elif pa.types.is_list(field.type):
            # As in real rows: short latencies, of the first bins, do not happen.
            bins = random.integers(0, 100, (n_rows, N_BINS)) * (np.arange(N_BINS) >= N_BINS // 2)
            ends = np.arange(n_rows + 1, dtype=np.int32) * N_BINS
            columns.append(pa.ListArray.from_arrays(ends, bins.ravel(), type=field.type))
            continue
        else:
            columns.append(numbers.slice(i * n_rows, n_rows).cast(field.type))
            continue
        columns.append(pa.array(values, field.type))
    return pa.Table.from_arrays(columns, schema=setting.schema)


def fill(store: Store) -> None:
    # As `write_part` does, but for waiting until each is on disk.
    random = np.random.Generator(np.random.Philox(7))
    setting = store.plan.setting
    for shard in store.plan.shards:
        about = {"sweep": setting.sweep_id, "index": shard.index, "part": shard.part_id}
        content = part_bytes(made_up_rows(setting, shard, random), about)
        file = PartFile(shard.part_id, hashlib.sha256(content).hexdigest()[:16])
        (store.parts / file.name).write_bytes(content)


def run_step(step: str, directory: Path, n_parts: int) -> dict[str, Any]:
    if step in ("resume", "merge"):
        store = store_of(directory, n_parts)
        assert not store.missing(), "the store is not whole"
        before = time.perf_counter()
        if step == "merge":
            store.merge()
        return {"s": round(time.perf_counter() - (_STARTED if step == "resume" else before), 2)}
    from gmemgpu.cli.main import main

    command = {
        "show": ["show"],
        "show_json": ["show", "--json"],
        "show_json_by_preset": ["show", "--json", "--group-by", "preset"],
        "check": ["check", "--json"],
        "status": ["status", "--json"],
    }[step]
    assert main([command[0], str(directory), *command[1:]]) == 0
    return {"s": round(time.perf_counter() - _STARTED, 2)}


def measure(step: str, directory: Path, n_parts: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.store", "--one", step, "--parts", str(n_parts), "--keep", str(directory)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    figures: dict[str, Any] = json.loads(ran.stderr)
    print(step, figures, file=sys.stderr)
    return figures


def peak_mib() -> int:
    # Not ru_maxrss: that begins with what the starting process held when it forked.
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=int, default=100_000, help=f"a multiple of {N_SEEDS}; 10 rows each")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="make the store here, or take the one that is there")
    parser.add_argument("--save", action="store_true", help="write bench/results/store.json")
    parser.add_argument("--one", choices=STEPS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        figures = run_step(arguments.one, arguments.keep, arguments.parts)
        print(json.dumps({**figures, "peak_memory_mib": peak_mib()}), file=sys.stderr)
        return
    directory = arguments.keep or Path(tempfile.mkdtemp(prefix="gmemgpu-store-"))
    try:
        if not (directory / "manifest.json").exists():
            fill(store_of(directory, arguments.parts))
        steps = {step: measure(step, directory, arguments.parts) for step in STEPS}
    finally:
        if not arguments.keep:
            shutil.rmtree(directory)
    record(
        "store",
        "taskset -c 0 python -m bench.store --save",
        {"parts": arguments.parts, "rows": arguments.parts * N_POLICIES, **steps},
        save=arguments.save,
    )


if __name__ == "__main__":
    main()
