"""What a sweep would take: a seed of each kind of scenario is timed here, and scaled. Nothing is written."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from gmemgpu.engine.choice import choose_engine
from gmemgpu.engine.registry import device_count
from gmemgpu.sweeping.run.plan import expected_trace_s, make_plan, pairs_at_once
from gmemgpu.sweeping.run.shard import Setting, Shard, shard_rows
from gmemgpu.sweeping.spec import Scenario, SweepSpec

__all__ = ["SweepEstimate", "estimate"]

Range: TypeAlias = tuple[float, float]
"""Low and high."""

_BUDGET_S = 10.0
_FIRST_PACE = 3.0
"""Seconds for an expected one, until something was timed."""
_LEAST_SHARE = 1 / 64
"""Of a horizon that is timed: less says nothing about the rest."""
_MARGIN, _MARGIN_IF_CUT = 1.5, 3.0
"""What may be off either way: other seeds, all cores at work, the writing of parts."""
_WORKER_BYTES = 150 * 2**20
"""Of a worker that has loaded NumPy, Arrow and Dask and computed nothing."""
_EVENT_BYTES = 280
"""The most that the NumPy engine took above that for each event of a trace, over the presets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepEstimate:
    """
    What a whole sweep takes, none of it done before.

    Parameters
    ----------
    backend : str
        The engine's name.
    unit : {"core", "GPU"}
        What a worker has one of.
    workers, n_parts, n_rows : int
        How many work, and what they do in all.
    n_timed : int
        Traces that were timed, which took `timed_s` in all.
    timed_s : float
        Time that these took.
    busy_s : tuple of float
        Low and high: of one worker that does it all.
    wall_s : tuple of float
        Low and high: of all workers, each as fast as this machine.
    worker_bytes : int
        Memory of a worker with the longest trace, which is of the scenario `largest`.
    largest : str
        Label of that scenario.
    disk_bytes : int
        Parts and merged rows together.
    """

    backend: str
    unit: str
    workers: int
    n_parts: int
    n_rows: int
    n_timed: int
    timed_s: float
    busy_s: Range
    wall_s: Range
    worker_bytes: int
    largest: str
    disk_bytes: int


