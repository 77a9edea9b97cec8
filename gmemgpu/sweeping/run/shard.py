"""A shard: the unit of resume. Parameters and seeds in, one part of the store out."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa

from gmemgpu.engine.fallback import evaluate_with_fallback
from gmemgpu.engine.protocol import Engine
from gmemgpu.errors import GmemgpuError, InputError, Problem
from gmemgpu.generator import generate
from gmemgpu.lifecycle.life_cycle import GeneratedTrace
from gmemgpu.model.cost import Costs
from gmemgpu.model.policy import Policy
from gmemgpu.model.trace import Trace
from gmemgpu.rmp.sampled import ImageTimes, counted_times, rmp_figures
from gmemgpu.sweeping.spec import Scenario
from gmemgpu.sweeping.store.part import rows_to_arrow, write_part
from gmemgpu.units import PAGE_BYTES

__all__ = ["Generated", "Shard", "Setting", "ShardError", "shard_rows", "compute_shards"]

Generated: TypeAlias = Callable[[Sequence["Shard"]], Generator[GeneratedTrace, None, None]]
"""Makes the traces of some shards, in their order, seed by seed."""

_WRITE_AGAIN_AFTER_S = (0.1, 1.0)
"""A shared disk may hiccup; rows that took a second to compute are worth another second."""


class ShardError(GmemgpuError):
    """A shard failed; the message names its scenario and seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """A run of seeds of one scenario."""

    part_id: str  # hash of everything that its rows depend on
    index: int  # its place among all shards of the sweep
    scenario: int  # index of its scenario in the setting
    seeds: tuple[int, ...]  # one trace each


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What all shards of a sweep share."""

    sweep_id: str  # hash of all part ids in their order
    scenarios: tuple[Scenario, ...]  # what shards name by index
    axes: tuple[str, ...]  # columns that tell scenarios apart
    policies: tuple[Policy, ...]  # evaluated on each trace
    costs: Costs  # what a pass costs
    backend: str  # an engine's name, never ``auto``: all workers shall take the same
    auto: bool  # whether ``auto`` chose the engine: then another does what that engine cannot
    images: ImageTimes | None  # when images of the RMP are made; None for never
    schema: pa.Schema  # columns of the sweep

    def label_of(self, shard: Shard) -> str:
        """Return the label of a shard's scenario."""
        return self.scenarios[shard.scenario].label

    def name_of(self, shards: Sequence[Shard]) -> str:
        """Return the scenarios and seeds of shards that are computed together, for messages."""
        first, last = shards[0], shards[-1]
        if len(shards) == 1:
            return f'scenario "{self.label_of(first)}", seeds {first.seeds[0]} to {first.seeds[-1]}'
        return (
            f'scenario "{self.label_of(first)}", seed {first.seeds[0]}, to '
            f'scenario "{self.label_of(last)}", seed {last.seeds[-1]}'
        )


def _trace(
    shard: Shard,
    seed: int,
    setting: Setting,
    engine: Engine,
    facts: list[dict[str, Any]],
    generated: Iterator[GeneratedTrace],
) -> Trace:
    # Appends what the rows say of the trace: the engine may let go of the trace itself.
    scenario = setting.scenarios[shard.scenario]
    here = f'scenario "{scenario.label}", seed {seed}'
    try:
        made = next(generated)
    except InputError as error:
        raise type(error)([Problem(f"{here}: {item.where}", item.message) for item in error.problems]) from error
    except Exception as error:
        kind = "" if isinstance(error, GmemgpuError) else f"{type(error).__name__}: "
        raise ShardError(f"{here}: {kind}{error}") from error
    trace = made.trace
    figures: dict[str, int] = {}
    if setting.images is not None:
        figures = rmp_figures(engine.scan_rmp(trace, counted_times(trace, setting.images)), trace.host.hole_regions())
    facts.append(
        {
            "label": scenario.label,
            "preset": scenario.preset,
            **{name: scenario.axes.get(name) for name in setting.axes},
            "seed": seed,
            "cores": trace.host.cores,
            "present_bytes": trace.host.present_pages * PAGE_BYTES,
            "horizon_ns": trace.horizon_ns,
            "warmup_ns": trace.warmup_ns,
            "events": len(trace),
            "admitted": made.admitted,
            "rejected": made.rejected,
            "running_vm_ns": made.running_vm_ns,
            "running_snp_vm_ns": made.running_snp_vm_ns,
            **figures,
        }
    )
    return trace


def _generated_here(shards: Sequence[Shard], setting: Setting) -> Generator[GeneratedTrace, None, None]:
    for shard in shards:
        for seed in shard.seeds:
            yield generate(setting.scenarios[shard.scenario].workload, seed)


def shard_rows(
    shards: Sequence[Shard], setting: Setting, generated: Generated | None = None
) -> tuple[list[list[dict[str, Any]]], str | None]:
    """
    Compute the rows of shards, in one call of the engine.

    Seed by seed, policy by policy, a list a shard; and why another engine was the fallback for that of the setting.
    Every error names scenario and seed: an `InputError` if a file that a workload names is wrong, else a `ShardError`.
    """
    facts: list[dict[str, Any]] = []

    def traces(engine: Engine) -> Iterator[Trace]:
        # A device that was lost may have taken some already.
        facts.clear()
        found = _generated_here(shards, setting) if generated is None else generated(shards)
        with closing(found):
            for shard in shards:
                for seed in shard.seeds:
                    yield _trace(shard, seed, setting, engine, facts, found)

    try:
        found = evaluate_with_fallback(setting.backend, traces, setting.policies, setting.costs, auto=setting.auto)
    except (InputError, ShardError):
        raise
    except Exception as error:
        kind = "" if isinstance(error, GmemgpuError) else f"{type(error).__name__}: "
        raise ShardError(f"{setting.name_of(shards)}: {kind}{error}") from error
    of_trace = zip(facts, found.rows, strict=True)
    rows = [
        [
            {**facts_of_trace, "policy": policy.name, **row}
            for facts_of_trace, evaluated in islice(of_trace, len(shard.seeds))
            for policy, row in zip(setting.policies, evaluated, strict=True)
        ]
        for shard in shards
    ]
    return rows, found.failure


def compute_shards(
    shards: Sequence[Shard], setting: Setting, parts: Path, generated: Generated | None = None
) -> str | None:
    """
    Compute shards and write their parts; a part that is there already is written again, with the same bytes.

    They are evaluated together; if that fails, one by one, so that one that cannot be done takes no other along: the
    first error is raised when the others are there.
    """
    try:
        rows, fallback = shard_rows(shards, setting, generated)
    except (InputError, ShardError):
        if len(shards) == 1:
            raise
        return _one_by_one(shards, setting, parts, generated)
    for shard, rows_of_shard in zip(shards, rows, strict=True):
        table = rows_to_arrow(rows_of_shard, setting.schema)
        about = {"sweep": setting.sweep_id, "index": shard.index}
        for wait_s in (*_WRITE_AGAIN_AFTER_S, None):
            try:
                write_part(parts, shard.part_id, table, about)
                break
            except OSError:
                if wait_s is None:
                    raise
                time.sleep(wait_s)
    return fallback


def _one_by_one(shards: Sequence[Shard], setting: Setting, parts: Path, generated: Generated | None) -> str | None:
    failed: Exception | None = None
    fallback = None
    for shard in shards:
        try:
            fallback = compute_shards([shard], setting, parts, generated) or fallback
        except (InputError, ShardError) as error:
            failed = failed or error
    if failed is not None:
        raise failed
    return fallback
