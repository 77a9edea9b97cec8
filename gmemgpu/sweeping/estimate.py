"""What a sweep would take: measured on a few of its traces, scaled to all of them. Nothing is written."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from typing import Any

from gmemgpu.engine.choice import choose_engine
from gmemgpu.engine.registry import device_count
from gmemgpu.errors import GmemgpuError
from gmemgpu.sweeping.effort import expected_events, expected_trace_s
from gmemgpu.sweeping.part import parquet_writer, rows_to_arrow
from gmemgpu.sweeping.plan import Plan, make_plan
from gmemgpu.sweeping.shard import Setting, Shard, shard_rows
from gmemgpu.sweeping.spec import SweepSpec
from gmemgpu.sweeping.task import pairs_at_once
from gmemgpu.workload.spec import Workload

__all__ = ["Estimate", "NoFitError", "NoRateError", "estimate"]

_BUDGET_S = 10.0
_SAMPLES_PER_KIND = 3
_PROCESS_BYTES = 150 * 2**20
"""A worker that has loaded NumPy, Arrow and Dask and computed nothing."""
_EVENT_BYTES = 280
"""The most that the NumPy engine took above that for each event of a trace, over the presets."""
_LEAST_FACTOR = 1.3
"""Machines are never as quiet as during a measurement."""
_FACTOR_UNKNOWN = 3.0
"""Of how far expected events are off where nothing says so."""


class NoFitError(GmemgpuError):
    """A shard needs more memory than a worker has."""


class NoRateError(GmemgpuError):
    """Nothing says how large a trace will be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """
    What a whole sweep takes, none of it done before.

    Parameters
    ----------
    backend : str
    on_device : bool
        Whether `busy_s` is that of GPUs, not of cores.
    workers : int
    n_shards, n_rows : int
    n_traces_measured : int
    measured_s : float
        How long that took.
    busy_s : float
        Of one worker doing it all.
    wall_s : float
        On all workers, each as fast as this machine.
    factor : float
        The truth is most likely between 1 / `factor` and `factor` times the times.
    worker_bytes : int
        Memory of a worker with the largest trace.
    largest : str
        Scenario of that trace.
    result_bytes : int
        Parts and merged rows together.
    """

    backend: str
    on_device: bool
    workers: int
    n_shards: int
    n_rows: int
    n_traces_measured: int
    measured_s: float
    busy_s: float
    wall_s: float
    factor: float
    worker_bytes: int
    largest: str
    result_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    # Some traces of a scenario: measured over expected.
    kind: str
    n_traces: int
    took_s: float
    expected_s: float
    events: int
    expected_events: float
    n_rows: int
    file_bytes: int
    first_row_bytes: int


