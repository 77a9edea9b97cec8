"""A shard: the unit of work and of resume. Parameters and seeds in, one part of the store out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from gmemgpu.engine.registry import choose_engine
from gmemgpu.errors import GmemgpuError, InputError, Problem
from gmemgpu.model.cost import Costs
from gmemgpu.model.policy import Policy
from gmemgpu.sweeping.axes import AxisValue
from gmemgpu.sweeping.part import part_is_done, part_name, write_part
from gmemgpu.workload.generate import generate
from gmemgpu.workload.spec import Workload

__all__ = ["Shard", "Setting", "ShardError", "compute_shard", "shard_rows"]

_WRITE_AGAIN_AFTER_S = (0.1, 1.0)
"""A shared disk may hiccup; rows that took a second to compute are worth another second."""


class ShardError(GmemgpuError):
    """A shard failed; the message names its scenario and seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """
    What all shards of a sweep share.

    Parameters
    ----------
    policies : tuple of Policy
    costs : Costs
    backend : str
        An engine's name, never ``auto``: all workers shall take the same.
    schema : pyarrow.Schema
        Columns of the sweep.
    """

    policies: tuple[Policy, ...]
    costs: Costs
    backend: str
    schema: pa.Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """
    A run of seeds of one scenario.

    Parameters
    ----------
    part_id : str
        Hash of everything that its rows depend on.
    label, preset : str
        Of the scenario.
    axes : dict of str to AxisValue
    workload : Workload
    seeds : tuple of int
    n_rows : int
        Seeds × policies.
    """

    part_id: str
    label: str
    preset: str
    axes: dict[str, AxisValue]
    workload: Workload
    seeds: tuple[int, ...]
    n_rows: int


def shard_rows(shard: Shard, setting: Setting) -> Iterator[dict[str, Any]]:
    """
    Compute the rows of a shard, seed by seed, policy by policy.

    Yields
    ------
    dict
        A value for each column of the sweep.

    Raises
    ------
    InputError
        If a file that the workload names is wrong; every problem names scenario and seed.
    ShardError
        If anything else goes wrong.
    """
    engine = choose_engine(setting.backend)
    for seed in shard.seeds:
        here = f'scenario "{shard.label}", seed {seed}'
        try:
            made = generate(shard.workload, seed)
            trace = made.trace
            (metrics,) = engine.evaluate([trace], setting.policies, setting.costs)
        except InputError as error:
            raise type(error)([Problem(f"{here}: {item.where}", item.message) for item in error.problems]) from error
        except Exception as error:
            raise ShardError(f"{here}: {type(error).__name__}: {error}") from error
        told = {
            "label": shard.label,
            "preset": shard.preset,
            **shard.axes,
            "seed": seed,
            "cores": trace.host.cores,
            "horizon_ns": trace.horizon_ns,
            "warmup_ns": trace.warmup_ns,
            "events": len(trace),
            "admitted": made.admitted,
            "rejected": made.rejected,
        }
        for policy, row in zip(setting.policies, metrics, strict=True):
            yield {**told, "policy": policy.name, **row}


def compute_shard(shard: Shard, setting: Setting, folder: str) -> None:
    """
    Compute a shard and write its part: what a worker runs.

    Parameters
    ----------
    shard : Shard
    setting : Setting
    folder : str
        Where parts lie; reachable from the worker.

    Raises
    ------
    InputError, ShardError
        As `shard_rows` does.
    OSError
        If the part cannot be written, not even after a while.
    """
    parts = Path(folder)
    # A worker that dies after its last act is not known to have finished: its shard comes again, its part is there.
    if part_is_done(parts / part_name(shard.part_id), shard.part_id, shard.n_rows):
        return
    rows = list(shard_rows(shard, setting))
    for wait_s in (*_WRITE_AGAIN_AFTER_S, None):
        try:
            write_part(parts, shard.part_id, rows, setting.schema)
            return
        except OSError:
            if wait_s is None:
                raise
            time.sleep(wait_s)
