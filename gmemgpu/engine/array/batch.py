"""Several (trace, policy) pairs side by side: what they are, and where each begins on the axes that they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gmemgpu.engine.array.joined import JoinedTables
from gmemgpu.engine.array.table import TraceTable
from gmemgpu.engine.array.xp.namespace import Array, Namespace, begins
from gmemgpu.engine.class_code import CodeCosts
from gmemgpu.model.cost import Costs
from gmemgpu.model.policy import Gate, Policy
from gmemgpu.model.trace import Int64Array

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
    tables : JoinedTables, optional
        Of all their traces, and perhaps of others; made anew if left out.

    Attributes
    ----------
    xp : Namespace
        What all of a batch is computed with.
    tables : JoinedTables
    n_rows, n_slots, n_costs : int
        Of all pairs: class rows, instants, costs.
    row_at, instant_at, cost_at : (n_pairs + 1,) int64
        Where the class rows, instants and costs of each pair begin. Pairs of one trace have rows of their own.
    table_of : (n_pairs,) int64
        Each pair's trace among the tables, on the host.
    policies : list of Policy
        Each once.
    policy_of : (n_pairs,) int64
        Each pair's among those, on the host.
    table_row : (n_pairs,) int64
        What to add to a row of a pair to find it in the columns `position`, `code` and so on, which pairs of one trace
        share.
    length_ns : (n_costs,) int64
        What attempts of each pair last, by class code and group.
    """

    def __init__(self, pairs: Sequence[Pair], tables: JoinedTables | None = None) -> None:
        self.pairs = list(pairs)
        if tables is None:
            tables = JoinedTables(list({id(pair.table): pair.table for pair in pairs}.values()))
        self.tables = tables
        xp = self.xp = tables.xp
        self.table_of = table_of = np.array([tables.number[id(pair.table)] for pair in pairs])
        policies = {id(pair.policy): pair.policy for pair in pairs}
        self.policies = list(policies.values())
        number = {policy: k for k, policy in enumerate(policies)}
        self.policy_of = np.array([number[id(pair.policy)] for pair in pairs])
        row_at = begins(np.diff(tables.row_at)[table_of])
        instant_at = begins(np.diff(tables.instant_at)[table_of])
        self.n_rows, self.n_slots = int(row_at[-1]), int(instant_at[-1])
        self.row_at, self.instant_at = xp.asarray(row_at), xp.asarray(instant_at)
        self.row_counts = xp.diff(self.row_at)
        self.table_row = xp.asarray(tables.row_at[table_of] - row_at[:-1])
        # Where the rows, instants and covered regions of a pair's table begin and end.
        self._rows = xp.asarray(tables.row_at[table_of]), xp.asarray(tables.row_at[table_of + 1])
        self._instants = xp.asarray(tables.instant_at[table_of]), xp.asarray(tables.instant_at[table_of + 1] - 1)
        self._positions = xp.asarray(tables.position_at[table_of])

        prepared = [table.prepared for table in tables.tables]
        n_positions = np.diff(tables.position_at)[table_of]
        self.most_positions = max(1, int(n_positions.max()))
        self.n_positions = xp.asarray(n_positions)
        self.n_instants = xp.asarray(np.diff(tables.instant_at)[table_of])
        self.horizon_ns = xp.asarray(np.array([each.horizon_ns for each in prepared])[table_of])
        self.warmup_ns = xp.asarray(np.array([each.warmup_ns for each in prepared])[table_of])
        gates = [_GATES.index(policy.gate) for policy in self.policies]
        self.gated = any(gates)
        self.gate = xp.asarray(self.of_policies(gates))
        leads = [policy.executor == "leader_first" for policy in self.policies]
        self.leads = any(leads)
        self.leader_first = xp.asarray(self.of_policies(leads))
        self.most_groups = max(len(each.all_core_counts) for each in prepared)
        self._price(xp)

        self.position, self.t_ns, self.until_ns = tables.position, tables.t_ns, tables.until_ns
        self.code, self.group_of_row, self.key = tables.code, tables.group_of_row, tables.key
        self.gmem, self.on, self.free, self.busy = tables.gmem, tables.on, tables.free, tables.busy

    def _price(self, xp: Namespace) -> None:
        # Pairs with the same costs share them on the way.
        priced = list({id(pair.priced): pair.priced for pair in self.pairs}.values())
        number = {id(costs): k for k, costs in enumerate(priced)}
        self.priced = priced
        self.priced_of = np.array([number[id(pair.priced)] for pair in self.pairs])
        self.priced_at = begins([len(costs.length_ns) for costs in priced])
        counts = np.diff(self.priced_at)[self.priced_of]
        self.host_cost_at = begins(counts)
        self.n_costs = int(self.host_cost_at[-1])
        self.cost_at = xp.asarray(self.host_cost_at)
        lengths_ns = xp.asarray(np.concatenate([costs.length_ns for costs in priced]))
        _, index = xp.expand(xp.asarray(self.priced_at[self.priced_of]), xp.asarray(counts))
        self.length_ns = lengths_ns[index]

    def of_policies(self, values: ArrayLike) -> NDArray[Any]:
        """Return a value a policy, in the order of `policies`, as a value a pair; on the host."""
        found: NDArray[Any] = np.asarray(values)[self.policy_of]
        return found

    def __len__(self) -> int:
        return len(self.pairs)

    def each_row(self, values: Array) -> Array:
        """Return a value a pair as a value a row."""
        return self.xp.repeat(values, self.row_counts)

    def slots(self) -> Array:
        """Return the instant at which each row begins, on the axis of all pairs' instants."""
        row = self.xp.arange(self.n_rows) + self.xp.spread(self.table_row, self.row_at)
        return self.tables.rank[row] + self.xp.spread(self.instant_at[:-1], self.row_at)

    def ends(self) -> Array:
        """Return the last row of each region of each pair."""
        pair, place = self.xp.expand(self._positions, self.n_positions)
        return self.tables.ends[place] - self.table_row[pair]

    def bounds(self) -> Array:
        """Return the instants of each pair, and `FOREVER` after them."""
        return self.tables.bounds_ns[self.xp.expand(self._instants[0], self.n_instants)[1]]

    def is_on(self, instant: Array, pair: Array) -> Array:
        """Check whether SNP is on at times of some pairs; `instant` is as `instant` returns it."""
        return self.tables.on_at[instant + self._instants[0][pair] - 1]

    def of_tables(self, at: Int64Array, which: ArrayLike) -> tuple[Array, Array, Array]:
        """
        List what pairs have of a column of all tables.

        Parameters
        ----------
        at : (n_tables + 1,) int64
            Where each table's part begins, on the host.
        which : (n_pairs,) bool
            Which pairs have any.

        Returns
        -------
        pair_at : (n_pairs + 1,) int64
        pair, index : (n,) int64
            Of each element: the pair, and where it stands in the column.
        """
        begin = np.where(np.asarray(which, bool), at[self.table_of], 0)
        count = np.where(np.asarray(which, bool), at[self.table_of + 1], 0) - begin
        pair, index = self.xp.expand(self.xp.asarray(begin), self.xp.asarray(count))
        return self.xp.asarray(begins(count)), pair, index

    def pair_of_row(self, rows: Array) -> Array:
        """Return the pair of each row."""
        return self.xp.searchsorted(self.row_at, rows, "right") - 1

    def instant(self, t_ns: Array, at: Array) -> Array:
        """Return how many instants of its pair are at or before each time; those of pair q are ``at[q]:at[q + 1]``."""
        return self.xp.search(self.tables.bounds_ns, *self._instants, t_ns, at, "right")

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
