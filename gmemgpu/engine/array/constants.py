"""What no policy alters: metrics of the traces themselves, and the oracle's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gmemgpu.engine.array.latency import PERCENTILES
from gmemgpu.engine.array.sums import halves, joined_halves, joined_limbs, segment_sums, whole_sums
from gmemgpu.engine.array.tables import Tables, nth
from gmemgpu.engine.array.xp.namespace import Array, Namespace
from gmemgpu.engine.class_code import N_CODES
from gmemgpu.model.metric import METRIC_NAMES, MetricRow
from gmemgpu.model.trace import Int64Array
from gmemgpu.timeline.integral import LIMB_BITS, UsedIntegral
from gmemgpu.timeline.snp import FOREVER

__all__ = ["empty_rows", "oracle_rows", "set_time", "set_times", "used_between"]

_ANY = 1 << 63
"""No value is further from zero: sums of such come in halves."""


def empty_rows(tables: Tables) -> tuple[list[MetricRow], list[int]]:
    """
    Compute the metrics that no policy alters.

    Returns
    -------
    rows : list (n_traces) of MetricRow
        With zeros for all others, in column order.
    lasting : list (n_traces) of int
        Counted episodes that last to the horizon.
    """
    return tables.once("empty", lambda: _empty_rows(tables))


def _empty_rows(tables: Tables) -> tuple[list[MetricRow], list[int]]:
    xp = tables.xp
    row_at = xp.asarray(tables.row_at)
    fresh = tables.begins_snp[tables.instant_of_row]
    counted = tables.free & ~fresh & (tables.t_ns >= tables.of_rows(tables.warmup_ns))
    wanted = []
    for flags in (counted, counted & (tables.until_ns == FOREVER)):
        wanted += segment_sums(xp, row_at, flags, 1)
    free = _free_times(tables)
    wanted += [part for each in free for part in each]
    n_free = len(wanted)
    wanted += [part for each in _in_use(tables) for part in each]
    found = xp.fetch(*wanted)
    episodes, lasting = (each.tolist() for each in found[:2])
    optimizable, in_use = np.zeros(len(tables), object), np.zeros(len(tables), object)
    parts = 1 if len(free) and len(free[0]) == 1 else 2
    for i in range(2, n_free, parts):
        optimizable += np.array(whole_sums(found[i : i + parts]), object)
    for i in range(n_free, len(found), 4):
        in_use += np.array(joined_limbs(found[i : i + 4]), object)
    empty: MetricRow = dict.fromkeys(METRIC_NAMES, 0)
    empty |= {name: -1 for name, _ in PERCENTILES}
    rows = []
    for optimizable_ns, in_use_ns, n in zip(optimizable.tolist(), in_use.tolist(), episodes, strict=True):
        own = {"optimizable_ns": optimizable_ns, "in_use_ns": in_use_ns, "episodes": n, "latency_histogram": []}
        rows.append(empty | own)
    return rows, lasting


def _counted_epochs(tables: Tables) -> list[tuple[Int64Array, Int64Array]]:
    # The parts of the first, second, … epochs that are counted, for each trace.
    epochs = nth([snp.epochs for snp in tables.snp])
    return [(np.maximum(on, tables.warmup_ns), np.minimum(off, tables.horizon_ns)) for on, off in epochs]


def _free_times(tables: Tables) -> list[list[Array]]:
    # How long regions with memory, covered or not, are free: of each trace, by epoch of SNP, in halves.
    xp, rows, columns = tables.xp, tables.columns.rows, tables.columns
    until_ns = xp.full(len(rows.t_ns), FOREVER, np.int64)
    until_ns[:-1] = rows.t_ns[1:]
    until_ns[rows.at[1:] - 1] = FOREVER
    k = xp.flatnonzero(rows.first < 0)
    region = xp.searchsorted(rows.at, k, "right") - 1
    if not all(host.present.all() for host in tables.hosts):
        kept = tables.of_regions("present")[region]
        k, region = k[kept], region[kept]
    at = xp.searchsorted(region, xp.asarray(columns.region_at))
    begin_ns, end_ns = rows.t_ns[k], until_ns[k]
    found = []
    for on_ns, off_ns in _counted_epochs(tables):
        on, off = (xp.spread(xp.asarray(each), at, len(k)) for each in (on_ns, off_ns))
        length_ns = xp.minimum(end_ns, off) - xp.maximum(begin_ns, on)
        found.append(segment_sums(xp, at, xp.maximum(length_ns, 0), int(tables.horizon_ns.max())))
    return found


def used_between(
    xp: Namespace, used: UsedIntegral, region: Array, begin_ns: Array, end_ns: Array
) -> tuple[Array, Array]:
    """
    Integrate pages in use of some regions, among those of all traces, each over an interval.

    Returns
    -------
    high, low : (m,) int64
        In units of 2**20 page·ns, and in page·ns, of either sign: the integral is the sum of both.
    """
    n = len(region)
    if xp.fuses:
        found = xp.empty(n, np.int64), xp.empty(n, np.int64)
        rows = used.t_ns, used.used, used.high, used.low, used.offset
        xp.fused("used_between", n, *rows, region, begin_ns, end_ns, *found)
        return found
    # Both bounds in one go: searches are what this costs.
    region, t_ns = xp.concatenate([region, region]), xp.concatenate([end_ns, begin_ns])
    row = xp.last_of(used.t_ns, used.offset[region], used.offset[region + 1], t_ns)
    since, pages = t_ns - used.t_ns[row], used.used[row]
    high = used.high[row] + pages * (since >> LIMB_BITS)
    low = used.low[row] + pages * (since & ((1 << LIMB_BITS) - 1))
    return high[:n] - high[n:], low[:n] - low[n:]


def _in_use(tables: Tables) -> list[list[Array]]:
    # The integral of pages in use of each trace, by epoch of SNP, in two limbs of two halves each.
    xp, at = tables.xp, tables.columns.region_at
    if tables.columns.used is None:
        return []
    region, device_at = xp.arange(int(at[-1])), xp.asarray(at)
    found = []
    for on_ns, off_ns in _counted_epochs(tables):
        bounds = (xp.asarray(np.repeat(each, np.diff(at))) for each in (on_ns, np.maximum(on_ns, off_ns)))
        high, low = used_between(xp, tables.columns.used, region, *bounds)
        found.append(segment_sums(xp, device_at, high, _ANY) + segment_sums(xp, device_at, low, _ANY))
    return found


def set_time(tables: Tables, size: int, index: Array, row: Array, begin_ns: Array, end_ns: Array) -> list[Array]:
    """
    Sum how long bits are set, and the integral of pages in use meanwhile.

    Parameters
    ----------
    tables : Tables
    size : int
    index : (n,) int64
        Below `size`: where each bit is counted.
    row : (n,) int64
        Whose region has the bit.
    begin_ns, end_ns : (n,) int64

    Returns
    -------
    list of (size,) int64
        In halves: the time, and, if any page is ever in use, both limbs of the integral.
    """
    xp = tables.xp
    k = xp.flatnonzero(begin_ns < end_ns)
    begin_ns, end_ns, index = begin_ns[k], end_ns[k], index[k]
    values = [end_ns - begin_ns]
    if tables.columns.used is not None:
        values += used_between(xp, tables.columns.used, tables.region[row[k]], begin_ns, end_ns)
    return [xp.sum_at(size, index, part) for each in values for part in halves(each)]


def set_times(found: Sequence[Int64Array], weights: Sequence[Sequence[int]], most_groups: int) -> dict[str, list[int]]:
    """
    Compute metrics from what `set_time` summed by group of regions.

    Parameters
    ----------
    found : sequence of (n * most_groups,) int64
        On the host.
    weights : sequence (n) of sequence of int
        The core counts of the groups.
    most_groups : int
    """
    # Of Python's integers: what is summed may pass 63 bits.
    n = len(weights)
    cores = np.zeros((n, most_groups), object)
    for core_counts in set(map(tuple, weights)):
        own = [q for q, of in enumerate(weights) if of == core_counts]
        cores[own, : len(core_counts)] = core_counts
    set_ns = np.array(joined_halves(*found[:2]), object).reshape(n, most_groups)
    columns = {"optimized_ns": set_ns.sum(axis=1), "optimized_core_ns": (cores * set_ns).sum(axis=1)}
    used = np.zeros_like(set_ns)
    if len(found) > 2:
        used = np.array(joined_limbs(found[2:]), object).reshape(n, most_groups)
    columns["in_use_optimized_core_ns"] = (cores * used).sum(axis=1)
    return {name: column.tolist() for name, column in columns.items()}


def oracle_rows(tables: Tables) -> list[MetricRow]:
    """Compute the bound: every free episode of a covered region optimized from its first instant, for nothing."""
    xp, n = tables.xp, len(tables)
    rows, _ = empty_rows(tables)
    most = max(len(host.core_counts) for host in tables.hosts)
    row = xp.flatnonzero(tables.free)
    trace = xp.searchsorted(xp.asarray(tables.row_at), row, "right") - 1
    begin_ns = xp.maximum(tables.t_ns[row], xp.asarray(tables.warmup_ns)[trace])
    end_ns = xp.minimum(tables.until_ns[row], xp.asarray(tables.horizon_ns)[trace])
    index = trace * most + tables.group_of_row[row] // N_CODES
    sums = xp.fetch(*set_time(tables, n * most, index, row, begin_ns, end_ns))
    columns = set_times(sums, [host.core_counts for host in tables.hosts], most)
    found = []
    for k, own in enumerate(rows):
        episodes = own["episodes"]
        row_ = own | {name: values[k] for name, values in columns.items()}
        row_ |= {"reoptimized": episodes, "latency_histogram": [episodes] if episodes else []}
        if episodes:
            row_ |= {name: 0 for name, _ in PERCENTILES}
        found.append(row_)
    return found
