"""Random VM tables: whatever the parameters, memory has one owner at a time and all of it comes back."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gmemgpu.lifecycle.life_cycle import trace_from_vms
from gmemgpu.model.event import Kind
from gmemgpu.model.host import Host
from gmemgpu.model.trace import Trace
from gmemgpu.trace.check import trace_problems
from gmemgpu.units import GIB, NS_PER_S, PAGES_PER_REGION
from gmemgpu.vmtable.table import VmTable
from gmemgpu.workload.guest_memory import GuestMemory
from gmemgpu.workload.snp_life import SnpLife

MIB = 1 << 20
S = NS_PER_S
FOREVER_S = 100_000
HOST = Host(memory_bytes=4 * GIB, nodes=2, cores=8, threads_per_core=2)
# Region 0, and 16 MiB of RMP at the top.
RESERVED = np.zeros(HOST.pages, np.bool_)
RESERVED[:PAGES_PER_REGION] = True
RESERVED[-4096:] = True


def possible(fields: dict[str, Any]) -> GuestMemory:
    if fields["folio"] == "1G":
        fields = {**fields, "placement": "pool_1g"}
    return GuestMemory(**({**fields, "displaced": 0.0} if fields["placement"] == "pool_1g" else fields))


one_vm = st.fixed_dictionaries(
    {
        "arrival_s": st.integers(0, 60),
        "life_s": st.integers(1, 60),
        "memory_bytes": st.sampled_from([MIB, 2 * MIB, 64 * MIB, 200 * MIB, 511 * MIB, GIB, 1500 * MIB]),
        "vcpus": st.integers(0, 3),
        "snp": st.sampled_from([True, True, False]),
        "stock": st.booleans(),
        "node": st.integers(-1, 1),
        "gmems": st.integers(1, 3),
    }
)
vm_rows = st.lists(one_vm, max_size=12).map(lambda rows: sorted(rows, key=lambda row: row["arrival_s"]))
memories = st.fixed_dictionaries(
    {
        "placement": st.sampled_from(["lifo", "first_fit", "scatter", "pool_1g"]),
        "displaced": st.sampled_from([0.0, 0.1, 1.0]),
        "vmsa": st.sampled_from(["scatter", "packed"]),
        "folio": st.sampled_from(["4K", "2M", "1G"]),
        "folio_2m_success": st.sampled_from([0.0, 0.6, 1.0]),
        "touched": st.sampled_from(["eager", "lazy"]),
        "ramp_boot_base_bytes": st.sampled_from([0, 4 * GIB]),
        "ramp_constant_ns": st.just(20 * S),
        "ramp_unit_bytes": st.sampled_from([4 * MIB, 64 * MIB, 4096 * 777]),
        "launch_base_ns": st.sampled_from([0, 5 * S]),
        "conversions_per_s": st.sampled_from([0.0, 0.3]),
        "conversion_hold_ns": st.sampled_from([0, S, 100 * S]),
        "granule_pages": st.sampled_from([PAGES_PER_REGION, 10_000, 4096]),
        "convert_4k_ns": st.sampled_from([0, 1526, 40_000]),
        "leak_per_page": st.sampled_from([0.0, 1e-5]),
        "pinned_share": st.sampled_from([0.0, 1e-4]),
        "shared_pinned_share": st.sampled_from([0.0, 1e-3]),
        "merge_ns": st.sampled_from([0, 30 * S]),
    }
).map(possible)


def table(rows: list[dict[str, Any]]) -> VmTable:
    def column(name: str, dtype: Any) -> Any:
        return np.array([row[name] for row in rows], dtype=dtype)

    arrival = column("arrival_s", np.int64) * S
    return VmTable(
        arrival_ns=arrival,
        departure_ns=arrival + column("life_s", np.int64) * S,
        memory_bytes=column("memory_bytes", np.int64),
        vcpus=column("vcpus", np.int32),
        snp=column("snp", np.bool_),
        stock=column("stock", np.bool_) & (arrival == 0),
        node=column("node", np.int32),
        gmems=column("gmems", np.int32),
        folio_pages=np.zeros(len(rows), np.int32),
        batch=np.arange(len(rows)),
    )


class Replay:
    """A host's pages, event by event; it complains of what cannot be."""

    def __init__(self) -> None:
        self.assigned = np.zeros(HOST.pages, np.bool_)
        self.in_use = np.zeros(HOST.pages, np.bool_)
        self.holder: NDArray[np.int32] = np.full(HOST.pages, -1, np.int32)
        """VM that has the page from the allocator."""
        self.not_freed: NDArray[np.bool_] = np.zeros(HOST.pages, np.bool_)
        self.inode: NDArray[np.int32] = np.full(HOST.pages, -1, np.int32)
        self.leaked: set[int] = set()
        self.evicting: dict[int, int] = {}
        """Inode to pages that were invalidated and not yet dealt with."""
        self.evicted: set[int] = set()
        self.begun: set[int] = set()
        self.inodes_of: dict[int, set[int]] = {}
        self.destroyed: set[int] = set()
        self.gone: set[int] = set()
        """VMs of which an inode is evicted."""
        self.huge: set[int] = set()
        """Regions that are a 1 GiB folio, by number, and those of them that are split and not yet merged."""
        self.split: set[int] = set()

    def play(self, trace: Trace) -> None:
        names = ("t_ns", "kind", "pfn", "npages", "vm", "inode", "folio_pages")
        columns = [getattr(trace, name).tolist() for name in names]
        for t_ns, kind, pfn, npages, vm, inode, folio_pages in zip(*columns, strict=True):
            if vm < 0 and t_ns == 0 and inode < 0:
                (self.in_use if kind == Kind.USE else self.assigned)[pfn : pfn + npages] = True
                continue
            region = pfn // PAGES_PER_REGION
            if kind == Kind.ASSIGN and folio_pages == PAGES_PER_REGION:
                self.huge |= set(range(region, region + npages // PAGES_PER_REGION))
            elif kind == Kind.SHARE and region in self.huge:
                self.split.add(region)
            elif kind in (Kind.RELEASE, Kind.FREED) and region in self.split:
                if folio_pages == PAGES_PER_REGION:
                    self.merge(kind, region)
                    continue
                assert folio_pages == 1
            if npages:
                self.extent(Kind(kind), slice(pfn, pfn + npages), npages, vm, inode)
            else:
                self.life_cycle(Kind(kind), vm, inode)

    def extent(self, kind: Kind, pages: slice, npages: int, vm: int, inode: int) -> None:
        holder = self.holder[pages]
        if kind == Kind.ASSIGN and vm < 0:
            # A leaked page: its guest keeps it for ever.
            assert npages == 1
            assert self.assigned[pages].all()
            self.evicting[int(self.inode[pages][0])] -= 1
            self.inode[pages] = -1
            self.leaked.add(pages.start)
            self.not_freed[pages] = True
            return
        assert vm >= 0
        if kind in (Kind.ASSIGN, Kind.USE):
            assert not RESERVED[pages].any()
            assert ((holder == -1) | (holder == vm)).all()
            self.holder[pages] = vm
        else:
            assert (holder == vm).all()
        if kind == Kind.ASSIGN:
            assert not self.assigned[pages].any()
            self.assigned[pages] = True
            self.inode[pages] = inode
            if inode >= 0:
                assert inode not in self.begun
                self.inodes_of.setdefault(vm, set()).add(inode)
        elif kind == Kind.SHARE:
            assert self.assigned[pages].all()
            self.assigned[pages] = False
        elif kind == Kind.USE:
            assert not self.in_use[pages].any()
            self.in_use[pages] = True
        elif kind == Kind.UNUSE:
            assert self.in_use[pages].all()
            self.in_use[pages] = False
            if inode < 0 and (vm in self.gone or (vm not in self.inodes_of and vm not in self.destroyed)):
                # An ordinary guest is gone at once; of an SNP guest a DMA pin may hold shared pages until now.
                self.holder[pages] = -1
        elif kind == Kind.INVALIDATE:
            assert (self.inode[pages] == inode).all()
            assert self.evicting[inode] == 0, "conversions of an inode overlap"
            self.evicting[inode] = npages
        elif kind == Kind.RELEASE and inode < 0:
            assert self.assigned[pages].all()
            assert vm not in self.destroyed
            self.assigned[pages] = False
            self.holder[pages] = -1
        elif kind == Kind.RELEASE:
            assert (self.inode[pages] == inode).all()
            self.evicting[inode] -= npages
            self.assigned[pages] = False
            self.not_freed[pages] = True
        elif kind == Kind.FREED:
            assert self.not_freed[pages].all()
            self.not_freed[pages] = False
            if pages.start // PAGES_PER_REGION in self.split:
                return
            self.huge.discard(pages.start // PAGES_PER_REGION)
            if inode in self.evicted:
                self.give_back(pages)

    def merge(self, kind: int, region: int) -> None:
        pages = slice(region * PAGES_PER_REGION, (region + 1) * PAGES_PER_REGION)
        assert kind == Kind.FREED
        assert not self.not_freed[pages].any()
        self.split.remove(region)
        self.huge.discard(region)
        self.give_back(pages)

    def give_back(self, pages: slice | NDArray[np.bool_]) -> None:
        assert not self.assigned[pages].any()
        assert not self.in_use[pages].any()
        self.holder[pages] = -1
        self.inode[pages] = -1

    def life_cycle(self, kind: Kind, vm: int, inode: int) -> None:
        if kind == Kind.EVICT_BEGIN:
            assert inode not in self.begun
            assert all(self.evicting[i] == 0 and i in self.evicted for i in self.evicting if self.vm_of(i, vm))
            self.begun.add(inode)
            self.evicting[inode] = 0
            self.inodes_of.setdefault(vm, set()).add(inode)
        elif kind == Kind.EVICT_END:
            assert self.evicting[inode] == 0
            self.evicted.add(inode)
            gone = (self.inode == inode) & ~self.not_freed
            for region in self.split:
                gone[region * PAGES_PER_REGION : (region + 1) * PAGES_PER_REGION] = False
            assert not self.assigned[gone].any()
            self.give_back(gone)
            # The shared part lies in the first inode, seldom in more: it may go now.
            self.holder[(self.holder == vm) & (self.inode == -1) & ~self.assigned & ~self.in_use] = -1
            self.gone.add(vm)
        elif kind == Kind.INODE_FREE:
            assert inode in self.evicted
        elif kind == Kind.VM_DESTROY:
            assert vm not in self.destroyed
            self.destroyed.add(vm)

    def vm_of(self, inode: int, vm: int) -> bool:
        return inode in self.inodes_of.get(vm, ())


@settings(max_examples=settings.default.max_examples * 3 // 5)
@given(rows=vm_rows, memory=memories, seed=st.integers(0, 2**64 - 1))
def test_every_page_has_one_owner_and_comes_back(rows: list[dict[str, Any]], memory: GuestMemory, seed: int) -> None:
    vms = table(rows)
    generated = trace_from_vms(vms, HOST, memory, horizon_ns=FOREVER_S * S, warmup_ns=0, seed=seed)
    trace = generated.trace
    assert trace_problems(trace) == []
    assert generated.admitted + generated.rejected == len(vms)
    assert generated.admitted == len(set(trace.vm.tolist()) - {-1})

    replay = Replay()
    replay.play(trace)
    # All guests have gone: what is assigned is the RMP, 8 pages of firmware and what leaked.
    left = np.flatnonzero(replay.assigned).tolist()
    assert left == [*range(256, 264), *sorted(replay.leaked), *range(HOST.pages - 4096, HOST.pages)]
    assert int(np.count_nonzero(replay.in_use)) == PAGES_PER_REGION
    assert set(np.flatnonzero(replay.not_freed).tolist()) == replay.leaked
    snp = {int(vm) for vm in np.flatnonzero(vms.snp)}
    assert replay.destroyed == set(trace.vm.tolist()) & snp
    for kind in (Kind.EVICT_BEGIN, Kind.EVICT_END, Kind.INODE_FREE):
        inodes = trace.inode[trace.kind == kind].tolist()
        assert len(inodes) == len(set(inodes)) == sum(int(vms.gmems[vm]) for vm in replay.destroyed)
    # vm_destroy comes right before the evict_begin of the VM's last inode.
    begins = np.flatnonzero(trace.kind == Kind.EVICT_BEGIN)
    for event in np.flatnonzero(trace.kind == Kind.VM_DESTROY).tolist():
        following = begins[(begins > event) & (trace.vm[begins] == trace.vm[event])]
        assert len(following) == 1
        assert trace.t_ns[following[0]] == trace.t_ns[event]


@settings(max_examples=settings.default.max_examples * 2 // 5)
@given(
    rows=vm_rows,
    memory=memories,
    shutdown_s=st.integers(0, 80),
    length_s=st.integers(0, 20),
    init_after_s=st.none() | st.integers(0, 40),
    unload_s=st.none() | st.integers(0, 80),
    force=st.booleans(),
)
def test_snp_is_shut_down_between_guests(
    rows: list[dict[str, Any]],
    memory: GuestMemory,
    shutdown_s: int,
    length_s: int,
    init_after_s: int | None,
    unload_s: int | None,
    force: bool,
) -> None:
    vms = table(rows)
    asked_s = max(shutdown_s, unload_s or 0)
    life = SnpLife(
        shutdown_ns=shutdown_s * S,
        shutdown_length_ns=length_s * S,
        init_ns=None if init_after_s is None else (asked_s + init_after_s) * S,
        kvm_unload_ns=None if unload_s is None else unload_s * S,
        force=force,
    )
    made = trace_from_vms(vms, HOST, memory, horizon_ns=FOREVER_S * S, warmup_ns=0, seed=1, snp_life=life)
    trace = made.trace
    assert trace_problems(trace) == []
    assert made.admitted == len(set(trace.vm.tolist()) - {-1})
    assert made.admitted + made.rejected == len(vms)
    Replay().play(trace)

    def times(kind: Kind) -> list[int]:
        return trace.t_ns[trace.kind == kind].tolist()

    (begin_ns,), (end_ns,) = times(Kind.SNP_SHUTDOWN_BEGIN), times(Kind.SNP_SHUTDOWN_END)
    assert end_ns - begin_ns == length_s * S
    back_ns = min(times(Kind.SNP_INIT), default=1 << 62)
    assert end_ns <= back_ns
    gone_ns = [t for t in times(Kind.VM_DESTROY) if t < back_ns]
    # As early as it can be: when asked for, or right after the last guest.
    assert begin_ns == max([shutdown_s * S, *([] if force else [t + 1 for t in gone_ns])])
    admitted = sorted(set(trace.vm.tolist()) - {-1})
    for vm in admitted:
        arrival_ns = int(vms.arrival_ns[vm])
        if vms.snp[vm]:
            assert not shutdown_s * S <= arrival_ns < back_ns
        if unload_s is not None:
            assert not unload_s * S <= arrival_ns < back_ns


@settings(max_examples=settings.default.max_examples * 2 // 5)
@given(rows=vm_rows, memory=memories, seed=st.integers(0, 99), horizon_s=st.integers(0, 100))
def test_a_trace_ends_at_its_horizon_and_repeats(
    rows: list[dict[str, Any]], memory: GuestMemory, seed: int, horizon_s: int
) -> None:
    vms = table(rows)
    one, two = (
        trace_from_vms(vms, HOST, memory, horizon_ns=horizon_s * S + 1, warmup_ns=0, seed=seed) for _ in range(2)
    )
    assert trace_problems(one.trace) == []
    assert one.admitted + one.rejected == int(np.count_nonzero(vms.arrival_ns <= horizon_s * S))
    Replay().play(one.trace)
    for name in ("t_ns", "kind", "pfn", "npages", "vm", "inode", "folio_pages"):
        assert getattr(one.trace, name).tobytes() == getattr(two.trace, name).tobytes()


@settings(max_examples=settings.default.max_examples * 2 // 5)
@given(rows=vm_rows, seed=st.integers(0, 99), share=st.sampled_from([0.0, 0.5, 1.0]))
def test_the_pool_keeps_snp_guests_and_others_in_different_regions(
    rows: list[dict[str, Any]], seed: int, share: float
) -> None:
    vms = table(rows)
    memory = GuestMemory(placement="pool_1g", snp_pool=share, vmsa="packed")
    trace = trace_from_vms(vms, HOST, memory, horizon_ns=FOREVER_S * S, warmup_ns=0, seed=seed).trace
    # Guest memory: private parts, and what is in use, of guests of either kind.
    extents = ((trace.kind == Kind.ASSIGN) & (trace.inode >= 0)) | (trace.kind == Kind.USE)
    regions: dict[bool, set[int]] = {False: set(), True: set()}
    for event in np.flatnonzero(extents & (trace.vm >= 0)).tolist():
        first, last = trace.pfn[event], trace.pfn[event] + trace.npages[event] - 1
        confidential = bool(vms.snp[trace.vm[event]])
        regions[confidential] |= set(range(int(first) // PAGES_PER_REGION, int(last) // PAGES_PER_REGION + 1))
    assert not regions[True] & regions[False]
    assert bool(regions[True]) <= (share > 0)


@settings(max_examples=settings.default.max_examples * 2 // 5)
@given(rows=vm_rows, granule_pages=st.sampled_from([PAGES_PER_REGION, 777, 4096]), seed=st.integers(0, 99))
def test_every_private_page_is_assigned_and_released_once(
    rows: list[dict[str, Any]], granule_pages: int, seed: int
) -> None:
    vms = table(rows)
    memory = GuestMemory(launch_base_ns=0, launch_per_gib_ns=0, conversions_per_s=0, granule_pages=granule_pages)
    trace = trace_from_vms(vms, HOST, memory, horizon_ns=FOREVER_S * S, warmup_ns=0, seed=seed).trace
    owned = trace.inode >= 0
    for vm in set(trace.vm[owned].tolist()):
        n_blocks = -(-int(vms.memory_bytes[vm]) // (2 * MIB))
        # 6 %, at least 64 MiB, in whole blocks; 1500 MiB have 90 MiB.
        shared = min(max(32, -(-int(vms.memory_bytes[vm]) * 6 // (200 * MIB))), n_blocks)
        for kind in (Kind.ASSIGN, Kind.INVALIDATE, Kind.RELEASE, Kind.FREED):
            events = owned & (trace.vm == vm) & (trace.kind == kind)
            assert int(trace.npages[events].sum()) == (n_blocks - shared) * 512
            assert trace.npages[events].max(initial=0) <= granule_pages
        in_use = (trace.vm == vm) & (trace.kind == Kind.USE)
        assert int(trace.npages[in_use].sum()) == shared * 512


def test_conversions_that_outlast_any_horizon_leave_a_sound_trace() -> None:
    rows = [
        {
            "arrival_s": 0,
            "life_s": 30,
            "memory_bytes": GIB,
            "vcpus": 1,
            "snp": True,
            "stock": True,
            "node": -1,
            "gmems": 3,
        }
    ]
    slow = GuestMemory(convert_4k_ns=(1 << 63) - 1, convert_sigma=10.0)
    trace = trace_from_vms(table(rows), HOST, slow, horizon_ns=100 * S, warmup_ns=0, seed=1).trace
    assert trace_problems(trace) == []
    # The first eviction begins and never ends; the VM is destroyed with the last, which never comes.
    assert np.count_nonzero(trace.kind == Kind.EVICT_BEGIN) == 1
    assert not np.isin(trace.kind, (Kind.EVICT_END, Kind.VM_DESTROY)).any()
