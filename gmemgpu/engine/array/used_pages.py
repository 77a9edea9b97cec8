"""Pages in use over time, as their running integrals, by region."""

from __future__ import annotations

from gmemgpu.engine.array.xp.namespace import Array, Namespace
from gmemgpu.timeline.integral import LIMB_BITS, UsedIntegral

__all__ = ["UsedPages"]


class UsedPages:
    """
    The running integrals of U of some traces (`gmemgpu.timeline.integral`).

    Parameters
    ----------
    xp : Namespace
    rows : UsedIntegral
        With arrays of that library; regions are numbered on from trace to trace.
    """

    def __init__(self, xp: Namespace, rows: UsedIntegral) -> None:
        self._xp, self._rows = xp, rows

    def between(self, region: Array, begin_ns: Array, end_ns: Array) -> tuple[Array, Array]:
        """
        Integrate U of some regions over some intervals.

        Parameters
        ----------
        region : (m,) int64
            Among those of all traces.
        begin_ns, end_ns : (m,) int64
            Half open interval of each.

        Returns
        -------
        high, low : (m,) int64
            In units of 2**20 page·ns, and in page·ns, of either sign: the integral is the sum of both.
        """
        # Both bounds in one go: searches are what this costs.
        n, xp = len(region), self._xp
        high, low = self._until(xp.concatenate([region, region]), xp.concatenate([end_ns, begin_ns]))
        return high[:n] - high[n:], low[:n] - low[n:]

    def _until(self, region: Array, t_ns: Array) -> tuple[Array, Array]:
        rows = self._rows
        row = self._xp.last_of(rows.t_ns, rows.offset[region], rows.offset[region + 1], t_ns)
        since, used = t_ns - rows.t_ns[row], rows.used[row]
        return rows.high[row] + used * (since >> LIMB_BITS), rows.low[row] + used * (since & ((1 << LIMB_BITS) - 1))
