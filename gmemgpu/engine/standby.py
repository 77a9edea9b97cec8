"""When a device is lost in mid-work, numpy does that work from its start, and all later work of this process."""

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
    lost : str or None
        Why numpy stood in; None if the wanted engine did the work.
    """

    rows: list[list[MetricRow]]
    lost: str | None


def evaluate_or_stand_in(
    name: str, traces: Callable[[], Iterable[Trace]], policies: Sequence[Policy], costs: Costs
) -> Evaluated:
    """
    Evaluate traces with an engine, and with numpy if its device is lost.

    Parameters
    ----------
    name : str
        Of an engine.
    traces : callable
        Gives them anew at each call; called again if the device is lost, so that every row comes out once.
    policies : sequence of Policy
    costs : Costs

    Returns
    -------
    Evaluated

    Raises
    ------
    BackendError
        If a trace or a cost is beyond what the engine can hold.
    """
    if name != _STAND_IN and name not in _lost:
        try:
            wanted = engine(name)
        except BackendError as error:
            # It ran where the sweep was planned, so this process alone has lost it.
            _lost[name] = first_line(error)
        else:
            try:
                return Evaluated(wanted.evaluate(traces(), policies, costs), None)
            except DeviceLost as error:
                _lost[name] = first_line(error)
    return Evaluated(engine(_STAND_IN).evaluate(traces(), policies, costs), _lost.get(name))


def first_line(error: Exception) -> str:
    """Give what an error says, without the lines that explain it."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__
