"""Whether all times of all passes fit 63 bits, in which the fast engines count."""

from __future__ import annotations

from gmemgpu.errors import BackendError
from gmemgpu.model.cost import Costs
from gmemgpu.model.trace import Trace
from gmemgpu.units import BLOCKS_PER_REGION, INT64_MAX

__all__ = ["check_63_bits"]

_ROUNDS = ("round", "cores", "threads")
"""Prefixes of the costs of visiting a region on several cores."""


def check_63_bits(trace: Trace, costs: Costs, backend: str) -> None:
    """
    Refuse a trace on which a pass might last too long.

    Parameters
    ----------
    trace : Trace
    costs : Costs
    backend : str
        Name of the engine that counts in 63 bits.

    Raises
    ------
    BackendError
        If a pass might last so long that its times do not fit 63 bits.
    """
    # The dearest visit is a serial one: every core in turn is called and scans a whole region, or finds the bit set.
    host = trace.host
    scan = max(costs.base + BLOCKS_PER_REGION * costs.block, costs.cached)
    followers = max(getattr(costs, f"{how}_{what}") for how in _ROUNDS for what in ("clean", "cached", "fail"))
    longest_ns = host.n_regions * max(host.cores * (costs.call + scan), scan + followers)
    if trace.horizon_ns + longest_ns > INT64_MAX:
        raise BackendError(
            f'backend "{backend}" counts in 63 bits, and a pass over {host.n_regions} regions on {host.cores} cores '
            f"may take {longest_ns:.1e} ns at these costs; lower the costs, or take the reference"
        )
