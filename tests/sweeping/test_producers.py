"""Traces for a GPU are made by other processes: the same ones, in order, and none of the processes stays."""

from __future__ import annotations

import importlib
import select
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields, replace
from multiprocessing import active_children, get_context
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import dask
import numpy as np
import psutil
import pytest

from gmemgpu.engine.registry import why_missing
from gmemgpu.generator import generate
from gmemgpu.lifecycle.life_cycle import GeneratedTrace
from gmemgpu.sweeping.clusters import local
from gmemgpu.sweeping.run.plan import Plan, make_plan
from gmemgpu.sweeping.run.producers import ProducerDied, Producers, pack
from gmemgpu.sweeping.run.progress import ShardsDone
from gmemgpu.sweeping.run.shard import ShardError, compute_shards, shard_rows
from gmemgpu.sweeping.run.sweep import sweep
from gmemgpu.sweeping.spec import read_spec
from gmemgpu.workload.preset import preset, small_variant

ROOT = Path(__file__).parents[2]
N = 2
PATIENCE_S = 60


@pytest.fixture(scope="module")
def plan(tiny_file: Path) -> Plan:
    return make_plan(read_spec(tiny_file).model_copy(update={"seeds": (0, 1, 2)}), "numpy")


@pytest.fixture
def producers(plan: Plan) -> Iterator[Producers]:
    made = Producers(N, plan.setting)
    yield made
    made.close()


def columns(made: GeneratedTrace) -> dict[str, Any]:
    trace = made.trace
    found = {field.name: getattr(trace, field.name) for field in fields(trace)}
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in found.items()}


def gone(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, PATIENCE_S)
    return not alive


_OTHERS: set[int | None] = set()


@pytest.fixture(autouse=True)
def _others() -> None:
    _OTHERS.clear()
    _OTHERS.update(child.pid for child in active_children())


def children() -> list[psutil.Process]:
    """Return the processes that this test has started."""
    return [psutil.Process(child.pid) for child in active_children() if child.pid not in _OTHERS]


@pytest.mark.parametrize("compiled", [True, False])
def test_vms_are_placed_by_code_that_was_compiled_before(tiny_file: Path, compiled: bool) -> None:
    pytest.importorskip("numba")
    # In a process that has no server to fork from yet.
    script = f"""
import psutil
from gmemgpu.sweeping.run import producers
from gmemgpu.sweeping.run.plan import make_plan
from gmemgpu.sweeping.spec import read_spec

producers.is_compiled = lambda: {compiled}
plan = make_plan(read_spec({str(tiny_file)!r}), "numpy")
made = producers.Producers(1, plan.setting)
assert len(list(made.traces(plan.shards[:1]))) == len(plan.shards[0].seeds)
loaded = [file.path for child in psutil.Process().children(recursive=True) for file in child.memory_maps()]
print(any("llvmlite" in path for path in loaded))
made.close(wait=True)
"""
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )
    assert (ran.stdout, ran.stderr) == (f"{compiled}\n", "")


def test_the_same_rows_in_order(plan: Plan, producers: Producers) -> None:
    assert shard_rows(plan.shards, plan.setting, producers.traces) == shard_rows(plan.shards, plan.setting)
    running = children()
    assert len(running) == N
    producers.close(wait=True)
    assert not any(process.is_running() for process in running)


def _pack_as_asked(pipe: Any) -> None:
    made = generate(small_variant(preset("mixed-pods")), 1)
    trace = made.trace
    while True:
        events = pipe.recv()
        resized: dict[str, Any] = {
            field.name: np.resize(getattr(trace, field.name), events)
            for field in fields(trace)
            if isinstance(getattr(trace, field.name), np.ndarray)
        }
        one = replace(made, trace=replace(trace, **resized))
        # Kept until it is asked for the next one.
        sent = pack(one)
        # What is longer may be cut off by the death of its sender, and its reader would wait for ever.
        assert len(ForkingPickler.dumps(sent)) <= select.PIPE_BUF
        pipe.send((sent, one))


@contextmanager
def packing() -> Iterator[tuple[Any, Any]]:
    """Start a process that packs traces of as many events as it is asked for; yield it and the pipe to it."""
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_pack_as_asked, args=(there,))
    process.start()
    yield process, here
    process.kill()
    process.join()


@pytest.fixture(scope="module")
def packed() -> Iterator[Any]:
    with packing() as (_, pipe):
        yield pipe


@pytest.mark.parametrize("events", [0, 10, 55, 1_000, 100_000])
def test_a_trace_is_handed_over_whole(packed: Any, events: int) -> None:
    # By a file in memory if it is large.
    packed.send(events)
    sent, expected = packed.recv()
    found = sent.unpack()
    assert (sent.file is not None) == (events > 55)
    assert columns(found) == columns(expected)
    assert replace(found, trace=expected.trace) == expected
    assert all(
        getattr(found.trace, f.name).dtype == getattr(expected.trace, f.name).dtype for f in fields(found.trace)[3:]
    )


