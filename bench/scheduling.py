"""
What scheduling costs: shards that only sleep and write a part, by the client's loop, Dask and the store of a sweep.

Held fixed: each shard sleeps for so long and writes a part of 10 rows, the same for all, on two worker processes of
this machine. `many` are 10^5 shards that do not sleep at all: how many a second pass through the client at most, and
how much memory it needs, the scheduler included. The time to start workers is left out; some shards that do not sleep
go ahead.

    python -m bench.scheduling [many] [processes] [--shards N] [--sleep SECONDS] [--many N] [--save]
"""

from __future__ import annotations

import argparse
import functools
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
from distributed import Client

from bench.hardware import record
from bench.store import N_SEEDS, made_up_rows, peak_mib, store_of
from gmemgpu.sweeping.clusters.local import local_client
from gmemgpu.sweeping.run.client import run_on_client
from gmemgpu.sweeping.run.outcome import SweepOutcome
from gmemgpu.sweeping.run.shard import Setting, Shard
from gmemgpu.sweeping.run.worker import SweepWorker
from gmemgpu.sweeping.store.lock import held
from gmemgpu.sweeping.store.part import write_part

KINDS = ("many", "processes")
"""In this order: peak memory is that of the process so far."""
N_WORKERS = 2
N_FIRST = 100
GOAL = 0.95


class SleepingWorker(SweepWorker):
    """Sleeps where a worker of a sweep computes, and writes the part."""

    def __init__(self, sleep_s: float, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._sleep_s = sleep_s

    def compute(self, shards: Sequence[Shard]) -> None:
        """Sleep and write a part of made-up rows."""
        (shard,) = shards
        time.sleep(self._sleep_s)
        about = {"sweep": self._setting.sweep_id, "index": shard.index}
        write_part(self._parts, shard.part_id, _rows(self._setting, shard), about)


_made: list[pa.Table] = []


def _rows(setting: Setting, shard: Shard) -> pa.Table:
    # Made once in a process: to make rows is computing, which is what sleeping stands for.
    if not _made:
        _made.append(made_up_rows(setting, shard, np.random.Generator(np.random.Philox(7))))
    return _made[0]


def run(client: Client, folder: Path, n_shards: int, sleep_s: float) -> float:
    store = store_of(folder, -(-n_shards // N_SEEDS) * N_SEEDS)
    todo = store.plan.shards[:n_shards]
    worker = functools.partial(SleepingWorker, sleep_s)
    before = time.perf_counter()
    with held(store.directory) as lock, mock.patch("gmemgpu.sweeping.run.client.SweepWorker", worker):
        outcome = SweepOutcome(store, lambda event: None)
        run_on_client(client, outcome, todo, lock, on_device=False, on_error="stop", retries=0)
    wall_s = time.perf_counter() - before
    assert not set(todo) & set(store.missing()), "parts are missing"
    return wall_s


def measure(n_shards: int, sleep_s: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, local_client(N_WORKERS) as client:
        client.wait_for_workers(N_WORKERS)
        # The first task of a process imports all that it needs.
        run(client, Path(folder) / "first", N_FIRST, 0.0)
        wall_s = run(client, Path(folder) / "out", n_shards, sleep_s)
    figures = {"workers": N_WORKERS, "shards": n_shards, "sleep_s": sleep_s, "wall_s": round(wall_s, 2)}
    if sleep_s:
        return {**figures, "efficiency": round(n_shards * sleep_s / N_WORKERS / wall_s, 4), "goal": GOAL}
    return {**figures, "shards_per_s": round(n_shards / wall_s, 1), "peak_memory_mib": peak_mib()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)} (default: all)")
    parser.add_argument("--shards", type=int, default=1000, help="that sleep (default: 1000)")
    parser.add_argument("--sleep", type=float, default=1.0, metavar="SECONDS", help="of each shard (default: 1)")
    parser.add_argument("--many", type=int, default=100_000, metavar="N", help="shards without sleep (default: 10^5)")
    parser.add_argument("--save", action="store_true", help="write bench/results/scheduling-KIND.json")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.kinds) - set(KINDS)):
        parser.error(f"{unknown[0]} is none of {', '.join(KINDS)}")
    for kind in arguments.kinds or KINDS:
        of = (arguments.many, 0.0) if kind == "many" else (arguments.shards, arguments.sleep)
        record(f"scheduling-{kind}", f"python -m bench.scheduling {kind} --save", measure(*of), save=arguments.save)


if __name__ == "__main__":
    # What lies in __main__ would be pickled whole with every task, as nothing of gmemgpu's is.
    from bench import scheduling

    scheduling.main()
