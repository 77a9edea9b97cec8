"""Measured passes: a file's ``[[pass]]`` tables, and what the model gives for each under some costs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from gmemgpu.engine.reference.executor import TargetClass, attempt_cost
from gmemgpu.fields import Count, DurationNs, Integer, Section
from gmemgpu.model.cost import Costs
from gmemgpu.model.policy import Executor
from gmemgpu.toml_file import packaged_toml, read_toml
from gmemgpu.units import BLOCKS_PER_REGION
from gmemgpu.validation import validated

__all__ = ["TIMES", "MeasuredPass", "Time", "model_times_ns", "published_passes", "read_passes"]

Time: TypeAlias = Literal["wall", "leader_busy", "follower_busy"]
TIMES: tuple[Time, ...] = ("wall", "leader_busy", "follower_busy")
"""What is measured of a pass: its length, the CPU time of its leader, that of all followers together."""

_MOST_REGIONS = 2**30


def _runs(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


_Runs: TypeAlias = Annotated[tuple[Annotated[DurationNs, Field(gt=0)], ...], BeforeValidator(_runs)]
_Regions: TypeAlias = Annotated[Integer, Field(ge=0, le=_MOST_REGIONS)]


class MeasuredPass(Section):
    """One pass, or several runs of the same: how it was done, over which regions, and how long it took."""

    name: str = Field(min_length=1, max_length=32, description="What the pass is called in what is printed.")
    source: str = Field(default="", description="Where the figures come from.")
    executor: Executor = Field(description="How attempts are spread over cores.")
    cores: Count | None = Field(default=None, le=_MOST_REGIONS, description="Cores that cover the regions.")
    threads_per_core: Count | None = Field(default=None, le=_MOST_REGIONS, description="Sibling threads of a core.")
    clean: _Regions = Field(default=0, description="Regions that were free, their bit not set.")
    cached: _Regions = Field(default=0, description="Regions whose bit was set.")
    failed: _Regions = Field(default=0, description="Regions with an assigned page.")
    first_block: Annotated[Integer, Field(ge=0, lt=BLOCKS_PER_REGION)] | None = Field(
        default=None, description="Block of 2 MiB, 0 to 511, of the first assigned page of failed regions."
    )
    wall: _Runs = Field(default=(), description="From the pass's start to its end; a list if it was run repeatedly.")
    leader_busy: _Runs = Field(default=(), description="CPU time of the leader.")
    follower_busy: _Runs = Field(default=(), description="CPU time of followers, summed over them.")

    @model_validator(mode="after")
    def _is_complete(self) -> MeasuredPass:
        faults = []
        if not self.clean + self.cached + self.failed:
            faults.append("visits no region; say how many were clean, cached and failed")
        if not (self.wall or self.leader_busy or self.follower_busy):
            faults.append("has no time; give wall, leader_busy or follower_busy")
        if self.cores is None and (self.follower_busy or (self.wall and self.executor == "serial")):
            faults.append("needs cores: this time grows with them")
        if self.threads_per_core is None and self.follower_busy and self.executor == "all_threads":
            faults.append("needs threads_per_core: the time of followers grows with them")
        if self.first_block is None and self.failed and self.executor not in ("all_cores", "all_threads"):
            faults.append("needs first_block, 0 to 511: how far RMPOPT reads until it fails")
        if not faults and any(getattr(self, time) and not ns for time, ns in model_times_ns(self, Costs()).items()):
            faults.append("has follower_busy, but nobody follows: one core, or none that is asked")
        if faults:
            raise ValueError("; ".join(faults))
        return self


_HOW = "write a table [[pass]] for each pass that was measured"


def _some(value: object) -> object:
    if not isinstance(value, list) or not value:
        raise ValueError(f"holds no pass; {_HOW}")
    return value


class _Document(Section):
    passes: Annotated[tuple[MeasuredPass, ...], BeforeValidator(_some)] = Field(alias="pass", description=_HOW)


def model_times_ns(measured: MeasuredPass, costs: Costs) -> dict[Time, int]:
    """
    Compute what the model gives for a pass.

    Parameters
    ----------
    measured : MeasuredPass
        Its executor and regions; times are not looked at.
    costs : Costs
        Times of RMPOPT, in ns. Every time of a pass is linear in them.

    Returns
    -------
    dict
        Each of `TIMES` in ns.
    """
    classes: tuple[tuple[TargetClass, int], ...] = (
        ("clean", measured.clean),
        ("cached", measured.cached),
        ("fail", measured.failed),
    )
    times: dict[Time, int] = dict.fromkeys(TIMES, 0)
    for target, n_regions in classes:
        # What is not told enters no time that was measured.
        one = attempt_cost(
            measured.executor,
            target,
            measured.first_block or 0,
            measured.cores or 1,
            measured.threads_per_core or 1,
            costs,
        )
        times["wall"] += n_regions * (one.leader_ns + one.round_ns)
        times["leader_busy"] += n_regions * one.leader_busy_ns
        times["follower_busy"] += n_regions * one.follower_busy_ns
    return times


def _passes(document: Mapping[str, Any], where: str) -> tuple[MeasuredPass, ...]:
    return validated(_Document, document, where).passes


def read_passes(path: str | Path) -> tuple[MeasuredPass, ...]:
    """
    Read a file of measured passes: ``[[pass]]`` tables.

    Parameters
    ----------
    path : str or Path
        A TOML file.

    Returns
    -------
    tuple of MeasuredPass
        In the order of the file, at least one.

    Raises
    ------
    SpecError
        With every problem of the file.
    """
    return _passes(read_toml(path), f"{path}: ")


def published_passes() -> tuple[MeasuredPass, ...]:
    """
    Return the passes whose times were published, which the package's costs are fitted to.

    Returns
    -------
    tuple of MeasuredPass
        In the order of ``published_passes.toml``.
    """
    return _passes(packaged_toml("published_passes"), "published_passes.toml: ")
