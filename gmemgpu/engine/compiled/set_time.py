"""How long bits were set, and how long pages in use profited: exact sums in one sweep over the bits."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gmemgpu.compiled import compiled_in_place
from gmemgpu.engine.array.constants import set_times
from gmemgpu.engine.array.sums import HALF_BITS
from gmemgpu.engine.array.tables import Tables
from gmemgpu.engine.class_code import N_CODES
from gmemgpu.model.trace import Int64Array
from gmemgpu.timeline.integral import LIMB_BITS

__all__ = ["set_time"]

_LIMB = (1 << LIMB_BITS) - 1
_HALF = (1 << HALF_BITS) - 1


class _Used(NamedTuple):
    # The columns of `UsedIntegral`, and the row of each region that the last look found.
    offset: Int64Array
    t_ns: Int64Array
    used: Int64Array
    high: Int64Array
    low: Int64Array
    row: Int64Array


@compiled_in_place
def _row_at(used: _Used, region: int, t_ns: int) -> int:
    # Most looks at a region come in time order; the rows of a region begin at 0.
    row: int = used.row[region]
    if used.t_ns[row] > t_ns:
        row = used.offset[region]
    last = used.offset[region + 1] - 1
    while row < last and used.t_ns[row + 1] <= t_ns:
        row += 1
    used.row[region] = row
    return row


@compiled_in_place
def _add(sums: Int64Array, group: int, place: int, value: int) -> None:
    sums[group, place] += value >> HALF_BITS
    sums[group, place + 1] += value & _HALF


@compiled_in_place
def _sum(
    region: Int64Array,
    begin_ns: Int64Array,
    end_ns: Int64Array,
    from_ns: int,
    until_ns: int,
    group: Int64Array,
    used: _Used,
    is_used: bool,
    sums: Int64Array,
) -> None:
    # By group of regions: the time in halves, then the integral of U, upper and lower part, each in halves.
    for i in range(region.size):
        begin, end = max(begin_ns[i], from_ns), min(end_ns[i], until_ns)
        if begin >= end:
            continue
        of = group[region[i]]
        _add(sums, of, 0, end - begin)
        if not is_used:
            continue
        row = _row_at(used, region[i], begin)
        since = begin - used.t_ns[row]
        high = used.high[row] + used.used[row] * (since >> LIMB_BITS)
        low = used.low[row] + used.used[row] * (since & _LIMB)
        row = _row_at(used, region[i], end)
        since = end - used.t_ns[row]
        # Only differences are whole: the running sums may wrap.
        _add(sums, of, 2, used.high[row] + used.used[row] * (since >> LIMB_BITS) - high)
        _add(sums, of, 4, used.low[row] + used.used[row] * (since & _LIMB) - low)


def set_time(tables: Tables, region: Int64Array, begin_ns: Int64Array, end_ns: Int64Array) -> dict[str, list[int]]:
    """Sum the times with a bit set, and what they are worth, by metric; what is not counted is cut off here."""
    none = np.zeros(0, np.int64)
    host, found = tables.hosts[0], tables.columns.used
    used = _Used(none, none, none, none, none, none)
    if found is not None:
        used = _Used(found.offset, found.t_ns, found.used, found.high, found.low, found.offset[:-1].copy())
    sums = np.zeros((len(host.core_counts), 6), np.int64)
    counted = int(tables.warmup_ns[0]), int(tables.horizon_ns[0])
    _sum(region, begin_ns, end_ns, *counted, host.group // N_CODES, used, found is not None, sums)
    return set_times(list(sums.T), [host.core_counts], len(host.core_counts))
