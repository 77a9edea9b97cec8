"""What an engine must offer: traces and policies in, one row of integers for each pair out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from gmemgpu.model.cost import Costs
from gmemgpu.model.metric import MetricRow
from gmemgpu.model.policy import Policy
from gmemgpu.model.region_scan import RegionScan
from gmemgpu.model.trace import Trace

__all__ = ["Engine"]


class Engine(Protocol):
    """
    An evaluator of (trace, policy) pairs.

    Engines take whole batches, so that one built for a device can serve a batch with few launches.
    All engines return the same integers; `gmemgpu.engine.registry` lists them.
    """

    name: str

    def missing(self) -> str | None:
        """Return why this engine cannot run here and what to do about it; None if it can."""

    def evaluate(self, traces: Iterable[Trace], policies: Sequence[Policy], costs: Costs) -> list[list[MetricRow]]:
        """
        Evaluate every policy on every trace.

        Parameters
        ----------
        traces : iterable of Trace
            Valid ones; engines do not check. Taken one after another, when there is room for the next: a device works
            on earlier ones while the caller makes it, a CPU engine lets go of the last one first.
        policies : sequence of Policy
            May hold the oracle.
        costs : Costs
            Times of RMPOPT, in ns.

        Returns
        -------
        list (traces) of list (policies) of MetricRow
            One row of integers for each pair.

        Raises
        ------
        DeviceLost
            If a device failed in mid-work.
        BackendError
            If a trace or a cost is beyond what the engine can hold.

        Notes
        -----
        What `traces` itself raises comes out as it is.
        """

    def scan_rmp(self, trace: Trace, times_ns: Sequence[int]) -> RegionScan:
        """
        Scan images of a trace's RMP at some times: what RMPOPT would find in each region.

        Parameters
        ----------
        trace : Trace
            A valid one.
        times_ns : sequence of int
            Ascending; an image holds what happens at its time.

        Returns
        -------
        RegionScan
            A row for each time.

        Raises
        ------
        DeviceLost
            If a device failed in mid-work.
        BackendError
            If the device has no room for the image of a single region.
        """
