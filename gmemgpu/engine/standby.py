"""What a device fails at, numpy does from its start; once a device is lost, also all later work of this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from gmemgpu.engine.registry import engine
from gmemgpu.errors import BackendError, DeviceLost
from gmemgpu.model.cost import Costs
from gmemgpu.model.metric import MetricRow
from gmemgpu.model.policy import Policy
from gmemgpu.model.trace import Trace

__all__ = ["Evaluated", "evaluate_or_stand_in", "first_line"]

_STAND_IN = "numpy"

_lost: dict[str, str] = {}
"""Engine to reason. A CUDA context that failed stays failed for as long as its process lives."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """
    Rows, and who computed them.

    Parameters
    ----------
    rows : list (traces) of list (policies) of MetricRow
    failure : str or None
        Why numpy stood in; None if the wanted engine did the work.
    """

    rows: list[list[MetricRow]]
    failure: str | None


def evaluate_or_stand_in(
    name: str, traces: Callable[[], Iterable[Trace]], policies: Sequence[Policy], costs: Costs, *, auto: bool
) -> Evaluated:
    """
    Evaluate traces with an engine, and with numpy if its device fails.

    Parameters
    ----------
    name : str
        Of an engine.
    traces : callable
        Gives them anew at each call; called again if numpy stands in, so that every row comes out once.
    policies : sequence of Policy
    costs : Costs
    auto : bool
        Whether nobody asked for this engine by name: then numpy also does what the engine refuses (a trace too large
        for the device), and all of it where the engine cannot run.

    Returns
    -------
    Evaluated

    Raises
    ------
    BackendError
        If a trace or a cost is beyond what the engine can hold, or it cannot run here, and numpy may not stand in.
    """
    failure = _lost.get(name)
    if failure is None:
        try:
            return Evaluated(engine(name).evaluate(traces(), policies, costs), None)
        except DeviceLost as error:
            failure = _lost[name] = first_line(error)
        except BackendError as error:
            if not auto or name == _STAND_IN:
                raise
            failure = first_line(error)
    return Evaluated(engine(_STAND_IN).evaluate(traces(), policies, costs), failure)


def first_line(error: Exception) -> str:
    """Give what an error says, without the lines that explain it."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__
