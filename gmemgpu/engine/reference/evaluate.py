"""The engine itself: every policy on every trace, one after another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from gmemgpu.engine.reference.history import TraceHistory
from gmemgpu.engine.reference.row import metric_row
from gmemgpu.engine.reference.simulate import Simulation
from gmemgpu.engine.reference.tracker import tracker_updates
from gmemgpu.model.cost import Costs
from gmemgpu.model.metric import MetricRow
from gmemgpu.model.policy import Policy
from gmemgpu.model.region_scan import RegionScan
from gmemgpu.model.trace import Trace

__all__ = ["ReferenceEngine"]


def _evaluate_one(history: TraceHistory, policy: Policy, costs: Costs) -> MetricRow:
    if policy.is_oracle:
        # The bit is there as soon as the region is free, and nobody worked for it (section 7).
        return metric_row(history, lambda region, episode: episode.start_ns, {})
    simulation = Simulation(history, policy, costs)
    counts = {**simulation.tally.row, "tracker_updates": tracker_updates(history, policy)}
    return metric_row(history, simulation.bits.set_in, counts)


class ReferenceEngine:
    """
    The judge: takes one event after another and looks at every page.

    Slow and obvious; needs 1.25 MiB of memory for each region that a trace touches.
    """

    name = "reference"

    def missing(self) -> str | None:
        """Return None: this engine can always run."""
        return None

    def evaluate(self, traces: Iterable[Trace], policies: Sequence[Policy], costs: Costs) -> list[list[MetricRow]]:
        """
        Evaluate every policy on every trace.

        Parameters
        ----------
        traces : iterable of Trace
            Valid ones.
        policies : sequence of Policy
            May hold the oracle.
        costs : Costs
            Times of RMPOPT, in ns.

        Returns
        -------
        list (traces) of list (policies) of MetricRow
            One row of integers for each pair.
        """

        def rows_of(trace: Trace) -> list[MetricRow]:
            history = TraceHistory(trace)
            return [_evaluate_one(history, policy, costs) for policy in policies]

        return list(map(rows_of, traces))

    def scan_rmp(self, trace: Trace, times_ns: Sequence[int]) -> RegionScan:
        """
        Look up the counts of every region at some times.

        Parameters
        ----------
        trace : Trace
            A valid one.
        times_ns : sequence of int
            Ascending.

        Returns
        -------
        RegionScan
            A row for each time.
        """
        regions = TraceHistory(trace).regions
        counts = [[region.at(t_ns) for region in regions] for t_ns in times_ns]
        shape = len(times_ns), len(regions)
        return RegionScan(
            np.array([[one.assigned_pages for one in row] for row in counts], np.int32).reshape(shape),
            np.array([[one.first_block for one in row] for row in counts], np.int16).reshape(shape),
        )
