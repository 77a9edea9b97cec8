"""What a trace file says beside its rows: host, horizon, warm-up; the same keys in JSON and in TOML."""

from __future__ import annotations

from pydantic import Field, ValidationInfo, field_validator

from gmemgpu.fields import DurationNs
from gmemgpu.model.host import Host
from gmemgpu.model.trace import Trace
from gmemgpu.units import INT64_MAX
from gmemgpu.validation import checked_dataclass, validated

__all__ = ["Header", "MAX_HORIZON_NS", "header_of"]

MAX_HORIZON_NS = INT64_MAX // 4
"""73 years: an event, a timer's delay and a pass on top of it still fit 63 bits."""


@checked_dataclass(kw_only=True)
class Header:
    """Host and times of a trace; ``dataclasses.asdict`` makes the document that a file carries."""

    host: Host = Field(description="A table of memory_bytes, nodes, cores and threads_per_core.")
    horizon_ns: DurationNs = Field(gt=0, le=MAX_HORIZON_NS, description="End of the trace, in integer ns.")
    warmup_ns: DurationNs = Field(default=0, description="What happens earlier is not counted, in integer ns.")

    @field_validator("warmup_ns")
    @classmethod
    def _before_the_horizon(cls, warmup_ns: int, info: ValidationInfo) -> int:
        last_ns = info.data.get("horizon_ns", MAX_HORIZON_NS) - 1
        if warmup_ns > last_ns:
            raise ValueError(f"{warmup_ns} is outside 0 to {last_ns} ns; it must end before the horizon")
        return warmup_ns


def header_of(trace: Trace, where: str) -> Header:
    """
    Return the header of a trace.

    Parameters
    ----------
    trace : Trace
        Its host, horizon and warm-up are checked.
    where : str
        The file, or another name, for messages.

    Returns
    -------
    Header
        What a file carries beside the columns.

    Raises
    ------
    SpecError
        If it is impossible; lists every problem.
    """
    times = {"horizon_ns": trace.horizon_ns, "warmup_ns": trace.warmup_ns}
    return validated(Header, {"host": trace.host, **times}, f"{where}: ")
