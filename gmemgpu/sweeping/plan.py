"""From a spec to shards: which tasks a sweep consists of, and what each of them is called."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from gmemgpu.sweeping.expected import expected_trace_s
from gmemgpu.sweeping.identity import SCHEMA_VERSION, code_hash, digest, digester
from gmemgpu.sweeping.part import rows_schema
from gmemgpu.sweeping.shard import Setting, Shard
from gmemgpu.sweeping.spec import SweepSpec, policy_table
from gmemgpu.workload.spec import Workload

__all__ = ["Plan", "make_plan", "shard_length_s", "seeds_per_shard"]

_MAX_SEEDS = 1024
_N_SHARDS = 1000
"""A sweep is cut at least so fine, where it is work enough: for hundreds of workers, and for a progress bar."""
_LEAST_S = 1.0
_MOST_S = 30.0
"""Of a shard on one core: less drowns in scheduling, more is lost with a killed worker or awaited at a walltime."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """
    The shards of a sweep.

    Parameters
    ----------
    shards : tuple of Shard
        In the order of the final rows: scenario, seed, policy.
    setting : Setting
        What they share.
    results_id : str
        Hash of all part ids: what the merged rows are named by.
    """

    shards: tuple[Shard, ...]
    setting: Setting
    results_id: str

    @property
    def n_rows(self) -> int:
        """Number of (scenario, seed, policy) combinations."""
        return sum(shard.n_rows for shard in self.shards)


def make_plan(spec: SweepSpec, backend: str, *, auto: bool = False) -> Plan:
    """
    Cut a sweep into shards.

    Parameters
    ----------
    spec : SweepSpec
    backend : str
        Name of the engine that will run, resolved.
    auto : bool
        Whether ``auto`` chose it.

    Returns
    -------
    Plan
        The same for the same spec on every machine.
    """
    columns = {name: [scenario.axes.get(name) for scenario in spec.scenarios] for name in spec.axes}
    schema = rows_schema(columns)
    shared = {
        "schema": SCHEMA_VERSION,
        "code": code_hash(),
        "policies": [[policy.name, policy_table(policy)] for policy in spec.policies],
        "costs": asdict(spec.costs),
        "columns": [[field.name, str(field.type)] for field in schema],
    }
    common = digest(shared)
    shards: list[Shard] = []
    at_most_s = shard_length_s(spec)
    for scenario in spec.scenarios:
        axes = {name: scenario.axes.get(name) for name in spec.axes}
        identity = {
            "common": common,
            "label": scenario.label,
            "preset": scenario.preset,
            "axes": axes,
            "workload": scenario.workload.model_dump(),
        }
        # A file counts by what is in it, not by where it lies.
        digest_of_seeds = digester(identity, "seeds", spec.input_hashes.__getitem__)
        n = seeds_per_shard(scenario.workload, len(spec.policies), at_most_s)
        for i in range(0, len(spec.seeds), n):
            seeds = spec.seeds[i : i + n]
            shards.append(
                Shard(
                    # 128 bits of the hash: no two shards ever meet, and the file names stay readable.
                    part_id=digest_of_seeds(seeds)[:32],
                    label=scenario.label,
                    preset=scenario.preset,
                    axes=axes,
                    workload=scenario.workload,
                    seeds=seeds,
                    n_rows=len(seeds) * len(spec.policies),
                )
            )
    return Plan(
        shards=tuple(shards),
        setting=Setting(policies=spec.policies, costs=spec.costs, backend=backend, schema=schema, auto=auto),
        results_id=digest([shard.part_id for shard in shards])[:32],
    )


def shard_length_s(spec: SweepSpec) -> float:
    """
    Say how long a shard of a sweep should take: a second for a small one, up to half a minute for a huge one.

    Each shard costs the one client some milliseconds, so that a thousand workers want longer ones than two do.

    Parameters
    ----------
    spec : SweepSpec

    Returns
    -------
    float
        By the same estimate as in `seeds_per_shard`.
    """
    each_s = (expected_trace_s(scenario.workload, len(spec.policies)) for scenario in spec.scenarios)
    whole_s = len(spec.seeds) * sum(trace_s for trace_s in each_s if math.isfinite(trace_s))
    return min(max(whole_s / _N_SHARDS, _LEAST_S), _MOST_S)


def seeds_per_shard(workload: Workload, n_policies: int, at_most_s: float) -> int:
    """
    Say how many seeds make a shard that takes about so long.

    Parameters
    ----------
    workload : Workload
    n_policies : int
    at_most_s : float

    Returns
    -------
    int
        At least 1; a matter of parameters alone, so that every machine cuts the same parts.
    """
    return max(1, min(_MAX_SEEDS, round(at_most_s / expected_trace_s(workload, n_policies))))
