"""A policy is data: which event requests work, when a pass runs, over which regions, on which cores."""

from __future__ import annotations

import re
from typing import Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from gmemgpu.fields import DurationNs
from gmemgpu.model import ORACLE_NAME
from gmemgpu.units import INT64_MAX, format_duration_ns, parse_duration_ns
from gmemgpu.validation import checked_dataclass, validated

__all__ = ["Policy", "Timer", "Hook", "Busy", "Scope", "Gate", "Executor", "TimerKind", "ORACLE"]

Hook = Literal[
    "none",
    "conversion",
    "invalidate_folio",
    "free_folio",
    "freed",
    "evict_begin",
    "evict_end",
    "inode_free",
    "vm_destroy",
    "region_free",
    "folio_1g",
    "freed_1g",
]
TimerKind = Literal["fixed", "debounce", "periodic"]
Busy = Literal["rerun", "drop"]
Scope = Literal["window", "dirty", "dirty_retry", "vm", "inode", "region"]
Gate = Literal["all", "gmem_free", "free"]
Executor = Literal["leader_followers", "leader_first", "all_cores", "all_threads", "serial"]

_NAMING_SCOPES: tuple[Scope, ...] = ("vm", "inode", "region")
"""Scopes that visit what the requests of a pass name; the others need no request."""
_CANNOT_NAME: dict[Hook, tuple[str, tuple[Scope, ...]]] = {
    "none": ("a clock, which", _NAMING_SCOPES),
    "vm_destroy": ("the end of a VM, which", ("inode", "region")),
    "evict_begin": ("the eviction of an inode, which", ("region",)),
    "evict_end": ("the eviction of an inode, which", ("region",)),
    "inode_free": ("the end of an inode, which", ("region",)),
    "region_free": ("a count of assigned pages, which", ("vm", "inode")),
}
"""Of each hook what requests, and what such a request has not; those that are left out have an extent and its owner."""

_MAX_DELAY_NS = INT64_MAX // 4
_TIMER = re.compile(r"\s*(fixed|debounce|periodic)\s*\(([^(),]*)(?:,([^(),]*))?\)\s*")


