"""Several (trace, policy) pairs side by side: what they are, and where each begins on the axes that they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gmemgpu.engine.array.table import TraceTable
from gmemgpu.engine.array.xp.namespace import Array, begins
from gmemgpu.engine.class_code import CodeCosts
from gmemgpu.model.cost import Costs
from gmemgpu.model.policy import Gate, Policy

__all__ = ["Pair", "Batch", "pair_items", "pair_of"]

_GATES: tuple[Gate, ...] = ("all", "gmem_free", "free")


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """
    One policy on one trace.

    Parameters
    ----------
    table : TraceTable
    policy : Policy
        Not the oracle.
    priced : CodeCosts
        Of the policy's executor on the trace's host.
    """

    table: TraceTable
    policy: Policy
    priced: CodeCosts


def pair_of(table: TraceTable, policy: Policy, costs: Costs) -> Pair:
    """Build a pair."""
    return Pair(table, policy, table.prepared.priced(policy.executor, costs))


def pair_items(pair: Pair) -> int:
    """Count class rows, requests and what else a pair's arrays grow with."""
    table, policy = pair.table, pair.policy
    n = table.n_rows + table.n_requests(policy.hook, policy.timer)
    if policy.scope in ("dirty", "dirty_retry"):
        n += len(table.prepared.clearings[0])
    elif policy.scope != "window" and policy.timer.kind != "periodic":
        n += table.n_named(policy.hook, policy.scope)
    if policy.boot and policy.scope != "window":
        n += table.n_positions * (1 + len(table.prepared.snp.inits))
    return n


class Batch:
    """
    Pairs on common axes; those of one pair are neighbours on each.

    Parameters
    ----------
    pairs : sequence of Pair
        In any order, of any traces; all of one namespace.

    Attributes
    ----------
    xp : Namespace
        What all of a batch is computed with.
    n_rows, n_slots, n_costs : int
        Of all pairs: class rows, instants, costs.
    row_at, instant_at, cost_at : (n_pairs + 1,) int64
        Where the class rows, instants and costs of each pair begin. Pairs of one trace have rows of their own.
    table_row : (n_pairs,) int64
        What to add to a row of a pair to find it in the columns `position`, `code` and so on, which pairs of one trace
        share.
    """

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self.pairs = list(pairs)
        xp = self.xp = pairs[0].table.xp
        tables = list({id(pair.table): pair.table for pair in pairs}.values())
        number = {id(table): k for k, table in enumerate(tables)}
        table_of = np.array([number[id(pair.table)] for pair in pairs])
        own = [pair.table for pair in pairs]
        row_at = begins([table.n_rows for table in own])
        instant_at = begins([table.n_instants for table in own])
        cost_at = begins([len(pair.priced.length_ns) for pair in pairs])
        table_row_at = begins([table.n_rows for table in tables])
        table_instant_at = begins([table.n_instants - 1 for table in tables])
        self.n_rows, self.n_slots, self.n_costs = int(row_at[-1]), int(instant_at[-1]), int(cost_at[-1])
        self.row_at, self.instant_at, self.cost_at = xp.asarray(row_at), xp.asarray(instant_at), xp.asarray(cost_at)
        self.row_counts = xp.diff(self.row_at)
        self.table_row = xp.asarray(table_row_at[table_of] - row_at[:-1])
        # Where the rows and instants of a pair's table begin and end.
        self._rows = xp.asarray(table_row_at[table_of]), xp.asarray(table_row_at[table_of + 1])
        self._instants = xp.asarray(table_instant_at[table_of]), xp.asarray(table_instant_at[table_of + 1])

        self.most_positions = max(1, *(table.n_positions for table in own))
        self.n_positions = self._each([table.n_positions for table in own])
        self.n_instants = self._each([table.n_instants for table in own])
        self.horizon_ns = self._each([table.prepared.horizon_ns for table in own])
        self.warmup_ns = self._each([table.prepared.warmup_ns for table in own])
        policies = [pair.policy for pair in pairs]
        gates = [_GATES.index(policy.gate) for policy in policies]
        self.gated = any(gates)
        self.gate = self._each(gates)
        leads = [policy.executor == "leader_first" for policy in policies]
        self.leads = any(leads)
        self.leader_first = xp.asarray(np.array(leads))

        self.length_ns = xp.asarray(np.concatenate([pair.priced.length_ns for pair in pairs]))
        self.on_at = self._together("on_at", own)
        self.position = self._together("position", tables)
        self.t_ns = self._together("t_ns", tables)
        self.until_ns = self._together("until_ns", tables)
        self.code = self._together("code", tables)
        self.group_of_row = self._together("group_of_row", tables)
        self.gmem = self._together("gmem", tables)
        self.on = self._together("on", tables)
        self.free = self._together("free", tables)
        self.busy = self._together("busy", tables)
        self.key = self._together("key", tables)
        self.instants_ns = self._together("instants_ns", tables)

    def _each(self, values: Sequence[int]) -> Array:
        return self.xp.asarray(np.array(values, np.int64))

    def _together(self, name: str, tables: Sequence[TraceTable]) -> Array:
        columns = [getattr(table, name) for table in tables]
        return columns[0] if len(columns) == 1 else self.xp.concatenate(columns)

    def __len__(self) -> int:
        return len(self.pairs)

    def each_row(self, values: Array) -> Array:
        """Return a value a pair as a value a row."""
        return self.xp.repeat(values, self.row_counts)

    def slots(self) -> Array:
        """Return the instant at which each row begins, on the axis of all pairs' instants."""
        slot = self._together("rank", [pair.table for pair in self.pairs])
        return slot if len(self) == 1 else slot + self.each_row(self.instant_at[:-1])

    def ends(self) -> Array:
        """Return the last row of each region of each pair."""
        ends = self._together("ends", [pair.table for pair in self.pairs])
        return ends if len(self) == 1 else ends + self.xp.repeat(self.row_at[:-1], self.n_positions)

    def bounds(self) -> Array:
        """Return the instants of each pair, and `FOREVER` after them."""
        return self._together("bounds_ns", [pair.table for pair in self.pairs])

    def pair_of_row(self, rows: Array) -> Array:
        """Return the pair of each row."""
        return self.xp.searchsorted(self.row_at, rows, "right") - 1

    def instant(self, t_ns: Array, at: Array) -> Array:
        """Return how many instants of its pair are at or before each time; those of pair q are ``at[q]:at[q + 1]``."""
        return self.xp.search(self.instants_ns, *self._instants, t_ns, at, "right")

    def row(self, position: Array, instant: Array, pair: Array) -> Array:
        """
        Find the rows of some regions at some times.

        Parameters
        ----------
        position : (m,) int64
            Index of the region among the covered ones of its trace.
        instant : (m,) int64
            As `instant` returns it.
        pair : (m,) int64
            Ascending.

        Returns
        -------
        (m,) int64
            On the axis of all pairs' rows.
        """
        needles = position * self.n_instants[pair] + (instant - 1)
        at = self.xp.searchsorted(pair, self.xp.arange(len(self) + 1))
        return self.xp.search(self.key, *self._rows, needles, at, "right") - 1 + self.row_at[pair]

    def is_absent(self, table_row: Array, pair: Array) -> Array:
        """Check whether the gate of its pair drops a region in the state of a row."""
        gate = self.gate[pair]
        return self.busy[table_row] & ((gate == 2) | ((gate == 1) & self.gmem[table_row]))
