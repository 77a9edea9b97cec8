"""What a device fails at, CPU cores do from its start; once a device is lost, also all later work of this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from gmemgpu.engine.protocol import Engine
from gmemgpu.engine.registry import cpu_engine_name, engine
from gmemgpu.errors import BackendError, DeviceLost
from gmemgpu.model.cost import Costs
from gmemgpu.model.metric import MetricRow
from gmemgpu.model.policy import Policy
from gmemgpu.model.trace import Trace

__all__ = ["Evaluated", "evaluate_with_fallback", "first_line"]

_lost: dict[str, str] = {}
"""Engine to reason. A CUDA context that failed stays failed for as long as its process lives."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """
    Rows, and whether the fallback computed them.

    Parameters
    ----------
    rows : list (traces) of list (policies) of MetricRow
        One row of integers for each pair.
    failure : str or None
        Why CPU cores computed the rows; None if the engine that was asked for did.
    """

    rows: list[list[MetricRow]]
    failure: str | None


def evaluate_with_fallback(
    name: str, traces: Callable[[Engine], Iterable[Trace]], policies: Sequence[Policy], costs: Costs, *, auto: bool
) -> Evaluated:
    """
    Evaluate traces with an engine, and on CPU cores if its device fails.

    Parameters
    ----------
    name : str
        Name of an engine.
    traces : callable
        Makes the traces anew for an engine. Called a second time if another takes over: every row comes out once.
    policies : sequence of Policy
        May hold the oracle.
    costs : Costs
        Times of RMPOPT, in ns.
    auto : bool
        Whether nobody asked for this engine by name. The fastest CPU engine then also does what this one refuses (a
        trace too large for the device), and all of it where it cannot run.

    Returns
    -------
    Evaluated
        All rows, and why another engine computed them if one did.

    Raises
    ------
    BackendError
        If a trace or a cost is beyond what the engine can hold, or it cannot run here, and no other may take over.
    """
    failure = _lost.get(name)
    if failure is None:
        try:
            return _evaluated(engine(name), traces, policies, costs, None)
        except DeviceLost as error:
            failure = _lost[name] = first_line(error)
        except BackendError as error:
            if not auto or name in ("numpy", cpu_engine_name()):
                # What a CPU engine refuses the others would, too.
                raise
            failure = first_line(error)
    return _evaluated(engine(cpu_engine_name()), traces, policies, costs, failure)


def _evaluated(
    by: Engine,
    traces: Callable[[Engine], Iterable[Trace]],
    policies: Sequence[Policy],
    costs: Costs,
    failure: str | None,
) -> Evaluated:
    return Evaluated(by.evaluate(traces(by), policies, costs), failure)


def first_line(error: Exception) -> str:
    """
    Return the first line of an error's message, without the lines that explain it.

    Parameters
    ----------
    error : Exception
        Any error.

    Returns
    -------
    str
        The name of its type if it has no message.
    """
    return next(iter(str(error).splitlines()), "") or type(error).__name__
