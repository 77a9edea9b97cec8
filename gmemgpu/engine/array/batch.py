"""Several (trace, policy) pairs side by side: what they are, and where each begins on the axes that they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gmemgpu.engine.array.table import TraceTable
from gmemgpu.engine.array.xp import Array, begins, search
from gmemgpu.engine.class_code import CodeCosts, code_costs
from gmemgpu.model.cost import Costs
from gmemgpu.model.policy import Gate, Policy
from gmemgpu.model.trace import BoolArray

__all__ = ["Pair", "Batch", "pair_of"]

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
    prepared = table.prepared
    threads = prepared.trace.host.threads_per_core
    return Pair(table, policy, code_costs(policy.executor, costs, prepared.cores, threads))


class Batch:
    """
    Pairs on common axes; those of one pair are neighbours on each.

    Parameters
    ----------
    pairs : sequence of Pair
        In any order, of any traces.

    Attributes
    ----------
    row_at, instant_at, cost_at : (n_pairs + 1,) int64
        Where the class rows, instants and costs of each pair begin. Pairs of one trace have rows of their own.
    table_row : (n_pairs,) int64
        What to add to a row of a pair to find it in the columns `position`, `code` and so on, which pairs of one trace
        share.
    """

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self.pairs = list(pairs)
        self.tables = list({id(pair.table): pair.table for pair in pairs}.values())
        number = {id(table): k for k, table in enumerate(self.tables)}
        self.table_of = np.array([number[id(pair.table)] for pair in pairs])
        own = [pair.table for pair in pairs]
        self.row_at = begins([len(table.t_ns) for table in own])
        self.instant_at = begins([table.n_instants for table in own])
        self.cost_at = begins([len(pair.priced.length_ns) for pair in pairs])
        self._table_row_at = begins([len(table.t_ns) for table in self.tables])
        self._table_instant_at = begins([table.n_instants - 1 for table in self.tables])
        self.table_row = self._table_row_at[self.table_of] - self.row_at[:-1]

        self.n_positions = np.array([table.n_positions for table in own])
        self.n_instants = np.array([table.n_instants for table in own])
        self.most_positions = max(1, int(self.n_positions.max()))
        self.horizon_ns = np.array([table.prepared.horizon_ns for table in own], np.int64)
        self.warmup_ns = np.array([table.prepared.warmup_ns for table in own], np.int64)
        policies = [pair.policy for pair in pairs]
        self.leader_first: BoolArray = np.array([policy.executor == "leader_first" for policy in policies])
        self.gate = np.array([_GATES.index(policy.gate) for policy in policies])
        self.gated = bool(self.gate.any())

        self.length_ns = self._per_pair([pair.priced.length_ns for pair in pairs])
        self.position = self._per_table("position")
        self.t_ns = self._per_table("t_ns")
        self.until_ns = self._per_table("until_ns")
        self.code = self._per_table("code")
        self.group_of_row = self._per_table("group_of_row")
        self.gmem = self._per_table("gmem")
        self.on = self._per_table("on")
        self.free = self._per_table("free")
        self.busy = self._per_table("busy")
        self.key = self._per_table("key")
        self.instants_ns = self._per_table("instants_ns")
        self.on_at = self._per_pair([table.on_at for table in own])
        self.covered_group = self._per_pair([table.group for table in own])
        self.position_at = begins(self.n_positions)

    def _per_table(self, name: str) -> Array:
        columns = [getattr(table, name) for table in self.tables]
        return columns[0] if len(columns) == 1 else np.concatenate(columns)

    def _per_pair(self, columns: list[Array]) -> Array:
        return columns[0] if len(columns) == 1 else np.concatenate(columns)

    def __len__(self) -> int:
        return len(self.pairs)

    def each_row(self, values: Array) -> Array:
        """Return a value a pair as a value a row."""
        return np.repeat(values, np.diff(self.row_at))

    def pair_of_row(self, rows: Array) -> Array:
        """Return the pair of each row."""
        return np.searchsorted(self.row_at, rows, "right") - 1

    def instant(self, t_ns: Array, at: Array) -> Array:
        """Return how many instants of its pair are at or before each time; those of pair q are ``at[q]:at[q + 1]``."""
        begin, end = self._table_instant_at[self.table_of], self._table_instant_at[self.table_of + 1]
        return search(self.instants_ns, begin, end, t_ns, at, "right")

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
        at = np.searchsorted(pair, np.arange(len(self) + 1))
        begin, end = self._table_row_at[self.table_of], self._table_row_at[self.table_of + 1]
        return search(self.key, begin, end, needles, at, "right") - 1 + self.row_at[pair]

    def is_absent(self, table_row: Array, pair: Array) -> Array:
        """Check whether the gate of its pair drops a region in the state of a row."""
        gate = self.gate[pair]
        return self.busy[table_row] & ((gate == 2) | ((gate == 1) & self.gmem[table_row]))
