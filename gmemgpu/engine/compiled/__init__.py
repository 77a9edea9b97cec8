"""The compiled CPU engine: timelines once per trace, then one loop over the passes of a policy, in machine code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gmemgpu.compiled import why_unusable
from gmemgpu.engine.array import rows_one_by_one
from gmemgpu.model.cost import Costs
from gmemgpu.model.metric import MetricRow
from gmemgpu.model.policy import Policy
from gmemgpu.model.region_scan import RegionScan
from gmemgpu.model.trace import Trace
from gmemgpu.rmp.timed_scan import scan_at_compiled

__all__ = ["NumbaEngine"]


class NumbaEngine:
    """The fastest engine without a GPU; `gmemgpu.engine.protocol.Engine` describes the methods."""

    name = "numba"

    def missing(self) -> str | None:
        """Return why Numba cannot be used; None if it can."""
        return why_unusable()

    def evaluate(self, traces: Iterable[Trace], policies: Sequence[Policy], costs: Costs) -> list[list[MetricRow]]:
        """
        Evaluate every policy on every trace, one trace in memory at a time.

        Raises
        ------
        BackendError
            If a pass might last so long that its times do not fit 63 bits.
        """
        # Not at the top: whoever asks whether Numba is there must not need it.
        from gmemgpu.engine.compiled.policy_run import run_policies

        return rows_one_by_one(traces, policies, costs, self.name, run_policies, compiled=True)

    def scan_rmp(self, trace: Trace, times_ns: Sequence[int]) -> RegionScan:
        """Build one image and move it on from time to time, in machine code."""
        return scan_at_compiled(trace, times_ns)
