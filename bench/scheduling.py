"""
What scheduling costs: shards that only sleep and write a part, through the client's loop, claims and store of a sweep.

Held fixed: each shard sleeps for so long and writes a part of 10 rows, the same for all. `processes` are worker
processes of this machine; `simulated` are 64 Dask workers in two processes, since sleeping needs no core, each with a
connection of its own to the scheduler. `many` are 10^5 shards that do not sleep at all, on two processes: how many a
second pass through the client at most, and how much memory it needs, the scheduler included. The time to start workers
is left out; some shards that do not sleep go ahead.

    python -m bench.scheduling [many] [simulated] [processes] [--shards N] [--sleep SECONDS] [--many N] [--save]
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pyarrow as pa
from distributed import Client, LocalCluster

from bench.hardware import record
from bench.store import made_up_rows, peak_mib, store_of
from gmemgpu.atomic import written_whole
from gmemgpu.sweeping import dispatch
from gmemgpu.sweeping.cluster.config import CONFIG, LOOPBACK_DASHBOARD, environment_of
from gmemgpu.sweeping.cluster.local import local_client
from gmemgpu.sweeping.cluster.workers import Workers
from gmemgpu.sweeping.part import parquet_writer, part_name
from gmemgpu.sweeping.shard import Setting, Shard
from gmemgpu.sweeping.store import Store

KINDS = ("many", "simulated", "processes")
"""In this order: peak memory is that of the process so far."""
GOALS = {"processes": 0.95, "simulated": 0.95}


def sleep_and_write(sleep_s: float, shards: Sequence[Shard], setting: Setting, folder: str) -> None:
    # In place of `compute_shards`.
    (shard,) = shards
    time.sleep(sleep_s)
    with (
        written_whole(Path(folder) / part_name(shard.part_id)) as file,
        parquet_writer(file, setting.schema, shard.part_id, shard.n_rows) as writer,
    ):
        writer.write_table(_rows(setting, shard))


_made: list[pa.Table] = []


def _rows(setting: Setting, shard: Shard) -> pa.Table:
    # Made once in a process: to make rows is computing, which is what sleeping stands for.
    if not _made:
        _made.append(made_up_rows(setting, shard, np.random.Generator(np.random.Philox(7))))
    return _made[0]


N_SIMULATED = 64
SIMULATED_IN_ONE = 32
SIMULATED_CONFIG = {
    **CONFIG,
    # What a worker does for itself twice a second would be 64 times a second's work of the one process.
    "distributed.admin.system-monitor.interval": "10s",
}


@contextmanager
def simulated_client(n_workers: int) -> Iterator[Client]:
    # The client and the scheduler share this process, as they do when gmemgpu submits jobs.
    options = {
        "host": "127.0.0.1",
        "nthreads": 1,
        # They share a process: a share of its memory each would count it 64 times.
        "memory_limit": 0,
        "dashboard": False,
    }
    spec = json.dumps({str(i): {"cls": "distributed.Worker", "opts": options} for i in range(SIMULATED_IN_ONE)})
    with (
        dask.config.set(CONFIG),
        LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address=LOOPBACK_DASHBOARD) as cluster,
        Client(cluster, set_as_default=False) as client,
        ExitStack() as stack,
    ):
        for _ in range(n_workers // SIMULATED_IN_ONE):
            process = subprocess.Popen(
                [sys.executable, "-m", "distributed.cli.dask_spec", "--spec", spec, cluster.scheduler_address],
                env={**os.environ, **environment_of(SIMULATED_CONFIG)},
                stderr=subprocess.DEVNULL,
            )
            stack.enter_context(process)
            stack.callback(process.terminate)
        yield client


def run(client: Client, n_workers: int, store: Store, sleep_s: float) -> float:
    dispatch.compute_shards = functools.partial(sleep_and_write, sleep_s)  # type: ignore[assignment]
    workers = Workers(
        client=client,
        n_expected=n_workers,
        n_slots=lambda: n_workers,
        resources={},
        dashboard=None,
    )
    before = time.perf_counter()
    with store.claims(n_workers=n_workers) as claims:
        loop = dispatch.Dispatch(store, workers, None, claims, lambda event: None, on_error="stop", retries=0)
        loop.run((shard,) for shard in store.plan.shards)
    wall_s = time.perf_counter() - before
    assert not store.missing(), "parts are missing"
    return wall_s


def measure(kind: str, n_workers: int, n_shards: int, sleep_s: float) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory() as folder,
        local_client(n_workers) if kind == "processes" else simulated_client(n_workers) as client,
    ):
        client.wait_for_workers(n_workers)
        # The first task of a process imports all that it needs.
        run(client, n_workers, store_of(Path(folder) / "first", 100), 0.0)
        wall_s = run(client, n_workers, store_of(Path(folder) / "out", n_shards), sleep_s)
    efficiency = n_shards * sleep_s / n_workers / wall_s
    return {
        "workers": n_workers,
        "shards": n_shards,
        "sleep_s": sleep_s,
        "wall_s": round(wall_s, 2),
        "efficiency": round(efficiency, 4),
        "goal": GOALS[kind],
    }


def measure_many(n_workers: int, n_shards: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, local_client(n_workers) as client:
        client.wait_for_workers(n_workers)
        wall_s = run(client, n_workers, store_of(Path(folder) / "out", n_shards), 0.0)
    return {
        "workers": n_workers,
        "shards": n_shards,
        "wall_s": round(wall_s, 2),
        "shards_per_s": round(n_shards / wall_s, 1),
        "peak_memory_mib": peak_mib(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)} (default: all)")
    parser.add_argument("--shards", type=int, default=1000, help="a multiple of 100 (default: 1000)")
    parser.add_argument("--sleep", type=float, default=1.0, metavar="SECONDS", help="of each shard (default: 1)")
    parser.add_argument("--many", type=int, default=100_000, metavar="N", help="shards without sleep (default: 10^5)")
    parser.add_argument("--save", action="store_true", help="write bench/results/scheduling-KIND.json")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.kinds) - set(KINDS)):
        parser.error(f"{unknown[0]} is none of {', '.join(KINDS)}")
    for kind in KINDS:
        if arguments.kinds and kind not in arguments.kinds:
            continue
        if kind == "many":
            figures = measure_many(2, arguments.many)
        elif kind == "simulated":
            # Whole rounds: what is left over for a last one would be idle time of the others, not of scheduling.
            figures = measure(kind, N_SIMULATED, 16 * arguments.shards // 10, arguments.sleep)
        else:
            figures = measure(kind, 2, arguments.shards, arguments.sleep)
        record(f"scheduling-{kind}", f"python -m bench.scheduling {kind} --save", figures, save=arguments.save)


if __name__ == "__main__":
    # What lies in __main__ would be pickled whole with every task, as nothing of gmemgpu's is.
    from bench import scheduling

    scheduling.main()
