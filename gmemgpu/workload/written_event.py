"""Events that a spec writes itself, in place of VMs: one a line, or one a line that is repeated by a rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from gmemgpu.errors import Problem
from gmemgpu.fields import Count, DurationNs, Integer, Section
from gmemgpu.model.event import KIND_BY_NAME, LIFE_CYCLE_KINDS
from gmemgpu.model.host import Host
from gmemgpu.model.trace import COLUMNS, Int64Array, Trace
from gmemgpu.toml_file import unknown_key
from gmemgpu.trace.check import COLUMN_DTYPES, row_problems
from gmemgpu.units import INT64_MAX

__all__ = ["WrittenEvent", "written_trace", "written_problems"]

_MOST_EVENTS = 1_000_000
_LARGEST_ID = (1 << 31) - 1


class WrittenEvent(Section):
    """
    A row of a trace, and how often it comes.

    Repetition i is `step_ns` × i later, `step_pages` × i further on in memory, and of a VM and inode `step_ids` × i up.
    """

    t_ns: DurationNs = Field(description="When.")
    kind: str = Field(description="What happens: a kind of the trace format.")
    pfn: Integer = Field(default=0, ge=0, le=1 << 40, description="First page; 0x40000 pages are 1 GiB.")
    npages: Integer = Field(default=0, ge=0, le=1 << 40, description="Pages; 0 for kinds without an extent.")
    vm: Integer = Field(default=-1, ge=-1, le=_LARGEST_ID, description="VM id, -1 for none.")
    inode: Integer = Field(default=-1, ge=-1, le=_LARGEST_ID, description="guest_memfd inode id, -1 for none.")
    folio_pages: Literal[1, 512, 262_144] = Field(default=1, description="Pages of a folio of the extent.")
    times: Count = Field(default=1, le=_MOST_EVENTS, description="How often it comes.")
    step_ns: DurationNs = Field(default=0, description="From one time to the next.")
    step_pages: Integer = Field(default=0, ge=0, le=1 << 40, description="From one first page to the next.")
    step_ids: Integer = Field(default=0, ge=0, le=_LARGEST_ID, description="From one VM and inode id to the next.")

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        if kind not in KIND_BY_NAME:
            raise ValueError(f'"{kind}": {unknown_key(kind, list(KIND_BY_NAME), "kind")}')
        return kind

    @model_validator(mode="after")
    def _fits(self) -> Self:
        last = self.times - 1
        if self.t_ns + last * self.step_ns > INT64_MAX:
            raise ValueError(f"step_ns {self.step_ns} leads past 2^63 ns in {self.times} times; lower either")
        if max(self.vm, self.inode) + last * self.step_ids > _LARGEST_ID:
            raise ValueError(f"step_ids {self.step_ids} leads past 2^31 in {self.times} times; lower either")
        return self


def written_trace(events: Sequence[WrittenEvent], host: Host, *, horizon_ns: int, warmup_ns: int) -> Trace:
    """
    Build the trace of written events.

    Parameters
    ----------
    events : sequence of WrittenEvent
        In any order of time; at equal times they happen in this order, repetitions of one in theirs.
    host : Host
        Where they happen; `written_problems` says whether they can.
    horizon_ns, warmup_ns : int
        Go into the trace unchanged.

    Returns
    -------
    Trace
        Sorted by time.
    """
    columns, _ = _columns(events)
    return Trace(host=host, horizon_ns=horizon_ns, warmup_ns=warmup_ns, **columns)


def written_problems(events: Sequence[WrittenEvent], host: Host, *, horizon_ns: int) -> list[Problem]:
    """
    Return what is impossible in written events; a mistake that repetitions repeat is named once.

    Parameters
    ----------
    events : sequence of WrittenEvent
        As for `written_trace`.
    host : Host
        Where they happen.
    horizon_ns : int
        End of the trace.

    Returns
    -------
    list of Problem
        Their rows are the tables of events, the first being 1.
    """
    columns, source = _columns(events)
    found = row_problems(columns, "event", host=host, horizon_ns=horizon_ns, row_numbers=source + 1)
    return list({problem.where: problem for problem in reversed(found)}.values())[::-1]


def _columns(events: Sequence[WrittenEvent]) -> tuple[dict[str, NDArray[Any]], Int64Array]:
    # The columns of the trace, and the event that each of its rows repeats.
    times = np.array([event.times for event in events], np.int64)
    source = np.repeat(np.arange(len(events)), times)
    nth = np.arange(len(source)) - np.repeat(np.cumsum(times) - times, times)

    def values(name: str) -> Int64Array:
        return np.array([getattr(event, name) for event in events], np.int64)[source]

    def stepped(name: str, step: str) -> Int64Array:
        first = values(name)
        return np.where(first < 0, first, first + nth * values(step))

    kind = np.array([KIND_BY_NAME[event.kind] for event in events], np.int64)[source]
    columns = {
        "t_ns": stepped("t_ns", "step_ns"),
        "kind": kind,
        "pfn": stepped("pfn", "step_pages"),
        "npages": values("npages"),
        "vm": stepped("vm", "step_ids"),
        "inode": stepped("inode", "step_ids"),
        "folio_pages": np.where(np.isin(kind, list(LIFE_CYCLE_KINDS)), 0, values("folio_pages")),
    }
    order = np.argsort(columns["t_ns"], kind="stable")
    return {name: columns[name][order].astype(COLUMN_DTYPES[name]) for name in COLUMNS}, source[order]
