"""The CPU engine: timelines once per trace, dense array passes where many regions are visited, scalars elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from gmemgpu.engine.numpy.policy_run import run_policy
from gmemgpu.engine.numpy.prepared import Prepared
from gmemgpu.errors import BackendError
from gmemgpu.model.cost import Costs
from gmemgpu.model.metric import MetricRow
from gmemgpu.model.policy import Policy
from gmemgpu.model.trace import Trace
from gmemgpu.units import BLOCKS_PER_REGION, INT64_MAX

__all__ = ["NumpyEngine"]

_ROUNDS = ("round", "cores", "threads")
"""Prefixes of the costs of visiting a region on several cores."""


class NumpyEngine:
    """The fallback that runs everywhere; `gmemgpu.engine.protocol.Engine` describes the methods."""

    name = "numpy"

    def missing(self) -> str | None:
        """NumPy is a core dependency: never missing."""
        return None

    def evaluate(self, traces: Sequence[Trace], policies: Sequence[Policy], costs: Costs) -> list[list[MetricRow]]:
        """
        Evaluate every policy on every trace, one trace in memory at a time.

        Raises
        ------
        BackendError
            If a pass might last so long that its times do not fit 63 bits.
        """
        rows = []
        for trace in traces:
            _check_63_bits(trace, costs)
            prepared = Prepared(trace)
            rows.append([run_policy(prepared, policy, costs) for policy in policies])
        return rows


def _check_63_bits(trace: Trace, costs: Costs) -> None:
    # The dearest visit is a serial one: every core in turn is called and scans a whole region, or finds the bit set.
    host = trace.host
    scan = max(costs.base + BLOCKS_PER_REGION * costs.block, costs.cached)
    followers = max(getattr(costs, f"{how}_{what}") for how in _ROUNDS for what in ("clean", "cached", "fail"))
    longest_ns = host.n_regions * max(host.cores * (costs.call + scan), scan + followers)
    if trace.horizon_ns + longest_ns > INT64_MAX:
        raise BackendError(
            f'backend "numpy" counts in 63 bits, and a pass over {host.n_regions} regions on {host.cores} cores may '
            f"take {longest_ns:.1e} ns at these costs; lower the costs, or take the reference"
        )
