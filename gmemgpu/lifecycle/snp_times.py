"""When SNP is shut down, initialized again and KVM unloaded, given who runs, and who may arrive meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gmemgpu.lifecycle.event_columns import RUN_TIME, EventColumns
from gmemgpu.model.event import Kind
from gmemgpu.model.trace import BoolArray, Int64Array
from gmemgpu.vmtable.table import VmTable
from gmemgpu.workload.snp_life import SnpLife

__all__ = ["SnpTimes", "arrives_before", "snp_times"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SnpTimes:
    """
    Events of SNP and KVM, which may lie past the horizon.

    Parameters
    ----------
    shutdown_begin_ns, shutdown_end_ns, unload_ns, init_ns : int or None
        None if there is no such event.
    """

    shutdown_begin_ns: int | None
    shutdown_end_ns: int | None
    unload_ns: int | None
    init_ns: int | None

    def add_to(self, events: EventColumns) -> None:
        """
        Add the events, after the ends of guests and before all else at one instant.

        Parameters
        ----------
        events : EventColumns
            Gets the events.
        """
        in_order = (
            (Kind.SNP_SHUTDOWN_BEGIN, self.shutdown_begin_ns),
            (Kind.SNP_SHUTDOWN_END, self.shutdown_end_ns),
            (Kind.KVM_UNLOAD, self.unload_ns),
            (Kind.SNP_INIT, self.init_ns),
        )
        for i, (kind, t_ns) in enumerate(in_order):
            if t_ns is not None:
                events.add(kind, np.array([t_ns], np.int64), RUN_TIME - len(in_order) + i)


def arrives_before(life: SnpLife, vms: VmTable, n: int) -> BoolArray:
    """
    Return who arrives while SNP and KVM are there for the first time: SNP guests need both, others KVM.

    Parameters
    ----------
    life : SnpLife
        What the administrator does.
    vms : VmTable
        The VM table.
    n : int
        VMs from its top.

    Returns
    -------
    (n,) bool
        The others are rejected unless they come after an SNP_INIT.
    """
    arrival_ns = vms.arrival_ns[:n]
    before = np.ones(n, np.bool_)
    if life.kvm_unload_ns is not None:
        before &= arrival_ns < life.kvm_unload_ns
    if life.shutdown_ns is not None:
        before &= ~vms.snp[:n] | (arrival_ns < life.shutdown_ns)
    return before


def snp_times(life: SnpLife, gone_ns: Int64Array, snp: BoolArray) -> SnpTimes:
    """
    Compute when what the administrator asks for happens.

    Parameters
    ----------
    life : SnpLife
        What the administrator asks for.
    gone_ns : (k,) int64
        When each admitted guest that came before is gone: `vm_destroy`, or an ordinary one's departure.
    snp : (k,) bool
        Whether each is an SNP guest.

    Returns
    -------
    SnpTimes
        Unless forced, a shutdown waits for SNP guests, and the unloading of KVM for all.
    """

    def after(wanted_ns: int | None, of: Int64Array) -> int | None:
        if wanted_ns is None or life.force or not len(of):
            return wanted_ns
        return max(wanted_ns, int(of.max()) + 1)

    begin_ns = after(life.shutdown_ns, gone_ns[snp])
    end_ns = None if begin_ns is None else begin_ns + life.shutdown_length_ns
    unload_ns = after(life.kvm_unload_ns, gone_ns)
    init_ns = life.init_ns
    if init_ns is not None:
        init_ns = max(init_ns, *(time for time in (end_ns, unload_ns) if time is not None))
    return SnpTimes(shutdown_begin_ns=begin_ns, shutdown_end_ns=end_ns, unload_ns=unload_ns, init_ns=init_ns)
