"""When attempts at single regions are made, and what they find: pass by pass, one after another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gmemgpu.engine.array.batch import Batch
from gmemgpu.engine.array.passes import Passes
from gmemgpu.engine.array.xp.namespace import Array
from gmemgpu.engine.class_code import CACHED, CLEAN

__all__ = ["Attempts", "Visits", "attempt_costs", "attempt_visits", "attempts_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Attempts:
    """
    Attempts at regions, in the order of passes and, within a pass, of regions.

    Parameters
    ----------
    scan_pass, pair : (n,) int64
    row, table_row : (n,) int64
        In which the pass starts.
    at : (n_passes + 1,) int64
        First attempt of each pass.
    """

    scan_pass: Array
    pair: Array
    row: Array
    table_row: Array
    at: Array


@dataclass(frozen=True, slots=True, eq=False)
class Visits:
    """
    What attempts find when they are made.

    Parameters
    ----------
    visit_ns, done_ns : (n,) int64
    met_row, met_table_row : (n,) int64
        The row by then.
    succeeds : (n,) bool
    """

    visit_ns: Array
    done_ns: Array
    met_row: Array
    met_table_row: Array
    succeeds: Array


def attempts_of(batch: Batch, passes: Passes, instant: Array, key: Array) -> Attempts:
    """
    Look up the rows in which passes start, as far as the gate lets their regions through.

    Parameters
    ----------
    batch : Batch
    passes : Passes
    instant : (n_passes,) int64
        Of their starts, as `Batch.instant` gives it.
    key : (n,) int64
        ``scan_pass * batch.most_positions + position``, ascending.
    """
    xp, base, n = batch.xp, batch.most_positions, len(key)
    if xp.fuses:
        columns, let_through = [xp.empty(n, np.int64) for _ in range(4)], xp.empty(n, bool)
        tables = *batch.rows_of_tables(), batch.table_row, batch.gate, batch.busy, batch.gmem
        xp.fused("attempt_rows", n, key, passes.pair, instant, *tables, *columns, let_through, base)
    else:
        scan_pass, position = key // base, key % base
        pair = passes.pair[scan_pass]
        row = batch.row(position, instant[scan_pass], pair)
        columns = [scan_pass, pair, row, row + batch.table_row[pair]]
        let_through = ~batch.is_absent(columns[3], pair) if batch.gated else None
    if batch.gated:
        kept = xp.flatnonzero(let_through)
        columns = [column[kept] for column in columns]
    return Attempts(*[*columns, xp.edges(columns[0], len(passes.start_ns))])


def attempt_costs(batch: Batch, attempts: Attempts, visited: Array, caught: Array) -> tuple[Array, Array, Array]:
    """
    Compute what attempts find if no row is over before its visit.

    Parameters
    ----------
    batch : Batch
    attempts : Attempts
    visited : (n,) bool
        Whether an earlier attempt met the row.
    caught : (n_rows,) bool
        Rows in which a pass sets the bit that started before.

    Returns
    -------
    code, cost, length_ns : (n,) int64
        Class code, where its costs stand, and how long the attempt takes.
    """
    xp, table_row = batch.xp, attempts.table_row
    if xp.fuses:
        n = len(table_row)
        code, cost, length_ns = (xp.empty(n, np.int64) for _ in range(3))
        given = (attempts.row, table_row, attempts.pair, caught, visited)
        tables = batch.free, batch.code, batch.group_of_row, batch.cost_at, batch.length_ns
        xp.fused("attempt_costs", n, *given, *tables, code, cost, length_ns)
        return code, cost, length_ns
    known = batch.free[table_row] & (caught[attempts.row] | visited)
    code = xp.where(known, CACHED, batch.code[table_row])
    cost = code + batch.group_of_row[table_row] + batch.cost_at[attempts.pair]
    return code, cost, batch.length_ns[cost]


def attempt_visits(
    batch: Batch, attempts: Attempts, start_ns: Array, code: Array, length_ns: Array
) -> tuple[Array, Visits]:
    """
    Compute when attempts are made, one after another from the start of their pass on.

    Parameters
    ----------
    batch : Batch
    attempts : Attempts
    start_ns : (n_passes,) int64
    code, length_ns : (n,) int64
        As `attempt_costs` returns them.

    Returns
    -------
    pass_length_ns : (n_passes,) int64
    visits : Visits
    """
    xp, pair, row, table_row = batch.xp, attempts.pair, attempts.row, attempts.table_row
    until = xp.sums(length_ns)
    edges = until[attempts.at]
    pass_length_ns = edges[1:] - edges[:-1]
    if xp.fuses:
        n = len(row)
        times, succeeds = [xp.empty(n, np.int64) for _ in range(4)], xp.empty(n, bool)
        rows = *batch.rows_of_tables(), *batch.instants_of_tables()
        given = (attempts.scan_pass, pair, row, table_row, code, length_ns, until, attempts.at, start_ns)
        tables = batch.until_ns, batch.free, batch.position, batch.leader_first
        xp.fused("attempt_visits", n, *given, *tables, *rows, batch.table_row, *times, succeeds)
        return pass_length_ns, Visits(*[*times, succeeds])
    visit_ns = start_ns[attempts.scan_pass] + (until[:-1] - edges[attempts.scan_pass])
    met_row = row.copy()
    late = xp.flatnonzero(visit_ns >= batch.until_ns[table_row])
    late_pair = pair[late]
    instant = batch.instant(visit_ns[late], xp.edges(late_pair, len(batch)))
    met_row[late] = batch.row(batch.position[table_row[late]], instant, late_pair)
    met_table_row = met_row + batch.table_row[pair]
    succeeds = batch.free[met_table_row]
    if batch.leads:
        succeeds &= ~batch.leader_first[pair] | (code >= CLEAN)
    return pass_length_ns, Visits(visit_ns, visit_ns + length_ns, met_row, met_table_row, succeeds)
