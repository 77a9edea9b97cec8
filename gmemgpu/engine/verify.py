"""Every engine on one trace: do all integers agree?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gmemgpu.engine.protocol import Engine
from gmemgpu.engine.registry import available_engines
from gmemgpu.model.cost import Costs
from gmemgpu.model.metric import METRIC_NAMES
from gmemgpu.model.policy import Policy
from gmemgpu.model.region_scan import RegionScan
from gmemgpu.model.trace import Trace
from gmemgpu.timeline.build import build_timeline, last_row_at

__all__ = ["MetricDifference", "StateDifference", "Verdict", "verify"]

_N_IMAGES = 8
"""Of the RMP, from an eighth of the trace to its end."""


@dataclass(frozen=True, slots=True)
class MetricDifference:
    """
    One integer, or one histogram, on which engines disagree.

    Parameters
    ----------
    policy, metric : str
        Names of both.
    values : dict of str to int, or to list of int
        What each engine computed, by its name.
    """

    policy: str
    metric: str
    values: dict[str, int] | dict[str, list[int]]


@dataclass(frozen=True, slots=True)
class StateDifference:
    """
    A state of a region on which the timeline and scanned images of the RMP disagree.

    Parameters
    ----------
    t_ns, region : int
        When and where.
    state : str
        ``assigned`` pages, or ``first`` assigned block, -1 for none.
    values : dict of str to int
        By ``timeline``, and by the name of each engine that made and scanned an image.
    """

    t_ns: int
    region: int
    state: str
    values: dict[str, int]


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    What a comparison found.

    Parameters
    ----------
    n_events : int
        Events of the trace.
    engines : tuple of str
        Names of those that ran.
    n_compared : int
        Values that each of them computed: policies × metrics.
    differences : tuple of MetricDifference
        Empty if all engines agree.
    n_states : int
        States of regions in scanned images that each of them found.
    state_differences : tuple of StateDifference
        Empty if all images are as the timeline says.
    """

    n_events: int
    engines: tuple[str, ...]
    n_compared: int
    differences: tuple[MetricDifference, ...]
    n_states: int
    state_differences: tuple[StateDifference, ...]


def verify(
    trace: Trace, policies: Sequence[Policy], costs: Costs, *, engines: Sequence[Engine] | None = None
) -> Verdict:
    """
    Compare all integers that several engines compute of a trace, and images that they scan with its timeline.

    Parameters
    ----------
    trace : Trace
        A valid one.
    policies : sequence of Policy
        May hold the oracle.
    costs : Costs
        Times of RMPOPT, in ns.
    engines : sequence of Engine, optional
        All that can run here if left out.

    Returns
    -------
    Verdict
        Every difference.
    """
    engines = available_engines() if engines is None else engines
    results = {engine.name: engine.evaluate([trace], policies, costs)[0] for engine in engines}
    differences = []
    for i, policy in enumerate(policies):
        for metric in METRIC_NAMES:
            values = {name: rows[i][metric] for name, rows in results.items()}
            first, *others = values.values()
            if any(other != first for other in others):
                differences.append(MetricDifference(policy.name, metric, values))
    times_ns = [max(0, trace.horizon_ns * (i + 1) // _N_IMAGES - 1) for i in range(_N_IMAGES)]
    scans = {
        "timeline": _by_timeline(trace, times_ns),
        **{engine.name: engine.scan_rmp(trace, times_ns) for engine in engines},
    }
    return Verdict(
        n_events=len(trace),
        engines=tuple(results),
        n_compared=len(policies) * len(METRIC_NAMES),
        differences=tuple(differences),
        n_states=2 * len(times_ns) * trace.host.n_regions,
        state_differences=tuple(_state_differences(scans, times_ns)),
    )


def _by_timeline(trace: Trace, times_ns: Sequence[int]) -> RegionScan:
    line = build_timeline(trace)
    shape = len(times_ns), trace.host.n_regions
    at, region = np.repeat(np.array(times_ns), shape[1]), np.tile(np.arange(shape[1]), shape[0])
    rows = last_row_at(line.offset, line.t_ns, region, at).reshape(shape)
    return RegionScan(line.assigned[rows], line.first[rows])


def _state_differences(scans: Mapping[str, RegionScan], times_ns: Sequence[int]) -> Iterator[StateDifference]:
    for state in ("assigned", "first"):
        found = np.stack([getattr(scan, state) for scan in scans.values()])
        for i, region in np.argwhere((found != found[0]).any(axis=0)).tolist():
            values = dict(zip(scans, found[:, i, region].tolist(), strict=True))
            yield StateDifference(times_ns[i], region, state, values)
