"""The CPU engine: timelines once per trace, dense array passes where many regions are visited, scalars elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gmemgpu.engine.class_code import check_63_bits
from gmemgpu.engine.numpy.policy_run import run_policy
from gmemgpu.engine.prepared import Prepared
from gmemgpu.model.cost import Costs
from gmemgpu.model.metric import MetricRow
from gmemgpu.model.policy import Policy
from gmemgpu.model.trace import Trace

__all__ = ["NumpyEngine"]


class NumpyEngine:
    """The fallback that runs everywhere; `gmemgpu.engine.protocol.Engine` describes the methods."""

    name = "numpy"

    def missing(self) -> str | None:
        """Return None: NumPy is a core dependency."""
        return None

    def evaluate(self, traces: Iterable[Trace], policies: Sequence[Policy], costs: Costs) -> list[list[MetricRow]]:
        """
        Evaluate every policy on every trace, one trace in memory at a time.

        Raises
        ------
        BackendError
            If a pass might last so long that its times do not fit 63 bits.
        """

        def rows_of(trace: Trace) -> list[MetricRow]:
            check_63_bits(trace, costs, self.name)
            prepared = Prepared(trace)
            return [run_policy(prepared, policy, costs) for policy in policies]

        # Not a loop: its variable would keep a trace alive while the next one is made.
        return list(map(rows_of, traces))