@checked_dataclass()
class Timer:
    """How a request becomes due (MODEL.md section 5)."""

    kind: TimerKind = Field(
        default="fixed",
        description='Either fixed (queue_delayed_work), debounce (mod_delayed_work) or periodic (a clock). "immediate" '
        "is fixed with delay 0.",
    )
    delay_ns: DurationNs = Field(
        default=0, le=_MAX_DELAY_NS, validate_default=True, description="The delay, or the period; integer ns."
    )
    max_wait_ns: DurationNs | None = Field(
        default=None,
        le=_MAX_DELAY_NS,
        description="For debounce only: never later than this after the first request of the batch; integer ns.",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return _timer_values(value) if isinstance(value, str) else value

    @field_validator("delay_ns")
    @classmethod
    def _ticks(cls, delay_ns: int, info: ValidationInfo) -> int:
        if info.data.get("kind") == "periodic" and delay_ns == 0:
            raise ValueError("0 cannot be used: a period must be longer than 0")
        return delay_ns

    @field_validator("max_wait_ns")
    @classmethod
    def _of_debounce(cls, max_wait_ns: int | None, info: ValidationInfo) -> int | None:
        kind = info.data.get("kind", "debounce")
        if max_wait_ns is not None and kind != "debounce":
            raise ValueError(f"{kind} takes one time; only debounce has a maximum wait")
        return max_wait_ns

    @classmethod
    def parse(cls, text: str) -> Timer:
        """
        Read ``"immediate"``, ``"fixed(10 s)"``, ``"debounce(10 s, 60 s)"`` or ``"periodic(60 s)"``.

        Parameters
        ----------
        text : str
            As a policies file has it.

        Returns
        -------
        Timer

        Raises
        ------
        SpecError
            If `text` is none of these.

        Examples
        --------
        >>> Timer.parse("debounce(10 s, 1 min)")
        Timer(kind='debounce', delay_ns=10000000000, max_wait_ns=60000000000)
        """
        return validated(cls, text, "timer")

    def __str__(self) -> str:
        if self == Timer():
            return "immediate"
        times = [self.delay_ns] if self.max_wait_ns is None else [self.delay_ns, self.max_wait_ns]
        return f"{self.kind}({', '.join(map(format_duration_ns, times))})"


def _timer_values(text: str) -> dict[str, Any]:
    if text.strip() == "immediate":
        return {}
    match = _TIMER.fullmatch(text)
    if match is None:
        raise ValueError(
            f'"{text}" is no timer; write "immediate", "fixed(10 s)", "debounce(10 s)", '
            '"debounce(10 s, 60 s)" or "periodic(60 s)"'
        )
    kind, *times = match.groups()
    delay_ns, max_wait_ns = (None if time is None else parse_duration_ns(time) for time in times)
    return {"kind": kind, "delay_ns": delay_ns, "max_wait_ns": max_wait_ns}


@checked_dataclass(kw_only=True)
class Policy:
    """When RMPOPT runs, for which regions, and on which cores: the choices of MODEL.md section 5."""

    name: str = Field(description="Unique among the policies evaluated together.")
    hook: Hook = Field(description="The event that requests a pass, or none.")
    timer: Timer = Field(
        default=Timer(), description='How a request becomes due: a Timer, or text such as "debounce(10 s, 60 s)".'
    )
    busy: Busy = Field(
        default="rerun", description="What becomes of a request during a pass: it counts (rerun) or is lost (drop)."
    )
    scope: Scope = Field(default="window", description="The regions that a pass visits.")
    gate: Gate = Field(default="all", description="Which of them it visits, by their state when it starts.")
    executor: Executor = Field(default="leader_first", description="Which cores work on a region, in which order.")
    boot: bool = Field(
        default=True,
        strict=True,
        description="Whether a pass follows the start of the trace and every snp_init, without a request.",
    )
    origin: str = Field(default="", description="Where the idea comes from; no effect.")

    @field_validator("name")
    @classmethod
    def _is_named(cls, name: str) -> str:
        if not name.strip():
            raise ValueError("is empty; results are told apart by name")
        if not name.isprintable():
            raise ValueError("holds what no terminal prints; write letters, digits and signs")
        return name

    @field_validator("timer")
    @classmethod
    def _fits_hook(cls, timer: Timer, info: ValidationInfo) -> Timer:
        hook = info.data.get("hook", "none")
        if timer.kind == "periodic" and hook != "none":
            raise ValueError(f'"{timer}" asks no hook; write hook = "none" instead of "{hook}"')
        return timer

    @model_validator(mode="after")
    def _leaves_the_oracle_alone(self) -> Self:
        if self.is_oracle and (self.hook != "none" or self.boot or self.timer != Timer()):
            raise ValueError('name "oracle" is the bound, which cannot be redefined')
        return self

    @property
    def doubt(self) -> str | None:
        """Why no pass that is requested ever finds a region, None if one may."""
        source, lacking = _CANNOT_NAME.get(self.hook, ("", ()))
        if self.scope not in lacking or (self.hook == "none" and self.timer.kind != "periodic"):
            return None
        hook = f'timer = "{self.timer}"' if self.hook == "none" else f'hook = "{self.hook}"'
        others = [scope for scope in _NAMING_SCOPES if scope not in lacking]
        return (
            f'{hook} with scope = "{self.scope}" visits nothing: a request comes from {source} names no {self.scope}; '
            f"nothing follows the boot pass. Use scope {', '.join([*others, 'dirty'])} or window"
        )

    @property
    def is_oracle(self) -> bool:
        """Whether this is the bound rather than a policy: every episode optimized at once, for nothing."""
        return self.name == ORACLE_NAME


ORACLE = Policy(
    name=ORACLE_NAME,
    hook="none",
    boot=False,
    origin="the bound, no policy: each region has its bit for as long as it is free, for nothing",
)