def test_what_a_dead_process_held_is_not_waited_for() -> None:
    with packing() as (_, pipe):
        pipe.send(1_000)
        sent, _ = pipe.recv()
    with pytest.raises(ProducerDied):
        sent.unpack()


def test_a_dead_producer_fails_its_task_and_no_other(plan: Plan, producers: Producers, tmp_path: Path) -> None:
    def killed(shards: Any) -> Any:
        for i, made in enumerate(producers.traces(shards)):
            yield made
            if i == 1 and len(shards) > 1:
                for child in children():
                    # The pool ends the others as soon as it sees that one is dead.
                    with suppress(psutil.NoSuchProcess):
                        child.kill()

    with pytest.raises(ShardError, match=r'scenario ".*", seed \d: a process that made traces for the GPU died, most'):
        shard_rows(plan.shards, plan.setting, killed)
    # Tried again one by one, with other processes.
    assert compute_shards(plan.shards, plan.setting, tmp_path, killed) is None
    assert len(list(tmp_path.glob("*.arrow"))) == len(plan.shards)


def test_what_a_seed_raises_comes_out_in_its_place(plan: Plan) -> None:
    scenario = plan.setting.scenarios[0]
    broken = replace(scenario, workload=scenario.workload.model_copy(update={"memory": None}))
    setting = replace(plan.setting, scenarios=(plan.setting.scenarios[0], broken, *plan.setting.scenarios[2:]))
    producers = Producers(N, setting)
    try:
        with pytest.raises(ShardError, match=r"seed 0: AttributeError: "):
            shard_rows(plan.shards, setting, producers.traces)
    finally:
        producers.close()


def _feed(pipe: Any, plan: Plan) -> None:
    traces = Producers(N, plan.setting).traces(plan.shards)
    next(traces)
    pipe.send([child.pid for child in active_children()])
    time.sleep(PATIENCE_S)


def test_producers_end_with_the_process_that_they_feed(plan: Plan) -> None:
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_feed, args=(there, plan))
    process.start()
    running = [psutil.Process(pid) for pid in here.recv()]
    assert len(running) == N
    process.kill()
    process.join()
    assert gone(running)


def test_what_nobody_takes_is_given_up(plan: Plan, producers: Producers) -> None:
    traces = producers.traces(plan.shards)
    next(traces)
    traces.close()
    # The same processes serve the next task.
    running = children()
    assert len(list(producers.traces(plan.shards))) == len(plan.shards) * 3
    assert children() == running


PRELOAD = """
import sys
sys.path.insert(0, {folder!r})
import strict_cupy
strict_cupy.install()
"""


@pytest.mark.slow
def test_a_sweep_on_a_gpu_has_its_traces_made_on_all_cores(
    tiny_file: Path, tiny_whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if why_missing("cupy") is not None:
        pytest.skip("neither a CUDA device nor an emulated one")
    preloaded = tmp_path / "preload.py"
    preloaded.write_text(PRELOAD.format(folder=str(ROOT / "tests" / "emulator")))
    emulated = hasattr(importlib.import_module("cupy"), "is_emulated")
    monkeypatch.setattr(local, "default_workers", lambda: N)
    before = set(psutil.Process().children(recursive=True))
    running: set[psutil.Process] = set()
    seen: set[int] = set()
    directory = tmp_path / "out"

    def watch(event: object) -> None:
        if isinstance(event, ShardsDone):
            running.update(set(psutil.Process().children(recursive=True)) - before)
            seen.add(most_forked_by_one(running))

    with dask.config.set({"distributed.worker.preload": [str(preloaded)] if emulated else []}):
        result = sweep(tiny_file, directory, backend="cupy", progress=watch)
    assert (result.n_computed, result.fallback) == (10, None)
    assert (directory / "results.parquet").read_bytes() == (tiny_whole / "results.parquet").read_bytes()
    assert seen == {N}
    assert gone([process for process in running if "resource_tracker" not in "".join(commands({process}))])


def most_forked_by_one(processes: set[psutil.Process]) -> int:
    # Each process that forks for others is called as its children are. There may be two: workers come from one as well,
    # once a command line has run in this process.
    servers: Counter[int] = Counter()
    for process in processes:
        with suppress(psutil.Error):
            if "multiprocessing.forkserver" in " ".join(process.cmdline()):
                servers[process.ppid()] += 1
    return max(servers.values())


def commands(processes: set[psutil.Process]) -> Iterator[str]:
    for process in processes:
        with suppress(psutil.Error):
            yield " ".join(process.cmdline())
