"""A policy is data: which event requests work, when a pass runs, over which regions, on which cores."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from gmemgpu.errors import Problem
from gmemgpu.units import INT64_MAX, format_duration_ns, parse_duration_ns

__all__ = ["Policy", "Timer", "Hook", "Busy", "Scope", "Gate", "Executor", "TimerKind", "ORACLE", "policy_problems"]

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
]
TimerKind = Literal["fixed", "debounce", "periodic"]
Busy = Literal["rerun", "drop"]
Scope = Literal["window", "dirty", "dirty_retry", "vm", "inode", "region"]
Gate = Literal["all", "gmem_free", "free"]
Executor = Literal["leader_followers", "leader_first", "all_cores", "all_threads", "serial"]

_TIMER = re.compile(r"\s*(fixed|debounce|periodic)\s*\(([^(),]*)(?:,([^(),]*))?\)\s*")


@dataclass(frozen=True, slots=True)
class Timer:
    """
    How a request becomes due (MODEL.md section 5).

    Parameters
    ----------
    kind : {"fixed", "debounce", "periodic"}
        queue_delayed_work, mod_delayed_work, or a clock. ``immediate`` is ``fixed`` with delay 0.
    delay_ns : int
        The delay, or the period.
    max_wait_ns : int, optional
        ``debounce`` only: never later than this after the first request of the batch.
    """

    kind: TimerKind = "fixed"
    delay_ns: int = 0
    max_wait_ns: int | None = None

    @classmethod
    def parse(cls, text: str) -> Timer:
        """
        Read ``"immediate"``, ``"fixed(10 s)"``, ``"debounce(10 s, 60 s)"`` or ``"periodic(60 s)"``.

        Raises
        ------
        ValueError
            If `text` is none of these.

        Examples
        --------
        >>> Timer.parse("debounce(10 s, 1 min)")
        Timer(kind='debounce', delay_ns=10000000000, max_wait_ns=60000000000)
        """
        if text.strip() == "immediate":
            return cls()
        match = _TIMER.fullmatch(text)
        if match is None:
            raise ValueError(
                f'"{text}" is no timer; write "immediate", "fixed(10 s)", "debounce(10 s)", '
                '"debounce(10 s, 60 s)" or "periodic(60 s)"'
            )
        kind: TimerKind = match[1]  # type: ignore[assignment]  # the expression allows no other
        delay, max_wait = match[2], match[3]
        if max_wait is not None and kind != "debounce":
            raise ValueError(f'"{text}": {kind} takes one time; only debounce has a maximum wait')
        delay_ns = parse_duration_ns(delay)
        if kind == "periodic" and delay_ns == 0:
            raise ValueError(f'"{text}": a period must be longer than 0')
        return cls(kind, delay_ns, None if max_wait is None else parse_duration_ns(max_wait))

    def __str__(self) -> str:
        if self == Timer():
            return "immediate"
        times = [self.delay_ns] if self.max_wait_ns is None else [self.delay_ns, self.max_wait_ns]
        return f"{self.kind}({', '.join(map(format_duration_ns, times))})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """
    When RMPOPT runs, for which regions, and on which cores (MODEL.md section 5).

    Parameters
    ----------
    name : str
        Unique among the policies evaluated together.
    hook, timer, busy, scope, gate, executor
        The choices of MODEL.md section 5.
    boot : bool
        Whether a pass follows the start of the trace and every ``snp_init``, without a request.
    origin : str
        Where the idea comes from; shown by ``gmemgpu policies``, no effect.
    """

    name: str
    hook: Hook
    timer: Timer = Timer()
    busy: Busy = "rerun"
    scope: Scope = "window"
    gate: Gate = "all"
    executor: Executor = "leader_first"
    boot: bool = True
    origin: str = ""

    @property
    def is_oracle(self) -> bool:
        """Whether this is the bound rather than a policy: every episode optimized at once, for nothing."""
        return self.name == "oracle"


ORACLE = Policy(
    name="oracle",
    hook="none",
    boot=False,
    origin="the bound, no policy: each region has its bit for as long as it is free, for nothing",
)


def policy_problems(policy: Policy, where: str) -> list[Problem]:
    """
    List what makes a policy meaningless.

    Parameters
    ----------
    policy : Policy
        To be checked.
    where : str
        Prefix of every problem's place, as in ``mine.toml: policy[2]``.

    Returns
    -------
    list of Problem
        Empty if the policy is sound.
    """
    problems = []
    choices = {"hook": Hook, "busy": Busy, "scope": Scope, "gate": Gate, "executor": Executor}
    for key, allowed in choices.items():
        value = getattr(policy, key)
        if value not in get_args(allowed):
            problems.append(Problem(f"{where}.{key}", f'"{value}" is unknown; use {", ".join(get_args(allowed))}'))
    if policy.timer.kind == "periodic" and policy.hook != "none":
        problems.append(Problem(f"{where}.hook", f'"{policy.hook}" has no effect beside {policy.timer}; write "none"'))
    for key in ("delay_ns", "max_wait_ns"):
        value = getattr(policy.timer, key)
        if value is not None and not 0 <= value <= INT64_MAX // 4:
            problems.append(Problem(f"{where}.timer", f"{value} ns is outside 0 to {INT64_MAX // 4} ns"))
    return problems
