"""From a spec to shards: which parts a sweep consists of, and what each of them is called."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from gmemgpu.model import MODEL_VERSION
from gmemgpu.sweeping.run.shard import Setting, Shard
from gmemgpu.sweeping.spec import SweepSpec, policy_table
from gmemgpu.sweeping.store.identity import digest, digester
from gmemgpu.sweeping.store.part import rows_schema
from gmemgpu.units import NS_PER_S
from gmemgpu.workload.spec import Workload

__all__ = ["Plan", "SEEDS_AT_ONCE", "make_plan", "expected_trace_s", "batches", "pairs_at_once"]

SEEDS_AT_ONCE = 8
"""A sweep that grows gets so many seeds more, or a multiple: its shards are cut so that each of them stays whole."""

_MAX_SEEDS = 1024
_N_SHARDS = 1000
"""A sweep is cut at least so fine, where it is work enough: for hundreds of workers, and for a progress bar."""
_LEAST_S = 1.0
_MOST_S = 30.0
"""Of a shard on one core: less drowns in scheduling, more is lost with a killed worker or awaited at a walltime."""
_DEVICE_PAIRS = 8192
"""(trace, policy) pairs of a task on a device, if there are so many: some batches, so that the last, during which no
more traces are made, is a small part of it. More would be lost with a killed worker."""
_LEAST_DEVICE_PAIRS = 2048
"""No task on a device is smaller, however few tasks that makes: less leaves the device's multiprocessors idle."""
_TASKS_PER_DEVICE = 2
"""At least, where there are pairs enough: no worker shall idle while another has a long task."""