def estimate(
    spec: SweepSpec,
    *,
    workers: int,
    worker_bytes: int | None = None,
    backend: str | None = None,
) -> Estimate:
    """
    Predict time, memory and disk of a sweep from some seconds of measurement in this process.

    Parameters
    ----------
    spec : SweepSpec
    workers : int
        At least 1.
    worker_bytes : int, optional
        Memory that each of them has; no limit if left out.
    backend : str, optional
        Engine, in place of the spec's; it must run here.

    Returns
    -------
    Estimate

    Raises
    ------
    BackendError
        If the engine cannot run here.
    NoFitError
        If a trace needs more than `worker_bytes`.
    NoRateError
        If a VM table does not say how many VMs come.
    ShardError
        If a shard fails.

    Notes
    -----
    Up to three scenarios of each kind (a preset and a placement) run with one seed, or with a device's fill of seeds.
    A long one is cut short by its horizon. Each kind's ratio of measured to expected time is then put on the rest.
    """
    n_rows = len(spec.scenarios) * len(spec.seeds) * len(spec.policies)
    choice = choose_engine(backend or spec.backend, n_pairs=pairs_at_once(n_rows))
    plan = make_plan(spec, choice.engine.name, auto=choice.reason is not None)
    on_device = device_count(choice.engine.name) > 0
    _refuse_no_rate(plan)
    begin_s = time.perf_counter()
    samples = _measure(plan, on_device=on_device)
    measured_s = time.perf_counter() - begin_s
    shards_s = [_shard_s(shard, plan.setting, samples) for shard in plan.shards]
    largest, events = _largest(plan, samples)
    needed = int(_PROCESS_BYTES + _EVENT_BYTES * events)
    if worker_bytes is not None and needed > worker_bytes:
        raise NoFitError(
            f'scenario "{largest}": a trace of some {events:,.0f} events needs about {needed / 2**30:.1f} GiB, and a '
            f"worker has {worker_bytes / 2**30:.1f} GiB; give workers more memory (fewer of them on a machine), or "
            "shorten the horizon or the host"
        )
    busy_s = sum(shards_s)
    return Estimate(
        backend=choice.engine.name,
        on_device=on_device,
        workers=workers,
        n_shards=len(plan.shards),
        n_rows=plan.n_rows,
        n_traces_measured=sum(sample.n_traces for sample in samples),
        measured_s=measured_s,
        busy_s=busy_s,
        # No shard is split, and the last ones do not end together.
        wall_s=max(max(shards_s), busy_s / workers),
        factor=_factor(samples, {_kind(shard) for shard in plan.shards}),
        worker_bytes=needed,
        largest=largest,
        result_bytes=_result_bytes(plan, samples),
    )


def _refuse_no_rate(plan: Plan) -> None:
    for shard in plan.shards:
        if not math.isfinite(expected_events(shard.workload)):
            raise NoRateError(
                f'scenario "{shard.label}": nothing says how many VMs of its table come to the host; give '
                "vm_table.thin.arrivals_per_day, or sweep it without asking before"
            )


def _kind(shard: Shard) -> str:
    return f"{shard.preset} {shard.workload.memory.placement}"


