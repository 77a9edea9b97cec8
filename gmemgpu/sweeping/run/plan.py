"""From a spec to shards: which parts a sweep consists of, and what each of them is called."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from gmemgpu.model import MODEL_VERSION
from gmemgpu.sweeping.expected import expected_trace_s
from gmemgpu.sweeping.run.shard import Setting, Shard
from gmemgpu.sweeping.spec import SweepSpec, policy_table
from gmemgpu.sweeping.store.identity import digest, digester
from gmemgpu.sweeping.store.part import rows_schema
from gmemgpu.workload.spec import Workload

__all__ = ["Plan", "SEEDS_AT_ONCE", "make_plan", "shard_length_s", "seeds_per_shard", "batches", "pairs_at_once"]

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The shards of a sweep."""

    shards: tuple[Shard, ...]  # in the order of the final rows: scenario, seed, policy
    setting: Setting  # what they share

    @property
    def sweep_id(self) -> str:
        """Hash of all part ids in their order."""
        return self.setting.sweep_id

    @property
    def n_rows(self) -> int:
        """Number of (scenario, seed, policy) combinations."""
        return self.rows_of(self.shards)

    def rows_of(self, shards: Sequence[Shard]) -> int:
        """Return the number of rows of some shards."""
        return sum(len(shard.seeds) for shard in shards) * len(self.setting.policies)

    def expected_s(self, shards: Sequence[Shard]) -> float:
        """Estimate how long some shards take one core, to a factor of a few."""
        n_seeds: Counter[int] = Counter()
        for shard in shards:
            n_seeds[shard.scenario] += len(shard.seeds)
        scenarios, n_policies = self.setting.scenarios, len(self.setting.policies)
        return sum(n * expected_trace_s(scenarios[i].workload, n_policies) for i, n in n_seeds.items())

    def name_of(self, shards: Sequence[Shard]) -> str:
        """Return the scenarios and seeds of some shards, for messages."""
        return self.setting.name_of(shards)


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
    at_most_s = shard_length_s(spec, SEEDS_AT_ONCE if growing else len(spec.seeds))
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
        n = seeds_per_shard(scenario.workload, len(spec.policies), at_most_s)
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


def shard_length_s(spec: SweepSpec, n_seeds: int) -> float:
    """
    Compute how long a shard of a sweep should take: a second for a small one, up to half a minute for a huge one.

    Each shard costs the one client some milliseconds, so that a thousand workers want longer ones than two do.
    """
    each_s = (expected_trace_s(scenario.workload, len(spec.policies)) for scenario in spec.scenarios)
    whole_s = n_seeds * sum(trace_s for trace_s in each_s if math.isfinite(trace_s))
    return min(max(whole_s / _N_SHARDS, _LEAST_S), _MOST_S)


def seeds_per_shard(workload: Workload, n_policies: int, at_most_s: float) -> int:
    """
    Compute how many seeds make a shard that takes about so long.

    From parameters alone, so that every machine cuts the same parts.
    """
    return max(1, min(_MAX_SEEDS, round(at_most_s / expected_trace_s(workload, n_policies))))


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
