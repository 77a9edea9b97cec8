"""A shard: the unit of resume. Parameters and seeds in, one part of the store out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from gmemgpu.engine.standby import evaluate_or_stand_in
from gmemgpu.errors import GmemgpuError, InputError, Problem
from gmemgpu.generator import generate
from gmemgpu.model.cost import Costs
from gmemgpu.model.policy import Policy
from gmemgpu.model.trace import Trace
from gmemgpu.sweeping.part import part_is_done, part_name, write_part
from gmemgpu.sweeping.spec import AxisValue
from gmemgpu.sweeping.stand_in import tell_client
from gmemgpu.workload.spec import Workload

__all__ = ["Shard", "Setting", "ShardError", "ShardRows", "compute_shards", "shard_rows", "shard_names"]

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
    auto : bool
        Whether ``auto`` chose the engine: then numpy does what that engine cannot.
    """

    policies: tuple[Policy, ...]
    costs: Costs
    backend: str
    schema: pa.Schema
    auto: bool = False


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


@dataclass(frozen=True, slots=True)
class ShardRows:
    """
    What shards came to.

    Parameters
    ----------
    of_shard : list (shards) of list of dict
        A value for each column of the sweep; seed by seed, policy by policy.
    failure : str or None
        Why numpy stood in for the setting's engine, if it did.
    """

    of_shard: list[list[dict[str, Any]]]
    failure: str | None


def shard_names(shards: Sequence[Shard]) -> str:
    """Name the scenarios and seeds of shards that were computed together."""
    first, last = shards[0], shards[-1]
    if len(shards) == 1:
        return f'scenario "{first.label}", seeds {first.seeds[0]} to {first.seeds[-1]}'
    return f'scenario "{first.label}", seed {first.seeds[0]}, to scenario "{last.label}", seed {last.seeds[-1]}'


def _trace(shard: Shard, seed: int, told: list[dict[str, Any]]) -> Trace:
    # Appends what the rows say of the trace: the engine may let go of the trace itself.
    here = f'scenario "{shard.label}", seed {seed}'
    try:
        made = generate(shard.workload, seed)
    except InputError as error:
        raise type(error)([Problem(f"{here}: {item.where}", item.message) for item in error.problems]) from error
    except Exception as error:
        raise ShardError(f"{here}: {type(error).__name__}: {error}") from error
    trace = made.trace
    told.append(
        {
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
    )
    return trace


def shard_rows(shards: Sequence[Shard], setting: Setting) -> ShardRows:
    """
    Compute the rows of shards, in one call of the engine.

    Parameters
    ----------
    shards : sequence of Shard
        At least one.
    setting : Setting

    Returns
    -------
    ShardRows

    Raises
    ------
    InputError
        If a file that a workload names is wrong; every problem names scenario and seed.
    ShardError
        If anything else goes wrong.
    """
    told: list[dict[str, Any]] = []

    def traces() -> Iterator[Trace]:
        # A device that was lost may have taken some already.
        told.clear()
        for shard in shards:
            for seed in shard.seeds:
                yield _trace(shard, seed, told)

    try:
        found = evaluate_or_stand_in(setting.backend, traces, setting.policies, setting.costs, auto=setting.auto)
    except (InputError, ShardError):
        raise
    except Exception as error:
        kind = "" if isinstance(error, GmemgpuError) else f"{type(error).__name__}: "
        raise ShardError(f"{shard_names(shards)}: {kind}{error}") from error
    of_trace = zip(told, found.rows, strict=True)
    return ShardRows(
        [
            [
                {**facts, "policy": policy.name, **row}
                for facts, rows in islice(of_trace, len(shard.seeds))
                for policy, row in zip(setting.policies, rows, strict=True)
            ]
            for shard in shards
        ],
        found.failure,
    )


def compute_shards(shards: Sequence[Shard], setting: Setting, folder: str) -> None:
    """
    Compute shards and write their parts: what a worker runs.

    Parameters
    ----------
    shards : sequence of Shard
        Evaluated together; those whose parts are there already are left out.
    setting : Setting
    folder : str
        Where parts lie; reachable from the worker.

    Raises
    ------
    InputError, ShardError
        As `shard_rows` does.
    OSError
        If a part cannot be written, not even after a while.
    """
    parts = Path(folder)
    # A worker that dies after its last act is not known to have finished: its shards come again, their parts are there.
    todo = [
        shard for shard in shards if not part_is_done(parts / part_name(shard.part_id), shard.part_id, shard.n_rows)
    ]
    if not todo:
        return
    found = shard_rows(todo, setting)
    for shard, rows in zip(todo, found.of_shard, strict=True):
        _write(parts, shard.part_id, rows, setting.schema)
    if found.failure is not None:
        tell_client([shard.part_id for shard in todo], found.failure)


def _write(parts: Path, part_id: str, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    for wait_s in (*_WRITE_AGAIN_AFTER_S, None):
        try:
            write_part(parts, part_id, rows, schema)
            return
        except OSError:
            if wait_s is None:
                raise
            time.sleep(wait_s)
