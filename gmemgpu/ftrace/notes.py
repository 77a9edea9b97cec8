"""What whoever uses an imported trace must know of it: what was lost, what was assumed, what is not in it."""

from __future__ import annotations

import numpy as np

from gmemgpu.ftrace.call_log import CallLog
from gmemgpu.ftrace.life import Account
from gmemgpu.model.event import Kind
from gmemgpu.model.trace import Trace
from gmemgpu.units import NS_PER_S

__all__ = ["notes_of"]

_NEVER = (Kind.INVALIDATE, Kind.FREED, Kind.USE, Kind.UNUSE)
_MAY = (Kind.RELEASE, Kind.SHARE, Kind.EVICT_BEGIN, Kind.EVICT_END, Kind.INODE_FREE, Kind.VM_DESTROY)


def notes_of(log: CallLog, account: Account, trace: Trace) -> list[str]:
    """
    Return what must be told.

    Parameters
    ----------
    log : CallLog
        What was read.
    account : Account
        What was made of it.
    trace : Trace
        The result.

    Returns
    -------
    list of str
        A line each.
    """
    notes = ["time 0 is the first call, the end is the last; the file does not say by which clock"]
    if log.n_gaps:
        some = f"{log.n_lost:,} events" if log.n_lost else "an unknown number of events"
        notes.append(f"{some} were lost in {log.n_gaps:,} places: some pages may be assigned or free that were not")
    if log.n_late:
        notes.append(
            f"{log.n_late:,} calls stood after later ones and were sorted; by the clock local those of different CPUs "
            "may be some µs off, by mono they are not"
        )
    if log.n_damaged:
        notes.append(f"lines on the functions that are damaged and left out: {log.n_damaged:,}")
    if account.n_failed:
        notes.append(f"RMPUPDATEs that failed and changed nothing: {account.n_failed:,}")
    if not account.knows_returns:
        notes.append("no returns in the file: every RMPUPDATE is taken to have succeeded")
    if account.n_before:
        notes.append(
            f"{account.n_before:,} pages were taken back that no call had assigned: taken to be assigned at time 0, "
            "their VM unknown; pages that were assigned then and never came back are not in the trace"
        )
    if account.n_unclaimed:
        notes.append(
            f"{account.n_unclaimed:,} of {account.n_vm_destroys:,} VMs destroyed are not tied to pages (no "
            "sev_gmem_prepare): for the scope vm they have no regions"
        )
    if account.n_assumed_inodes:
        notes.append(f"{account.n_assumed_inodes:,} inodes are assumed, one a VM, for pages whose inode no call names")
    if account.n_armed:
        notes.append(f"calls that arm RMPOPT: {account.n_armed:,}; VMs destroyed: {account.n_vm_destroys:,}")
    passes = account.passes
    if passes.begun_ns:
        line = (
            f"RMPOPT passes begun: {len(passes.begun_ns):,}; due by v10, 10 s after the last call that arms: "
            f"{passes.n_due:,}"
        )
        if passes.delays_ns:
            least, middle, most = (
                f"{passes.delays_ns[place] / NS_PER_S:,.3f}" for place in (0, (len(passes.delays_ns) - 1) // 2, -1)
            )
            line += f"; seconds since that call: {middle} (median; {least} to {most})"
        notes.append(line)
    present = set(np.unique(trace.kind).tolist())
    absent = [kind.text for kind in (*_MAY, *_NEVER) if kind not in present]
    notes.append(f"not in the trace, so that policies that wait for it do nothing: {', '.join(absent)}")
    return notes