# Seen in traces of the presets, where an allocator gives a guest few pieces; "scatter" makes one of each 2 MiB block.
_EVENTS_PER_SNP_VM = 30
_EVENTS_PER_PLAIN_VM = 2
_EVENTS_PER_SCATTERED_VM = 3_000
_EVENTS_PER_CONVERSION = 5
_POLICY_S = 0.0015
"""Of one policy on an empty trace, by the NumPy engine; `_EVENT_S` more for each event."""
_EVENT_S = 2e-7
_DAY_NS = 86_400 * NS_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The shards of a sweep."""

    shards: tuple[Shard, ...]  # in the order of the final rows: scenario, seed, policy
    setting: Setting  # what they share

    @property
    def n_rows(self) -> int:
        """Number of (scenario, seed, policy) combinations."""
        return self.rows_of(self.shards)

    def rows_of(self, shards: Sequence[Shard]) -> int:
        """Return the number of rows of some shards."""
        return sum(len(shard.seeds) for shard in shards) * len(self.setting.policies)

    def expected_s(self, shards: Sequence[Shard]) -> float:
        """Estimate how long some shards take one core, to a factor of a few."""
        n_policies = len(self.setting.policies)
        each_s = [expected_trace_s(scenario.workload, n_policies) for scenario in self.setting.scenarios]
        return sum(len(shard.seeds) * each_s[shard.scenario] for shard in shards)


def make_plan(spec: SweepSpec, backend: str, *, auto: bool = False, growing: bool = False) -> Plan:
    """
    Cut a sweep into shards.

    Parameters
    ----------
    spec : SweepSpec
        What to run.
    backend : str
        Name of the engine that will run, resolved; parts are the same whatever it is.
    auto : bool
        Whether ``auto`` chose it.
    growing : bool
        Cut so that all shards of `SEEDS_AT_ONCE` seeds, or of a multiple, are shards of the same spec with more.

    Returns
    -------
    Plan
        The same shards for the same spec on every machine.
    """
    columns = {name: [scenario.axes.get(name) for scenario in spec.scenarios] for name in spec.axes}
    schema = rows_schema(columns, with_images=spec.images is not None)
    common = digest(
        {
            "model": MODEL_VERSION,
            "policies": [[policy.name, policy_table(policy)] for policy in spec.policies],
            "costs": asdict(spec.costs),
            **({} if spec.images is None else {"images": asdict(spec.images)}),
            "columns": [[field.name, str(field.type)] for field in schema],
        }
    )
    shards: list[Shard] = []
    each_s = [expected_trace_s(scenario.workload, len(spec.policies)) for scenario in spec.scenarios]
    whole_s = (SEEDS_AT_ONCE if growing else len(spec.seeds)) * sum(filter(math.isfinite, each_s))
    # Each shard costs the one client some milliseconds, so that a thousand workers want longer ones than two do.
    shard_s = min(max(whole_s / _N_SHARDS, _LEAST_S), _MOST_S)
    for i_scenario, scenario in enumerate(spec.scenarios):
        identity = {
            "common": common,
            "label": scenario.label,
            "preset": scenario.preset,
            "axes": {name: scenario.axes.get(name) for name in spec.axes},
            "workload": scenario.workload.model_dump(),
        }
        # A file counts by what is in it, not by where it lies.
        digest_of_seeds = digester(identity, "seeds", spec.input_hashes.__getitem__)
        n = max(1, min(_MAX_SEEDS, round(shard_s / each_s[i_scenario])))
        if growing:
            n = 1 << min(n, SEEDS_AT_ONCE).bit_length() - 1  # of 1, 2, 4 and 8 the last that is not larger
        for i in range(0, len(spec.seeds), n):
            seeds = spec.seeds[i : i + n]
            # 128 bits of the hash: no two shards ever meet, and the file names stay readable.
            part_id = digest_of_seeds(seeds)[:32]
            shards.append(Shard(part_id=part_id, index=len(shards), scenario=i_scenario, seeds=seeds))
    setting = Setting(
        sweep_id=digest([shard.part_id for shard in shards])[:32],
        scenarios=spec.scenarios,
        axes=spec.axes,
        policies=spec.policies,
        costs=spec.costs,
        backend=backend,
        auto=auto,
        images=spec.images,
        schema=schema,
    )
    return Plan(shards=tuple(shards), setting=setting)


def expected_trace_s(workload: Workload, n_policies: int, n_arrivals: float | None = None) -> float:
    """
    Estimate how long one core takes for a trace and its policies, to a factor of a few.

    Infinite for a VM table that is not thinned to a rate, unless the number of arrivals is given.
    """
    if workload.event is not None:
        return (_POLICY_S + _EVENT_S * sum(event.times for event in workload.event)) * n_policies
    if n_arrivals is None:
        if workload.vm_table is None:
            n_arrivals = workload.expected_arrivals
        else:
            # A whole file may come if it is not thinned: one seed is enough for a task.
            thin = workload.vm_table.thin
            a_day = math.inf if thin is None or thin.arrivals_per_day is None else thin.arrivals_per_day
            n_arrivals = a_day * workload.horizon_ns / _DAY_NS
    vms = workload.n_stock + n_arrivals
    memory, share = workload.memory, workload.snp.share
    conversions = memory.conversions_per_s * workload.n_stock * share * workload.horizon_ns / NS_PER_S
    per_vm = share * _EVENTS_PER_SNP_VM + (1.0 - share) * _EVENTS_PER_PLAIN_VM
    # A displaced block cuts what lies in order around it.
    scattered = 1.0 if memory.placement == "scatter" else min(1.0, 2.0 * memory.displaced)
    per_vm = max(per_vm, scattered * _EVENTS_PER_SCATTERED_VM * workload.sizes.scale)
    return (_POLICY_S + _EVENT_S * (vms * per_vm + conversions * _EVENTS_PER_CONVERSION)) * n_policies


def batches(shards: Sequence[Shard], n_policies: int, *, workers: int, on_device: bool) -> list[tuple[Shard, ...]]:
    """Collect shards into what one Dask task computes: a shard on a core, thousands of pairs on a device."""
    if not on_device:
        return [(shard,) for shard in shards]
    n_of = [len(shard.seeds) * n_policies for shard in shards]
    enough = _device_pairs(sum(n_of), workers)
    found: list[tuple[Shard, ...]] = []
    held: list[Shard] = []
    n_held, n_left = 0, sum(n_of)
    for shard, n in zip(shards, n_of, strict=True):
        held.append(shard)
        n_held += n
        n_left -= n
        # What is left over goes with the last task.
        if n_held >= enough and n_left >= _LEAST_DEVICE_PAIRS:
            found.append(tuple(held))
            held, n_held = [], 0
    return [*found, tuple(held)] if held else found


def _device_pairs(n_pairs: int, workers: int) -> int:
    share = n_pairs // (workers * _TASKS_PER_DEVICE)
    return max(_LEAST_DEVICE_PAIRS, min(_DEVICE_PAIRS, share))


def pairs_at_once(n_rows: int) -> int:
    """Return how many pairs of a whole sweep, a row each, one device would get at once."""
    return max(1, min(n_rows, _device_pairs(n_rows, 1)))
