"""From VMs to their places: all of them, or those that may arrive, by plain or by compiled code."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gmemgpu.lifecycle.admission import GivenBack, Placed, endless_draws, place_vms
from gmemgpu.model.trace import BoolArray, Int64Array
from gmemgpu.placement.choice import build_allocator
from gmemgpu.placement.displaced import Displaced
from gmemgpu.placement.host_map import HostMap
from gmemgpu.placement.kernel_pages import KernelPages
from gmemgpu.vmtable.random_stream import Purpose, Stream
from gmemgpu.vmtable.table import VmTable
from gmemgpu.workload.guest_memory import GuestMemory

__all__ = ["Admission"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Admission:
    """
    VMs that ask for room, and the host that they ask.

    Parameters
    ----------
    vms : VmTable
        Its first n VMs ask.
    n_blocks, n_kernel_pages : (n,) int64
        What each wants.
    returns : GivenBack
        Of all VMs as though all got in.
    displaced : Displaced
        Blocks that lie at random.
    host_map : HostMap
        The host.
    memory : GuestMemory
        How guests use memory.
    seed : int
        Draws where things lie.
    compiled : bool
        Whether compiled code places the VMs.
    """

    vms: VmTable
    n_blocks: Int64Array
    n_kernel_pages: Int64Array
    returns: GivenBack
    displaced: Displaced
    host_map: HostMap
    memory: GuestMemory
    seed: int
    compiled: bool

    def place(self, arrives: BoolArray | None = None) -> Placed:
        """
        Play arrivals and returns.

        Parameters
        ----------
        arrives : (n,) bool, optional
            Who asks at all; the others are not admitted.

        Returns
        -------
        Placed
            Of all VMs.
        """
        n = len(self.n_blocks)
        rows = np.arange(n) if arrives is None else np.flatnonzero(arrives)
        returns, displaced = self.returns, self.displaced
        if len(rows) < n:
            returns, displaced = self._some(rows)
        columns = (
            self.vms.arrival_ns[rows],
            self.n_blocks[rows],
            self.n_kernel_pages[rows],
            self.vms.node[rows].astype(np.int64),
        )
        page_stream, displaced_stream = (
            Stream(self.seed, purpose) for purpose in (Purpose.VMSA, Purpose.DISPLACED_PLACE)
        )
        if self.compiled:
            from gmemgpu.lifecycle.compiled_admission import place_vms_compiled

            placed = place_vms_compiled(
                *columns,
                returns,
                host_map=self.host_map,
                memory=self.memory,
                stream=page_stream,
                displaced=displaced,
                displaced_stream=displaced_stream,
            )
        else:
            allocator = build_allocator(self.host_map, self.memory, Stream(self.seed, Purpose.PLACEMENT))
            placed = place_vms(
                *columns,
                self.vms.snp[rows],
                returns,
                allocator=allocator,
                kernel_pages=KernelPages(allocator, self.memory.vmsa, endless_draws(page_stream)),
                displaced=displaced,
                displaced_draws=endless_draws(displaced_stream),
            )
        if len(rows) == n:
            return placed
        admitted = np.zeros(n, np.bool_)
        admitted[rows] = placed.admitted
        return replace(placed, admitted=admitted, extent_vm=rows[placed.extent_vm], page_vm=rows[placed.page_vm])

    def _some(self, rows: Int64Array) -> tuple[GivenBack, Displaced]:
        # Of these VMs alone, which are numbered anew.
        number = np.full(len(self.n_blocks), -1)
        number[rows] = np.arange(len(rows))
        keep = number[self.returns.vm] >= 0
        returns = GivenBack(
            t_ns=self.returns.t_ns[keep],
            vm=number[self.returns.vm[keep]],
            first_block=self.returns.first_block[keep],
            end_block=self.returns.end_block[keep],
        )
        counts = np.diff(self.displaced.first)
        first = np.concatenate([[0], np.cumsum(counts[rows])])
        block = self.displaced.block[np.repeat(number >= 0, counts)]
        return returns, Displaced(first=first, block=block)
