"""The one exception family, and how a user's mistakes are reported: all of them, each with its remedy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = [
    "Problem",
    "GmemgpuError",
    "InputError",
    "SpecError",
    "TraceError",
    "BackendError",
    "DeviceLost",
    "StoreError",
    "DirectoryError",
]


@dataclass(frozen=True, slots=True)
class Problem:
    """
    One mistake in an input.

    Parameters
    ----------
    where : str
        File and key or row, as in ``sweep.toml: policy[3].timer`` or ``t.parquet: row 12, column kind``.
    message : str
        What is wrong with which value, and what to write instead.
    n_more : int
        How many like it this one stands for beside itself; its message says so.
    """

    where: str
    message: str
    n_more: int = 0

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


class GmemgpuError(Exception):
    """Base of everything that gmemgpu raises on purpose; the command line exits with `exit_code`."""

    exit_code = 1


class InputError(GmemgpuError):
    """
    The input is wrong; every problem found is listed.

    Parameters
    ----------
    problems : iterable of Problem, or Problem
        At least one.
    """

    exit_code = 2

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class SpecError(InputError):
    """A sweep, workload, policy, cost, host or engine that was asked for is wrong."""


class TraceError(InputError):
    """A trace or VM table is wrong."""


class BackendError(GmemgpuError):
    """An engine was asked for that cannot run here, or that failed; the message names why and what to try."""


class DeviceLost(BackendError):
    """The device failed in mid-work and serves this process no more; another engine can do the work from its start."""


class StoreError(GmemgpuError):
    """Results cannot be stored or read back: a disk is full, a file is damaged, or the directory is the wrong one."""


class DirectoryError(StoreError):
    """The results directory asked for is the wrong one: no sweep, another sweep, other files, or no such place."""

    exit_code = 2
