"""From calls of the kernel's functions to the events of a trace."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from gmemgpu.errors import Problem, TraceError
from gmemgpu.ftrace.call_log import CallLog, Calls
from gmemgpu.ftrace.event_line import Call
from gmemgpu.ftrace.owners import Inodes, Vms
from gmemgpu.ftrace.page_rows import PageRows
from gmemgpu.ftrace.passes import PassesSeen, passes_seen
from gmemgpu.ftrace.probe import ARMING, CONSOLE, WORKER
from gmemgpu.ftrace.rows import Rows
from gmemgpu.model.event import Kind
from gmemgpu.model.host import Host
from gmemgpu.model.trace import Trace
from gmemgpu.units import PAGES_PER_BLOCK

__all__ = ["Account", "SharedAs", "trace_of_calls"]

SharedAs = Literal["release", "share"]
_PROBLEMS_KEPT = 20


@dataclass(slots=True)
class Account:
    """
    What was made of a file's calls.

    Parameters
    ----------
    n_failed : int
        RMPUPDATEs that returned an error: they changed nothing.
    knows_returns : bool
        Whether the file tells what RMPUPDATEs returned.
    n_before : int
        Pages taken back that no call had assigned: they were before the file begins, or the call was lost.
    n_armed : int
        Times that RMPOPT was armed.
    passes : PassesSeen
        Passes of RMPOPT that began, and those that were due.
    n_psmash : int
        Entries of 2 MiB that were split.
    n_vm_destroys, n_unclaimed : int
        VMs destroyed, and those of which the file does not tell their pages.
    n_assumed_inodes : int
        Inodes that stand for those that the file does not name, one a VM.
    n_never_back : int
        Pages that stay assigned to the end.
    """

    n_failed: int = 0
    knows_returns: bool = False
    n_before: int = 0
    n_armed: int = 0
    passes: PassesSeen = field(default_factory=PassesSeen)
    n_psmash: int = 0
    n_vm_destroys: int = 0
    n_unclaimed: int = 0
    n_assumed_inodes: int = 0
    n_never_back: int = 0


@dataclass(slots=True)
class _Thread:
    kvm: int | None = None
    prepared_block: int = -1
    frees: bool = False
    inode: int = -1
    inode_key: int = -1
    scan_pass: int = -1


def trace_of_calls(log: CallLog, host: Host, where: str, shared_as: SharedAs | None = None) -> tuple[Trace, Account]:
    """
    Build the trace of a file's calls.

    Parameters
    ----------
    log : CallLog
        In order of time; its first call is time 0.
    host : Host
        Where it was taken.
    where : str
        The file, for messages.
    shared_as : SharedAs, optional
        What pages are that guests give back, if no call tells whether guest_memfd frees them.

    Returns
    -------
    Trace
        It ends 1 ns after the last call. Not yet checked.
    Account
        What was made of the calls.

    Raises
    ------
    TraceError
        If pages lie past the host's memory, or the file cannot tell releases from shares.
    """
    life = _Life(log, host, where, shared_as)
    for order, call in enumerate(log.calls):
        if order not in life.failed:
            life.take(call, order)
    return life.finished()


class _Life:
    """What is so far, at a time."""

    def __init__(self, log: CallLog, host: Host, where: str, shared_as: SharedAs | None) -> None:
        self._start_ns, self._end_ns = log.calls.span_ns()
        self._host = host
        self._where = where
        functions = log.calls.functions()
        self._tells_frees = bool(functions & {"kvm_gmem_free_folio", "sev_gmem_invalidate"})
        self._tells_vms = "sev_gmem_prepare" in functions
        self._shared_as = shared_as
        failed, knows_returns = log.calls.failed()
        self.failed = set(failed.tolist())
        self.account = Account(n_failed=len(failed), knows_returns=knows_returns)
        self._evictions = _gmem_evictions(log.calls)
        self._rows = Rows()
        self._vms = Vms()
        self._inodes = Inodes()
        self._threads: dict[int, _Thread] = {}
        self._pages = PageRows()
        self._past_guest_memfd: set[int] = set()
        self._vm_of_inode: dict[int, int] = {}
        self._life_rows: list[tuple[int, int]] = []
        self._armed_ns: list[int] = []
        self._logged_ns: list[int] = []
        self._begun_ns: list[int] = []
        self._lasted_ns: list[int] = []
        self._problems: list[Problem] = []

    def take(self, call: Call, order: int) -> None:
        """Take the next call."""
        thread = self._threads.setdefault(call.tid, _Thread())
        t_ns = call.t_ns - self._start_ns
        if call.returns:
            if call.function in ("kvm_gmem_free_folio", "sev_gmem_invalidate"):
                thread.frees = False
            elif call.function == WORKER and thread.scan_pass >= 0:
                self._lasted_ns[thread.scan_pass] = t_ns - self._begun_ns[thread.scan_pass]
                thread.scan_pass = -1
        elif call.function == "rmp_make_private":
            self._assign(call, thread, t_ns, order)
        elif call.function == "rmp_make_shared":
            self._take_back(call, thread, t_ns, order)
        elif call.function == "sev_gmem_prepare":
            thread.kvm, pfn = call.values
            thread.prepared_block = pfn // PAGES_PER_BLOCK
            thread.frees = False
        elif call.function in ("kvm_gmem_free_folio", "sev_gmem_invalidate"):
            thread.frees = True
        elif call.function == "sev_vm_destroy":
            vm, claimed = self._vms.destroy(call.values[0])
            self.account.n_vm_destroys += 1
            self.account.n_unclaimed += not claimed
            self._rows.add(t_ns, order, Kind.VM_DESTROY, vm=vm, inode=-1)
        elif call.function == "psmash":
            self.account.n_psmash += 1
        elif call.function in ARMING:
            self._armed_ns.append(t_ns)
        elif call.function == CONSOLE:
            self._logged_ns.append(t_ns)
        elif call.function == WORKER:
            thread.scan_pass = len(self._begun_ns)
            self._begun_ns.append(t_ns)
            self._lasted_ns.append(-1)
        else:
            self._inode_event(call, thread, t_ns, order)

    def _inode_event(self, call: Call, thread: _Thread, t_ns: int, order: int) -> None:
        key = call.values[0]
        if call.function == "evict":
            if order not in self._evictions:
                return
            thread.inode, thread.inode_key = self._inodes.begin(key), key
            kind, inode = Kind.EVICT_BEGIN, thread.inode
        elif call.function == "kvm_gmem_destroy_inode":
            kind, inode = Kind.EVICT_END, self._inodes.end(key)
            for other in self._threads.values():
                if other.inode_key == key:
                    other.inode = other.inode_key = -1
            thread.frees = False
        else:
            kind, inode = Kind.INODE_FREE, self._inodes.free(key)
        self._life_rows.append((self._rows.add(t_ns, order, kind, vm=-1, inode=inode), inode))

    def _extent(self, call: Call) -> tuple[int, int] | None:
        pfn, level = call.values[:2]
        npages = PAGES_PER_BLOCK if level == 2 else 1
        if pfn + npages <= self._host.pages:
            return pfn, npages
        if len(self._problems) < _PROBLEMS_KEPT:
            fault = f"pfn {pfn:#x} is past the host's memory, which ends at {self._host.pages:#x}; correct memory_bytes"
            self._problems.append(Problem(f"{self._where}: line {call.line}", fault))
        return None

    def _assign(self, call: Call, thread: _Thread, t_ns: int, order: int) -> None:
        extent = self._extent(call)
        thread.frees = False
        if extent is None:
            return
        pfn, npages = extent
        asid = call.values[2]
        prepared = thread.prepared_block == pfn // PAGES_PER_BLOCK
        kvm, thread.prepared_block = (thread.kvm if prepared else None), -1
        vm = self._vms.of_assign(asid, kvm, npages) if asid else -1
        row = self._rows.add(t_ns, order, Kind.ASSIGN, pfn=pfn, npages=npages, vm=vm, inode=-1)
        # Host memory of a guest, as a VMSA, comes past guest_memfd. So does what a guest is launched with, but that
        # goes back by guest_memfd, and is known then.
        if not asid or (self._tells_vms and not prepared):
            self._past_guest_memfd.add(row)
        self._lose(self._pages.put(pfn, npages, row))

    def _lose(self, held: dict[int, int]) -> None:
        for row, n in held.items():
            self._vms.give_back(self._rows.owner(row)[0], n)

    def _take_back(self, call: Call, thread: _Thread, t_ns: int, order: int) -> None:
        extent = self._extent(call)
        if extent is None:
            return
        pfn, npages = extent
        held = self._pages.put(pfn, npages, None)
        self._lose(held)
        if not held:
            # What takes pages back looks whether they are assigned first.
            held = {self._rows.add(0, -1, Kind.ASSIGN, pfn=pfn, npages=npages, vm=-1, inode=-1): npages}
            self.account.n_before += npages
        first = next(iter(held))
        vm, known = self._rows.owner(first)
        if thread.frees:
            kind, inode = Kind.RELEASE, thread.inode if thread.inode >= 0 else self._inode(vm, known)
        elif first in self._past_guest_memfd:
            kind, inode = Kind.RELEASE, -1
        else:
            kind, inode = self._untold(call), self._inode(vm, known)
        if inode >= 0:
            self._vm_of_inode.setdefault(inode, vm)
            for row in held:
                if self._rows.owner(row)[1] < 0:
                    self._rows.set_owner(row, inode=inode)
        self._rows.add(t_ns, order, kind, pfn=pfn, npages=npages, vm=vm, inode=inode)

    def _inode(self, vm: int, known: int) -> int:
        return known if known >= 0 else self._inodes.of_vm(vm)

    def _untold(self, call: Call) -> Kind:
        if self._shared_as is None and not self._tells_frees:
            fault = (
                "no call tells whether guest_memfd frees the pages that guests give back; trace kvm_gmem_free_folio as "
                "gmemgpu capture --print has it, or say --shared-as release (guests end) or share (guests convert)"
            )
            raise TraceError([*self._problems, Problem(f"{self._where}: line {call.line}", fault)])
        return Kind.RELEASE if self._shared_as == "release" else Kind.SHARE

    def finished(self) -> tuple[Trace, Account]:
        """Return the trace, once every call was taken."""
        if self._problems:
            raise TraceError(self._problems)
        for row in self._pages.rows():
            vm, inode = self._rows.owner(row)
            if row not in self._past_guest_memfd and inode < 0:
                self._rows.set_owner(row, inode=self._inodes.of_vm(vm))
        for row, inode in self._life_rows:
            self._rows.set_owner(row, vm=self._vm_of_inode.get(inode, -1))
        self.account.n_never_back = self._pages.n_pages()
        self.account.n_assumed_inodes = self._inodes.n_assumed
        self.account.n_armed = len(self._armed_ns)
        # A pass that its worker tells of is in the log once more.
        begun_ns = self._begun_ns or self._logged_ns
        lasted_ns = self._lasted_ns or [-1] * len(begun_ns)
        self.account.passes = passes_seen(self._armed_ns, begun_ns, lasted_ns, self._end_ns - self._start_ns)
        horizon_ns = self._end_ns - self._start_ns + 1
        return self._rows.trace(self._host, horizon_ns), self.account


def _gmem_evictions(calls: Calls) -> set[int]:
    # `evict` is every file system's: of guest_memfd is what its own destructor ends.
    ends: set[int] = set()
    found: set[int] = set()
    places = calls.places("evict", "kvm_gmem_destroy_inode")[::-1]
    for place, call in zip(places.tolist(), calls.at(places), strict=True):
        if call.returns:
            continue
        if call.function == "kvm_gmem_destroy_inode":
            ends.add(call.values[0])
        elif call.values[0] in ends:
            ends.discard(call.values[0])
            found.add(place)
    return found
