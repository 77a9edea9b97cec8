"""Several (trace, policy) pairs side by side: what they are, and where each begins on the axes that they share."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gmemgpu.engine.array.counts import Counts
from gmemgpu.engine.array.hooks import Hooks
from gmemgpu.engine.array.tables import Tables
from gmemgpu.engine.array.xp.namespace import Array, Namespace, begins
from gmemgpu.engine.class_code import code_costs
from gmemgpu.model.cost import Costs
from gmemgpu.model.policy import Gate, Policy
from gmemgpu.model.trace import BoolArray, Int64Array

__all__ = ["Batch", "Pairs"]

_GATES: tuple[Gate, ...] = ("all", "gmem_free", "free")


class Pairs:
    """
    Some (trace, policy) pairs.

    Parameters
    ----------
    tables : Tables
        Of their traces, and perhaps of others.
    policies : sequence of Policy
        None of them the oracle.
    costs : Costs
    trace_of, policy_of : (n_pairs,) int64
        Of each pair; every policy on every trace, trace by trace, if left out.
    """

    def __init__(
        self,
        tables: Tables,
        policies: Sequence[Policy],
        costs: Costs,
        trace_of: Int64Array | None = None,
        policy_of: Int64Array | None = None,
    ) -> None:
        self.tables, self.policies, self.costs = tables, policies, costs
        self.hooks = Hooks(tables, policies)
        self.counts = Counts(self.hooks)
        n, m = len(tables), len(policies)
        self.trace_of: Int64Array = np.repeat(np.arange(n), m) if trace_of is None else trace_of
        self.policy_of: Int64Array = np.tile(np.arange(m), n) if policy_of is None else policy_of

    def __len__(self) -> int:
        return len(self.trace_of)

    def some(self, chosen: Int64Array) -> Pairs:
        """Return some of them, in any order and as often as they are named."""
        taken = copy(self)
        taken.trace_of, taken.policy_of = self.trace_of[chosen], self.policy_of[chosen]
        return taken

    def items(self) -> Int64Array:
        """Count class rows, requests and what else the arrays of each pair grow with."""
        found: Int64Array = self.counts.items[self.policy_of, self.trace_of]
        return found

    def idle(self) -> BoolArray:
        """Check which pairs have nothing that could start a pass."""
        found: BoolArray = (self.counts.starters == 0)[self.policy_of, self.trace_of]
        return found


class Batch:
    """
    Pairs on common axes; those of one pair are neighbours on each.

    Parameters
    ----------
    pairs : Pairs
        In any order, of any traces.

    Attributes
    ----------
    xp : Namespace
        What all of a batch is computed with.
    tables : Tables
    n_rows, n_slots, n_costs : int
        Of all pairs: class rows, instants, costs.
    row_at, instant_at, cost_at : (n_pairs + 1,) int64
        Where the class rows, instants and costs of each pair begin. Pairs of one trace have rows of their own.
    trace_of : (n_pairs,) int64
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

    def __init__(self, pairs: Pairs) -> None:
        self.pairs = pairs
        tables = self.tables = pairs.tables
        xp = self.xp = tables.xp
        table_of = self.trace_of = pairs.trace_of
        chosen, self.policy_of = np.unique(pairs.policy_of, return_inverse=True)
        self.policies = [pairs.policies[k] for k in chosen.tolist()]
        counts = {name: np.diff(getattr(tables, name))[table_of] for name in ("row_at", "instant_at", "position_at")}
        row_at, instant_at, place_at = (begins(count) for count in counts.values())
        self.n_rows, self.n_slots, self.n_places = int(row_at[-1]), int(instant_at[-1]), int(place_at[-1])
        self.most_positions = max(1, int(counts["position_at"].max()))
        self.most_groups = max(len(host.core_counts) for host in tables.hosts)
        gates = [_GATES.index(policy.gate) for policy in self.policies]
        leads = [policy.executor == "leader_first" for policy in self.policies]
        self.gated, self.leads = any(gates), any(leads)
        starts = tables.row_at[table_of], tables.instant_at[table_of]
        self.row_at, self.instant_at, self.place_at, self.table_row, *edges = xp.put(
            *(row_at, instant_at, place_at, starts[0] - row_at[:-1]),
            *(starts[0], tables.row_at[table_of + 1], starts[1], tables.instant_at[table_of + 1] - 1),
        )
        self.n_instants, self.n_positions, self.horizon_ns, self.warmup_ns, self.gate, self.leader_first = xp.put(
            *(counts["instant_at"], counts["position_at"], tables.horizon_ns[table_of], tables.warmup_ns[table_of]),
            *(self.of_policies(gates), self.of_policies(leads)),
        )
        # Where the rows and instants of a pair's table begin and end.
        self._rows, self._instants = (edges[0], edges[1]), (edges[2], edges[3])
        self._price(xp)

        self.position, self.t_ns, self.until_ns = tables.position, tables.t_ns, tables.until_ns
        self.code, self.group_of_row, self.key = tables.code, tables.group_of_row, tables.key
        self.gmem, self.on, self.free, self.busy = tables.gmem, tables.on, tables.free, tables.busy

    def _price(self, xp: Namespace) -> None:
        # Hosts and executors have costs; pairs share them on the way.
        hosts = {id(host): host for host in self.tables.hosts}
        executors = list(dict.fromkeys(policy.executor for policy in self.policies))
        self.priced = [
            code_costs(executor, self.pairs.costs, host.core_counts, host.threads_per_core)
            for host in hosts.values()
            for executor in executors
        ]
        number = {key: k for k, key in enumerate(hosts)}
        of_trace = np.array([number[id(host)] for host in self.tables.hosts])
        of_policy = self.of_policies([executors.index(policy.executor) for policy in self.policies])
        self.priced_of = of_trace[self.trace_of] * len(executors) + of_policy
        self.priced_at = begins([len(costs.length_ns) for costs in self.priced])
        counts = np.diff(self.priced_at)[self.priced_of]
        self.host_cost_at = begins(counts)
        self.n_costs = int(self.host_cost_at[-1])
        lengths_ns = np.concatenate([costs.length_ns for costs in self.priced])
        self.cost_at, lengths = xp.put(self.host_cost_at, lengths_ns)
        self.length_ns = lengths[xp.expand_known(self.priced_at[self.priced_of], counts)[1]]

    def of_policies(self, values: ArrayLike) -> NDArray[Any]:
        """Return a value a policy, in the order of `policies`, as a value a pair; on the host."""
        found: NDArray[Any] = np.asarray(values)[self.policy_of]
        return found

    def __len__(self) -> int:
        return len(self.pairs)

    def slots(self) -> Array:
        """Return the instant at which each row begins, on the axis of all pairs' instants."""
        row = self.xp.arange(self.n_rows) + self.xp.spread(self.table_row, self.row_at, self.n_rows)
        return self.tables.rank[row] + self.xp.spread(self.instant_at[:-1], self.row_at, self.n_rows)

    def ends(self) -> Array:
        """Return the last row of each region of each pair."""
        at = self.tables.position_at
        pair, place = self.xp.expand_known(at[self.trace_of], np.diff(at)[self.trace_of])
        return self.tables.ends[place] - self.table_row[pair]

    def bounds(self) -> Array:
        """Return the instants of each pair, and `FOREVER` after them."""
        at = self.tables.instant_at
        return self.tables.bounds_ns[self.xp.expand_known(at[self.trace_of], np.diff(at)[self.trace_of])[1]]

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
        begin = np.where(np.asarray(which, bool), at[self.trace_of], 0)
        count = np.where(np.asarray(which, bool), at[self.trace_of + 1], 0) - begin
        pair, index = self.xp.expand_known(begin, count)
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
        if self.xp.fuses:
            row = self.xp.empty(len(pair), np.int64)
            self.xp.fused("rows_at", len(pair), position, instant, pair, *self.rows_of_tables(), row)
            return row
        needles = position * self.n_instants[pair] + (instant - 1)
        at = self.xp.edges(pair, len(self))
        return self.xp.search(self.key, *self._rows, needles, at, "right") - 1 + self.row_at[pair]

    def rows_of_tables(self) -> tuple[Array, ...]:
        """Return what `row` looks at, as kernels take it: instants, keys, where those of a pair begin and end."""
        return self.n_instants, self.key, *self._rows, self.row_at

    def instants_of_tables(self) -> tuple[Array, ...]:
        """Return what `instant` looks at, as kernels take it: all times, and where those of each pair begin and end."""
        return self.tables.bounds_ns, *self._instants

    def is_absent(self, table_row: Array, pair: Array) -> Array:
        """Check whether the gate of its pair drops a region in the state of a row."""
        gate = self.gate[pair]
        return self.busy[table_row] & ((gate == 2) | ((gate == 1) & self.gmem[table_row]))
