"""Batches of traces and policies, end to end: the device against the best CPU engine on all cores of its machine."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bench.gpu_kernels import WrongAnswer, watched_launches
from gmemgpu.catalogue import named_policies
from gmemgpu.engine.crossover import core_count
from gmemgpu.engine.cupy.batch import BatchReport, evaluate_batches
from gmemgpu.engine.registry import engine
from gmemgpu.model.cost import Costs
from gmemgpu.model.metric import MetricRow
from gmemgpu.model.policy import Policy, Timer
from gmemgpu.model.trace import Trace
from gmemgpu.sweeping.compile_once import compile_once
from gmemgpu.units import NS_PER_S

__all__ = [
    "Case",
    "OnCores",
    "batch_figures",
    "image_figures",
    "on_all_cores",
    "sweep_figures",
    "thirty_policies",
    "traces_of",
]


@dataclass(frozen=True, slots=True)
class Case:
    """Traces of one workload: a preset or its small variant, seeds 0 to `n_traces` - 1."""

    preset: str
    small: bool
    n_traces: int

    @property
    def name(self) -> str:
        """For tables."""
        return f"{self.n_traces:,} × {self.preset}{', small' if self.small else ''}"


def thirty_policies() -> list[Policy]:
    """Give the named policies, the oracle among them, and three with another delay."""
    named = {policy.name: policy for policy in named_policies()}
    others = {"capped": Timer("debounce", 5 * NS_PER_S, 30 * NS_PER_S), "dirty_retry_10s": Timer("fixed", NS_PER_S)}
    others["periodic_60s"] = Timer("periodic", 10 * NS_PER_S)
    return [
        *named.values(),
        *(replace(named[name], name=f"{name}_other", timer=timer) for name, timer in others.items()),
    ]


def traces_of(case: Case, seeds: Sequence[int]) -> Iterator[Trace]:
    """Make the traces of some seeds, one after another."""
    from gmemgpu.generator import generate
    from gmemgpu.workload.preset import preset, small_variant

    workload = small_variant(preset(case.preset)) if case.small else preset(case.preset)
    for seed in seeds:
        yield generate(workload, seed).trace


_warm: set[str] = set()
"""In a process of the pool: engines that have loaded what they run."""


def _on_one_core(
    name: str, case: Case, seeds: Sequence[int], policies: Sequence[Policy]
) -> tuple[float, list[Trace], list[list[MetricRow]]]:
    traces = list(traces_of(case, seeds))
    if name not in _warm:
        engine(name).evaluate(traces[:1], policies, Costs())
        _warm.add(name)
    begin = time.perf_counter()
    rows = engine(name).evaluate(traces, policies, Costs())
    return time.perf_counter() - begin, traces, rows


@dataclass(frozen=True, slots=True)
class OnCores:
    """
    A CPU engine, in one process a core.

    Parameters
    ----------
    traces : list of Trace
        Of the case: made there, since one core would take long.
    rows : list (traces) of list (policies) of MetricRow
    pairs_per_s : float
        Of all cores together while they evaluate: no process ever waits, and generation does not count.
    """

    traces: list[Trace]
    rows: list[list[MetricRow]]
    pairs_per_s: float


def on_all_cores(name: str, case: Case, policies: Sequence[Policy]) -> OnCores:
    """Evaluate a case by an engine on all cores at once."""
    compile_once(name)
    cores = core_count()
    step = max(1, min(8, case.n_traces // (2 * cores)))
    parts = [range(i, min(i + step, case.n_traces)) for i in range(0, case.n_traces, step)]
    with ProcessPoolExecutor(cores, get_context("spawn")) as pool:
        found = list(pool.map(_on_one_core, [name] * len(parts), [case] * len(parts), parts, [policies] * len(parts)))
    traces = [trace for _, part, _ in found for trace in part]
    rows = [row for _, _, part in found for row in part]
    busy = min(cores, len(parts))
    return OnCores(traces, rows, busy * len(rows) * len(policies) / sum(seconds for seconds, _, _ in found))


def batch_figures(
    case: Case, policies: Sequence[Policy], repeats: int, *, cpu_engine: str, at_most_s: float
) -> dict[str, Any]:
    """
    Evaluate a case on the device, from traces in host memory to rows in host memory, and compare with all cores.

    Twice at least: once compared and watched, then timed, as often as `repeats` and `at_most_s` allow.
    """
    import cupy

    on_cores = on_all_cores(cpu_engine, case, policies)
    traces = on_cores.traces
    begin = time.perf_counter()
    evaluate_batches(traces[:2], policies, Costs())  # compiles
    warm_up_s = time.perf_counter() - begin
    pool = cupy.get_default_memory_pool()
    pool.free_all_blocks()
    # Blocks stay with the pool, so what it holds after a batch is the most that the batch held.
    reports: list[BatchReport] = []
    held_bytes: list[int] = []

    def observe(report: BatchReport) -> None:
        reports.append(report)
        held_bytes.append(pool.total_bytes())

    with watched_launches() as launches:
        rows = evaluate_batches(traces, policies, Costs(), observe=observe)
        kernel_s = launches.seconds()
    if rows != on_cores.rows:
        raise WrongAnswer(f"{case.name}: cupy and {cpu_engine} differ")
    seconds: list[float] = []
    with _utilisation() as busy_percent:
        while len(seconds) < repeats and (not seconds or sum(seconds) < at_most_s):
            begin = time.perf_counter()
            evaluate_batches(traces, policies, Costs())
            seconds.append(time.perf_counter() - begin)
    wall_s = statistics.median(seconds)
    n_pairs = case.n_traces * len(policies)
    n_pieces = sum(report.n_pieces for report in reports)
    timeline_s = kernel_s.get("region_timeline", 0.0)
    return {
        "traces": case.n_traces,
        "policies": len(policies),
        "pairs": n_pairs,
        "events": sum(map(len, traces)),
        "pieces": n_pieces,
        "batches": len(reports),
        "warm_up_s": round(warm_up_s, 2),
        "repeats": len(seconds),
        "wall_s": round(wall_s, 4),
        "cupy_pairs_per_s": round(n_pairs / wall_s, 1),
        "cpu_engine": cpu_engine,
        "cores": core_count(),
        "cpu_pairs_per_s_all_cores": round(on_cores.pairs_per_s, 1),
        "speedup_over_all_cores": round(n_pairs / wall_s / on_cores.pairs_per_s, 2),
        "gpu_busy_percent": round(statistics.mean(busy_percent), 1) if busy_percent else None,
        "kernels_ms": {name: round(1e3 * spent, 3) for name, spent in sorted(kernel_s.items())},
        # Of the kernels of this package: what CuPy makes of array operations is not among them.
        "kernels_share_of_wall": round(sum(kernel_s.values()) / wall_s, 3),
        "timeline_pieces_per_s": round(n_pieces / timeline_s) if timeline_s else None,
        "portions": sum(len(report.portions) for report in reports),
        "memory_predicted_bytes": max(report.predicted_bytes for report in reports),
        "memory_held_bytes": max(held_bytes),
        "memory_predicted_over_held": round(max(r.predicted_bytes for r in reports) / max(max(held_bytes), 1), 3),
    }


def image_figures(case: Case, n_times: int, repeats: int) -> dict[str, Any]:
    """Make and scan images of a trace's RMP on the device, transfers included, and with numpy on one core."""
    (trace,) = traces_of(case, [0])
    times_ns = [trace.horizon_ns * (i + 1) // (n_times + 1) for i in range(n_times)]
    with watched_launches() as launches:
        found = engine("cupy").scan_rmp(trace, times_ns)
        kernel_s = launches.seconds()
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        engine("cupy").scan_rmp(trace, times_ns)
        seconds.append(time.perf_counter() - begin)
    begin = time.perf_counter()
    right = engine("numpy").scan_rmp(trace, times_ns)
    numpy_s = time.perf_counter() - begin
    if not (np.array_equal(found.assigned, right.assigned) and np.array_equal(found.first, right.first)):
        raise WrongAnswer(f"images of {case.preset}: cupy and numpy differ")
    return {
        "trace": case.name,
        "images": n_times,
        "regions": trace.host.n_regions,
        "cupy_s": round(statistics.median(seconds), 4),
        "numpy_one_core_s": round(numpy_s, 4),
        "kernels_ms": {name: round(1e3 * spent, 3) for name, spent in sorted(kernel_s.items())},
    }


@contextmanager
def _utilisation(every_ms: int = 200) -> Iterator[list[int]]:
    # Percent of the time in which some kernel ran, as the driver counts it.
    samples: list[int] = []
    command = ["nvidia-smi", "-i", "0", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
    try:
        sampler = subprocess.Popen([*command, f"-lms={every_ms}"], stdout=subprocess.PIPE, text=True)
    except OSError:
        yield samples
        return
    try:
        yield samples
    finally:
        sampler.terminate()
        for line in sampler.communicate()[0].splitlines():
            with suppress(ValueError):
                samples.append(int(line))


def sweep_figures(spec: dict[str, Any], backends: Sequence[tuple[str, int | None]]) -> dict[str, Any]:
    """
    Run one sweep with each back-end, from specification to merged rows: generation, transfers and files included.

    Each comes with its number of workers, None for what it takes by itself. The merged rows must be the same bytes.
    """
    from gmemgpu.sweeping.run.sweep import sweep

    figures: dict[str, Any] = {"spec": spec}
    rows: dict[str, bytes] = {}
    with TemporaryDirectory() as folder:
        for backend, workers in backends:
            name = backend if workers is None else f"{backend}, {workers} workers"
            directory = Path(folder) / name
            with _utilisation() as samples:
                begin = time.perf_counter()
                result = sweep(spec, directory, backend=backend, workers=workers)
                wall_s = time.perf_counter() - begin
            if result.fallback is not None:
                raise WrongAnswer(f"numpy was the fallback for {backend}: {result.fallback.reason}")
            rows[name] = (directory / "results.parquet").read_bytes()
            figures[name] = {"rows": result.n_rows, "wall_s": round(wall_s, 2)}
            figures[name]["rows_per_s"] = round(result.n_rows / wall_s, 1)
            if samples:
                figures[name]["gpu_busy_percent"] = round(statistics.mean(samples), 1)
    if len(set(rows.values())) != 1:
        raise WrongAnswer("the sweeps' rows differ")
    return figures
