"""One trace and its timeline, ready to record what any policy does."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from gmemgpu.engine.array.columns import timeline_columns
from gmemgpu.engine.array.hooks import Hooks
from gmemgpu.engine.array.tables import Tables
from gmemgpu.engine.class_code import CodeCosts, code_costs
from gmemgpu.model.cost import Costs
from gmemgpu.model.policy import Executor, Policy
from gmemgpu.model.trace import BoolArray, Int64Array, Trace
from gmemgpu.timeline.build import build_timeline
from gmemgpu.timeline.episode import free_episodes, free_runs
from gmemgpu.timeline.piece import IdRegions
from gmemgpu.timeline.request import Requests

__all__ = ["Prepared"]


class Prepared:
    """
    One trace and its timeline.

    Parameters
    ----------
    trace : Trace
        A valid one.

    Attributes
    ----------
    trace : Trace
        Cut at its horizon.
    cores : (n_regions,) int64
        Cores whose window covers each region.
    covered : (n_covered,) int64
        Regions that some core's window covers, ascending.
    snp : SnpStates
        When SNP is on.
    episodes : Episodes
        All free ones.
    region, row_ns, codes : (n_rows,) int64
        When the class of each region changes: the region, the time, and the class as if no bit were set.
    gmem : (n_rows,) bool
        Whether a guest_memfd page is assigned from there on.
    cost_groups : (n_regions,) int64
        What to add to a class code for the costs of each region.
    """

    def __init__(self, trace: Trace) -> None:
        line = build_timeline(trace)
        columns = timeline_columns(line)
        self._tables, self._owners = Tables(columns), line.owners
        self.trace: Trace = line.trace
        self.horizon_ns, self.warmup_ns = line.trace.horizon_ns, line.trace.warmup_ns
        self.cores: Int64Array = np.array(trace.host.covering_cores(), np.int64)
        self.covered: Int64Array = np.flatnonzero(self.cores)
        self.snp = self._tables.snp[0]
        self.episodes = free_episodes(free_runs(line), self.snp)
        self.row_ns: Int64Array = columns.rows.t_ns
        self.region: Int64Array = np.repeat(np.arange(len(self.cores)), np.diff(columns.rows.at))
        self.codes: Int64Array = columns.rows.codes(columns.xp)
        self.gmem: BoolArray = columns.rows.gmem > 0
        self.cost_groups: Int64Array = self._tables.hosts[0].group

    @cached_property
    def clearings(self) -> tuple[Int64Array, Int64Array]:
        """Times and regions of all `release` and `share` pieces of covered regions, in time order."""
        _, t_ns, position = self._tables.clearings
        return t_ns, self.covered[position]

    @property
    def vm_regions(self) -> IdRegions:
        """Where the guest_memfds of each VM ever had pages, and since when; regions without coverage are among them."""
        return self._owners.by_vm

    @property
    def inode_regions(self) -> IdRegions:
        """Where each inode ever had pages, and since when; regions without coverage are among them."""
        return self._owners.by_inode

    def priced(self, executor: Executor, costs: Costs) -> CodeCosts:
        """
        Return what attempts cost on this host.

        Parameters
        ----------
        executor : Executor
            Which cores work on a region.
        costs : Costs
            Times of RMPOPT, in ns.

        Returns
        -------
        CodeCosts
            By class code and group.
        """
        host = self._tables.hosts[0]
        return code_costs(executor, costs, host.core_counts, host.threads_per_core)

    def requests(self, policy: Policy) -> Requests:
        """
        Return the requests of a policy.

        Parameters
        ----------
        policy : Policy
            Whose hook is asked.

        Returns
        -------
        Requests
            All that the hook makes.
        """
        return Hooks(self._tables, [policy]).requests(policy.hook).of