def estimate(spec: SweepSpec, *, workers: int, backend: str | None = None, elsewhere: bool = False) -> SweepEstimate:
    """
    Estimate time, memory and disk of a sweep from some seconds of work in this process.

    Parameters
    ----------
    spec : SweepSpec
        What would run.
    workers : int
        At least 1.
    backend : str, optional
        Engine, in place of the spec's; it must run here.
    elsewhere : bool
        Whether workers of other machines would run it: what ``auto`` then takes is what they would get.

    Returns
    -------
    SweepEstimate
        From measurement, for this machine.

    Raises
    ------
    BackendError
        If the engine cannot run here.
    InputError, ShardError
        If a trace cannot be made or evaluated.

    Notes
    -----
    A kind of scenario is a preset and a placement. The middle one of each kind by expected size is timed with one seed,
    or with as many as a device takes at once; a long one is cut short by its horizon. The others of its kind are taken
    to need time by their horizon, or by their expected size: whichever is less gives the low end.
    """
    n_at_once = pairs_at_once(spec.n_rows)
    choice = choose_engine(backend or spec.backend, n_pairs=n_at_once, elsewhere=elsewhere)
    plan = make_plan(spec, choice.engine.name, auto=choice.reason is not None)
    on_device = device_count(choice.engine.name) > 0
    # Of a core what this process used, whatever else runs on this machine; a device's time does not count there.
    clock = time.perf_counter if on_device else time.process_time
    seeds = spec.seeds[: max(1, n_at_once // len(spec.policies))] if on_device else spec.seeds[:1]
    kinds: dict[tuple[str, str], dict[str, Scenario]] = {}
    for scenario in spec.scenarios:
        kinds.setdefault((scenario.preset, scenario.workload.memory.placement), {})[scenario.label] = scenario
    begin_s = time.perf_counter()
    # Once untimed: it loads modules, or compiles a device's kernels.
    _rows(_cut_short(spec.scenarios[0], _LEAST_SHARE), seeds, plan.setting)
    low_s = high_s = pace = 0.0
    longest: tuple[float, str] = (0.0, spec.scenarios[0].label)
    for i, of_kind in enumerate(kinds.values()):
        expected_s = {label: _expected_s(one, spec) for label, one in of_kind.items()}
        middle = of_kind[sorted(expected_s, key=expected_s.__getitem__)[len(expected_s) // 2]]
        left_s = max(0.0, begin_s + _BUDGET_S - time.perf_counter()) / (len(kinds) - i)
        whole_s = expected_s[middle.label] * len(seeds)
        share = min(1.0, max(_LEAST_SHARE, left_s / (whole_s * (pace or _FIRST_PACE))))
        timed = _cut_short(middle, share)
        clock_s = clock()
        rows = _rows(timed, seeds, plan.setting)
        took_s = clock() - clock_s
        # All of the middle one, in times of what was timed; then each scenario in times of the middle one.
        grown = whole_s / (_expected_s(timed, spec) * len(seeds))
        pace = max(pace, took_s * grown / whole_s)
        by_size = {label: size_s * len(seeds) / whole_s for label, size_s in expected_s.items()}
        by_horizon = {at: one.workload.horizon_ns / middle.workload.horizon_ns for at, one in of_kind.items()}
        sums = sorted((sum(by_size.values()), sum(by_horizon.values())))
        each_s = took_s * grown * len(spec.seeds) / len(seeds)
        margin = _MARGIN if share == 1.0 else _MARGIN_IF_CUT
        low_s += each_s * sums[0] / margin
        high_s += each_s * sums[1] * margin
        n_events = grown * max(row["events"] for row in rows)
        longest = max(longest, *((n_events * max(by_size[at], by_horizon[at]), at) for at in of_kind))
    at_once = min(workers, len(plan.shards))
    row_bytes = sum(_value_bytes(value) for row in rows for value in row.values()) / len(rows)
    return SweepEstimate(
        backend=choice.engine.name,
        unit="GPU" if on_device else "core",
        workers=workers,
        n_parts=len(plan.shards),
        n_rows=spec.n_rows,
        n_timed=len(seeds) * len(kinds),
        timed_s=time.perf_counter() - begin_s,
        busy_s=(low_s, high_s),
        wall_s=(low_s / at_once, high_s / at_once),
        worker_bytes=int(_WORKER_BYTES + _EVENT_BYTES * longest[0]),
        largest=longest[1],
        # A row lies in its part and merged; a part has its schema at both ends.
        disk_bytes=int(2 * row_bytes * spec.n_rows) + 2 * plan.setting.schema.serialize().size * len(plan.shards),
    )


def _value_bytes(value: Any) -> int:
    if isinstance(value, list):
        return 4 + 8 * len(value)
    return 4 + len(value) if isinstance(value, str) else 8


def _rows(scenario: Scenario, seeds: tuple[int, ...], setting: Setting) -> list[dict[str, Any]]:
    ((rows,), _) = shard_rows(
        [Shard(part_id="", index=0, scenario=0, seeds=seeds)], replace(setting, scenarios=(scenario,))
    )
    return rows


def _expected_s(scenario: Scenario, spec: SweepSpec) -> float:
    workload, n_policies = scenario.workload, len(spec.policies)
    expected_s = expected_trace_s(workload, n_policies)
    source = workload.vm_table
    if source is None or math.isfinite(expected_s):
        return expected_s
    # Nothing but the file says how many come.
    arrival_ns = source.for_host(workload.host.host, spec.seeds[0]).arrival_ns
    return expected_trace_s(workload, n_policies, float((arrival_ns < workload.horizon_ns).sum()))


def _cut_short(scenario: Scenario, share: float) -> Scenario:
    if share >= 1.0:
        return scenario
    horizon_ns = max(1, int(scenario.workload.horizon_ns * share))
    workload = scenario.workload.model_copy(update={"horizon_ns": horizon_ns, "warmup_ns": 0})
    return replace(scenario, workload=workload)
