"""Costs that fit measured passes by least squares, how certain they are, and which of them no pass tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gmemgpu.calibration.measurement import TIMES, MeasuredPass, Time, model_times_ns
from gmemgpu.model.cost import MAX_COST_NS, Costs

__all__ = ["Calibration", "FittedCost", "FittedTime", "Knowledge", "fit_costs"]

Knowledge: TypeAlias = Literal["alone", "together", "at bound", "not measured"]
Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]

_CONFIDENCE = 0.95
_RANK_TOLERANCE = 1e-9
"""Singular values below this share of the largest count as none: times are measured to far fewer digits."""
_LEFT_OPEN = 1e-12
"""Costs of which at most this share lies in what the passes leave open are told by them."""
_RIDGE = 1e-7
"""Weight of staying at the default against fitting: it decides only what passes leave open."""


@dataclass(frozen=True, slots=True)
class FittedCost:
    """
    One cost.

    Parameters
    ----------
    name : str
        As in `Costs`.
    fitted_ns : int
        What fits the passes.
    low_ns, high_ns : int or None
        Ends of the interval of 95 %; None where passes do not tell them.
    default_ns : int
        What the package has.
    known : str
        ``alone``: the passes tell it. ``together``: they tell only sums of it and others, and it is as near its default
        as they allow. ``at bound``: it would be beyond 0 or the largest cost. ``not measured``: no time depends on it,
        and it has its default.
    """

    name: str
    fitted_ns: int
    low_ns: int | None
    high_ns: int | None
    default_ns: int
    known: Knowledge


@dataclass(frozen=True, slots=True)
class FittedTime:
    """
    One time of a pass.

    Parameters
    ----------
    name : str
        Of the pass.
    time : str
        Which of its times.
    runs : int
        How often it was measured.
    measured_ns, fitted_ns, default_ns : int
        Mean of the runs; what the model gives with the fitted costs; and with the package's.
    """

    name: str
    time: Time
    runs: int
    measured_ns: int
    fitted_ns: int
    default_ns: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """
    Costs fitted to passes.

    Parameters
    ----------
    costs : tuple of FittedCost
        Every cost of the model, in its order.
    times : tuple of FittedTime
        Every time of every pass.
    together : tuple of tuple of str
        Costs that the passes tell only sums of.
    freedom : int
        Measured runs beyond those that the fit needs: 0 gives no intervals.
    """

    costs: tuple[FittedCost, ...]
    times: tuple[FittedTime, ...]
    together: tuple[tuple[str, ...], ...]
    freedom: int


def fit_costs(passes: Sequence[MeasuredPass]) -> Calibration:
    """
    Compute the costs that fit passes best.

    Least are the squares of relative errors, each run against the mean of its pass, since passes last from
    milliseconds to minutes; no cost is below 0.

    Parameters
    ----------
    passes : sequence of MeasuredPass
        At least one.

    Returns
    -------
    Calibration
        Costs with intervals, and the passes under them.
    """
    from scipy.optimize import lsq_linear

    default = asdict(Costs())
    names = tuple(default)
    # A time is linear in the costs: its coefficient is what it is when that cost is 1 ns and all others nothing.
    units = [Costs(**{name: int(name == one) for name in names}) for one in names]
    rows, runs = [], []
    for measured in passes:
        by_cost = [model_times_ns(measured, unit) for unit in units]
        for time in TIMES:
            times_ns = np.array(getattr(measured, time), float)
            for run_ns in times_ns:
                rows.append([times[time] / times_ns.mean() for times in by_cost])
                runs.append(run_ns / times_ns.mean())
    # In units of the defaults, so that a change of 1 % weighs the same in every cost.
    scale = np.array(list(default.values()), float)
    design, wanted = np.array(rows) * scale, np.array(runs)
    ridge = np.eye(len(names)) * _RIDGE
    solved = lsq_linear(
        np.vstack([design, ridge]), np.append(wanted, np.diag(ridge)), (0, MAX_COST_NS / scale), method="bvls"
    )
    measured_costs = design.any(axis=0)
    at_bound = (solved.active_mask != 0) & measured_costs
    _, open_directions = _determined_and_open(design, measured_costs)
    half_width, freedom = _half_width(design, wanted - design @ solved.x, measured_costs & ~at_bound)
    fitted_ns = np.where(measured_costs, solved.x * scale, scale)
    together = np.square(open_directions).sum(axis=0) > _LEFT_OPEN
    costs = []
    for i, name in enumerate(names):
        known: Knowledge = "alone"
        if not measured_costs[i]:
            known = "not measured"
        elif together[i]:
            known = "together"
        elif at_bound[i]:
            known = "at bound"
        low = high = None
        if known == "alone" and half_width is not None:
            width_ns = half_width[i] * scale[i]
            low, high = round(max(0.0, fitted_ns[i] - width_ns)), round(fitted_ns[i] + width_ns)
        costs.append(FittedCost(name, round(fitted_ns[i]), low, high, default[name], known))
    times = _fitted_times(passes, Costs(**{cost.name: cost.fitted_ns for cost in costs}))
    return Calibration(tuple(costs), times, _groups(names, together, open_directions), freedom)


def _determined_and_open(design: Floats, columns: Bools) -> tuple[Floats, Floats]:
    # Directions (rows) in the space of costs: those that runs tell, divided by how strongly, and those left open.
    if not columns.any():
        return np.zeros((0, columns.size)), np.zeros((0, columns.size))
    _, singular, turned = np.linalg.svd(design[:, columns])
    directions = np.zeros((len(turned), columns.size))
    directions[:, columns] = turned
    rank = int((singular > singular[0] * _RANK_TOLERANCE).sum())
    return directions[:rank] / singular[:rank, None], directions[rank:]


def _half_width(design: Floats, residual: Floats, free: Bools) -> tuple[Floats | None, int]:
    # Of each cost's interval, and the degrees of freedom.
    from scipy.special import stdtrit

    determined, _ = _determined_and_open(design, free)
    freedom = len(residual) - len(determined)
    if freedom == 0:
        return None, freedom
    error = np.sqrt(residual @ residual / freedom)
    quantile = float(stdtrit(freedom, 0.5 + _CONFIDENCE / 2))
    return quantile * error * np.sqrt(np.square(determined).sum(axis=0)), freedom


def _groups(names: Sequence[str], together: Bools, open_directions: Floats) -> tuple[tuple[str, ...], ...]:
    # Costs of one group are those that trade against each other: entries of the projection on what is left open.
    projection = open_directions.T @ open_directions
    share = np.diag(projection)
    trade = np.square(projection) > _LEFT_OPEN**2 * np.outer(share, share)
    groups: list[tuple[str, ...]] = []
    for i in np.flatnonzero(together).tolist():
        if not any(names[i] in group for group in groups):
            linked = trade[i] & together
            while (wider := trade[linked].any(axis=0) & together).sum() > linked.sum():
                linked = wider
            groups.append(tuple(names[j] for j in np.flatnonzero(linked).tolist()))
    return tuple(groups)


def _fitted_times(passes: Sequence[MeasuredPass], costs: Costs) -> tuple[FittedTime, ...]:
    found = []
    for measured in passes:
        fitted, default = model_times_ns(measured, costs), model_times_ns(measured, Costs())
        for time in TIMES:
            if runs := getattr(measured, time):
                mean_ns = round(sum(runs) / len(runs))
                found.append(FittedTime(measured.name, time, len(runs), mean_ns, fitted[time], default[time]))
    return tuple(found)