def _candidates(plan: Plan) -> list[Shard]:
    # One shard of each scenario; of each kind the cheapest, the dearest and one between, a kind at a time.
    n_policies = len(plan.setting.policies)
    by_kind: dict[str, dict[str, Shard]] = {}
    for shard in plan.shards:
        by_kind.setdefault(_kind(shard), {}).setdefault(shard.label, shard)
    chosen = []
    for shards in by_kind.values():
        ranked = sorted(shards.values(), key=lambda shard: expected_trace_s(shard.workload, n_policies))
        places = {0, len(ranked) // 2, len(ranked) - 1} if len(ranked) > _SAMPLES_PER_KIND else range(len(ranked))
        chosen.append([ranked[i] for i in sorted(places)])
    return [shard for shard in chain.from_iterable(zip_longest(*chosen)) if shard is not None]


def _measure(plan: Plan, *, on_device: bool) -> list[_Sample]:
    n_policies = len(plan.setting.policies)
    fill = max(1, pairs_at_once(plan.n_rows) // n_policies) if on_device else 1
    samples: list[_Sample] = []
    candidates = _candidates(plan)
    give_up_s = time.perf_counter() + _BUDGET_S
    for i, shard in enumerate(candidates):
        left_s = give_up_s - time.perf_counter()
        if samples and left_s <= 0:
            break
        # In expected seconds, of which this machine may do more or fewer in one.
        share_s = left_s / (len(candidates) - i) / _pace(samples, _kind(shard))
        n_traces = max(1, min(fill, int(share_s / expected_trace_s(shard.workload, n_policies))))
        some = replace(
            shard,
            seeds=tuple(range(n_traces)),
            workload=_cut_short(shard.workload, n_policies, share_s),
            n_rows=n_traces * n_policies,
        )
        if not samples:
            # The first call loads modules, or compiles a device's kernels.
            _run(_least(some), plan.setting, on_device=on_device)
        samples.append(_run(some, plan.setting, on_device=on_device))
    return samples


def _cut_short(workload: Workload, n_policies: int, at_most_s: float) -> Workload:
    share = at_most_s / expected_trace_s(workload, n_policies)
    if share >= 1.0:
        return workload
    return workload.model_copy(update={"horizon_ns": max(1, int(workload.horizon_ns * share)), "warmup_ns": 0})


def _run(shard: Shard, setting: Setting, *, on_device: bool) -> _Sample:
    # Of a core what this process used, whatever else runs on this machine; a device does not count there.
    clock = time.perf_counter if on_device else time.process_time
    begin_s = clock()
    (rows,) = shard_rows([shard], setting).of_shard
    file_bytes = _file_bytes(rows, setting)
    took_s = clock() - begin_s
    n_policies = len(setting.policies)
    return _Sample(
        kind=_kind(shard),
        n_traces=len(shard.seeds),
        took_s=took_s,
        expected_s=expected_trace_s(shard.workload, n_policies) * len(shard.seeds),
        events=sum(row["events"] for row in rows[::n_policies]),
        expected_events=expected_events(shard.workload) * len(shard.seeds),
        n_rows=shard.n_rows,
        file_bytes=file_bytes,
        first_row_bytes=_file_bytes(rows[:1], setting),
    )


def _file_bytes(rows: Sequence[Mapping[str, Any]], setting: Setting) -> int:
    file = io.BytesIO()
    with parquet_writer(file, setting.schema, "", len(rows)) as writer:
        writer.write_table(rows_to_arrow(rows, setting.schema))
    return file.tell()


def _least(shard: Shard) -> Shard:
    horizon_ns = max(1, shard.workload.horizon_ns // 100)
    workload = shard.workload.model_copy(update={"horizon_ns": horizon_ns, "warmup_ns": 0})
    return replace(shard, seeds=shard.seeds[:1], workload=workload, n_rows=shard.n_rows // len(shard.seeds))


def _of_kind(samples: list[_Sample], kind: str) -> list[_Sample]:
    # What was not measured is taken for the average of what was.
    return [sample for sample in samples if sample.kind == kind] or samples


def _pace(samples: list[_Sample], kind: str) -> float:
    # Measured over expected time.
    found = _of_kind(samples, kind)
    return sum(sample.took_s for sample in found) / sum(sample.expected_s for sample in found) if found else 1.0


def _shard_s(shard: Shard, setting: Setting, samples: list[_Sample]) -> float:
    expected_s = expected_trace_s(shard.workload, len(setting.policies)) * len(shard.seeds)
    return expected_s * _pace(samples, _kind(shard))


def _largest(plan: Plan, samples: list[_Sample]) -> tuple[str, float]:
    # The scenario with the longest trace, and its events.
    def events(shard: Shard) -> float:
        found = _of_kind(samples, _kind(shard))
        expected = sum(sample.expected_events for sample in found)
        # No VM is expected: then the trace is as long as those that were measured.
        if expected == 0:
            return max(sample.events / sample.n_traces for sample in found)
        ratio = sum(sample.events for sample in found) / expected
        return expected_events(shard.workload) * ratio

    largest = max(plan.shards, key=events)
    return largest.label, events(largest)


def _factor(samples: list[_Sample], kinds: set[str]) -> float:
    # Two standard deviations of what samples say against their kind's average.
    if kinds - {sample.kind for sample in samples} or len(samples) == len(kinds):
        return _FACTOR_UNKNOWN
    off = [math.log(sample.took_s / sample.expected_s / _pace(samples, sample.kind)) for sample in samples]
    spread = math.sqrt(sum(value * value for value in off) / (len(samples) - len(kinds)))
    return max(_LEAST_FACTOR, math.exp(2.0 * spread))


def _result_bytes(plan: Plan, samples: list[_Sample]) -> int:
    # A file's first row brings the columns' descriptions along.
    first = sum(sample.first_row_bytes for sample in samples) / len(samples)
    others = sum(sample.file_bytes - sample.first_row_bytes for sample in samples)
    row_bytes = others / max(1, sum(sample.n_rows - 1 for sample in samples))
    # Every row is written twice: in its part, and merged.
    return int(first * (len(plan.shards) + 1) + 2 * row_bytes * plan.n_rows)
