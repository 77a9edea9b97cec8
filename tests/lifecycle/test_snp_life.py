"""SNP shut down, initialized again and KVM unloaded: events of tiny VM tables, and who may arrive meanwhile."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gmemgpu.generator import generate
from gmemgpu.lifecycle.life_cycle import GeneratedTrace, trace_from_vms
from gmemgpu.model.event import Kind
from gmemgpu.model.host import Host
from gmemgpu.model.trace import COLUMNS
from gmemgpu.trace.check import trace_problems
from gmemgpu.units import GIB, NS_PER_S
from gmemgpu.vmtable.assemble import vm_table
from gmemgpu.workload.guest_memory import GuestMemory
from gmemgpu.workload.preset import preset, small_variant
from gmemgpu.workload.snp_life import SnpLife

S, MS = NS_PER_S, 1_000_000
MIB = 1 << 20
# 256 MiB, 32 MiB of them shared; the private 112 blocks are converted in 57.344 s.
CONVERSION_NS = 112 * 512 * 1_000_000


def made(
    arrivals: list[int], departures: list[int], snp: list[bool], placement: str = "first_fit", **life: Any
) -> GeneratedTrace:
    vms = vm_table(
        arrival_ns=np.array(arrivals) * S,
        departure_ns=np.array(departures) * S,
        memory_bytes=256 * MIB,
        vcpus=1,
        snp=snp,
        batch=np.arange(len(arrivals)),
    )
    memory = GuestMemory(
        placement=placement,
        conversions_per_s=0,
        convert_sigma=0,
        convert_4k_ns=1_000_000,
        rcu_sigma=0,
        rcu_median_ns="12 ms",
        launch_base_ns=0,
        launch_per_gib_ns=0,
        shared_min_bytes="32 MiB",
        shared_max_bytes="32 MiB",
    )
    host = Host(memory_bytes=4 * GIB, nodes=1, cores=8, threads_per_core=2)
    generated = trace_from_vms(
        vms, host, memory, horizon_ns=1000 * S, warmup_ns=0, seed=1, snp_life=SnpLife(**life) if life else None
    )
    assert trace_problems(generated.trace) == []
    return generated


SNP_KINDS = (Kind.SNP_SHUTDOWN_BEGIN, Kind.SNP_SHUTDOWN_END, Kind.SNP_INIT, Kind.KVM_UNLOAD)


def snp_events(generated: GeneratedTrace) -> list[tuple[int, str]]:
    trace = generated.trace
    found = np.isin(trace.kind, SNP_KINDS)
    return [(t, Kind(k).text) for t, k in zip(trace.t_ns[found].tolist(), trace.kind[found].tolist(), strict=True)]


def vms_of(generated: GeneratedTrace) -> list[int]:
    return sorted(set(generated.trace.vm.tolist()) - {-1})


def test_an_idle_host_is_shut_down_when_asked() -> None:
    generated = made([5], [400], [False], shutdown_ns="10 s", shutdown_length_ns="2 s", init_ns="20 s")
    assert snp_events(generated) == [
        (10 * S, "snp_shutdown_begin"), (12 * S, "snp_shutdown_end"), (20 * S, "snp_init"),
    ]  # fmt: skip


def test_a_shutdown_waits_for_the_last_guest_and_meets_what_comes_late() -> None:
    # Ends at 10 s and at 60 s; asked for at 30 s; the init waits for the shutdown.
    generated = made(
        [0, 1, 0], [10, 60, 400], [True, True, False], shutdown_ns="30 s", shutdown_length_ns="5 s", init_ns="31 s"
    )
    assert snp_events(generated) == [
        (60 * S + 1, "snp_shutdown_begin"),
        (65 * S + 1, "snp_shutdown_end"),
        (65 * S + 1, "snp_init"),
    ]
    trace = generated.trace
    late = [(t, Kind(k).text) for t, k in zip(trace.t_ns.tolist(), trace.kind.tolist(), strict=True) if t > 60 * S + 1]
    # Of the first guest the rest of its teardown came before; of the second all but the beginning comes after.
    assert (67_344_000_000, "evict_end") in late
    assert late[-5:-1] == [(60 * S + CONVERSION_NS, kind) for kind in ("release", "freed", "evict_end")] + [
        (60 * S + CONVERSION_NS + 12 * MS, "inode_free")
    ]
    assert not any(kind == "vm_destroy" for _, kind in late)


def test_a_forced_shutdown_waits_for_nobody() -> None:
    generated = made([0], [100], [True], shutdown_ns="30 s", shutdown_length_ns="5 s", force=True)
    assert snp_events(generated) == [(30 * S, "snp_shutdown_begin"), (35 * S, "snp_shutdown_end")]
    assert generated.trace.t_ns[generated.trace.kind == Kind.VM_DESTROY].tolist() == [100 * S]


def test_snp_guests_are_rejected_from_the_request_on_until_snp_is_back() -> None:
    arrivals = [0, 29, 30, 30, 50, 64, 65, 66, 67]
    snp = [True, True, True, False, True, True, True, True, True]
    life: dict[str, Any] = {"shutdown_ns": "30 s", "shutdown_length_ns": "5 s"}
    departures = [60, 40, *[400] * 7]
    back = made(arrivals, departures, snp, **life, init_ns="66 s")
    # The last guest of before goes at 60 s, SNP is off at 65 s + 1 ns and back at 66 s.
    assert vms_of(back) == [0, 1, 3, 7, 8]
    assert (back.admitted, back.rejected) == (5, 4)
    off = made(arrivals, departures, snp, **life)
    assert vms_of(off) == [0, 1, 3]
    assert (off.admitted, off.rejected) == (3, 6)


def test_kvm_waits_for_every_guest_and_takes_nobody_meanwhile() -> None:
    generated = made(
        [0, 1, 25, 70], [10, 40, 50, 90], [True, False, False, False], kvm_unload_ns="20 s", init_ns="60 s"
    )
    assert snp_events(generated) == [(40 * S + 1, "kvm_unload"), (60 * S, "snp_init")]
    assert vms_of(generated) == [0, 1, 3]
    # The callback of the SNP guest comes after KVM is gone.
    trace = generated.trace
    assert trace.t_ns[trace.kind == Kind.INODE_FREE].tolist() == [10 * S + CONVERSION_NS + 12 * MS]


def test_a_guest_that_stays_keeps_snp_on() -> None:
    assert snp_events(made([0], [5000], [True], shutdown_ns="30 s", init_ns="50 s")) == []


def test_a_guest_without_room_is_not_waited_for() -> None:
    # 3 GiB less kernel pages and RMP hold eleven guests; the twelfth would stay longest.
    n = 12
    generated = made([0] * n, [100] * 11 + [900], [True] * n, shutdown_ns="30 s")
    assert (generated.admitted, generated.rejected) == (11, 1)
    assert snp_events(generated)[0] == (100 * S + 1, "snp_shutdown_begin")


@pytest.mark.parametrize("placement", ["lifo", "scatter"])
def test_who_came_before_lies_where_it_lay(placement: str) -> None:
    arrivals, departures = [0, 5, 40, 80], [20, 30, 70, 400]
    snp = [True, True, False, True]
    life: dict[str, Any] = {"shutdown_ns": "35 s", "init_ns": "75 s"}
    with_life = made(arrivals, departures, snp, placement, **life).trace
    without = made(arrivals, departures, snp, placement).trace
    assert with_life.t_ns.max() > 400 * S
    rows = [
        {row for row in zip(*(getattr(trace, name).tolist() for name in COLUMNS), strict=True) if row[0] < 35 * S}
        for trace in (with_life, without)
    ]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("displaced", [0.0, 0.3])
def test_compiled_placement_gives_the_same(displaced: float) -> None:
    pytest.importorskip("numba")
    workload = small_variant(preset("mixed-pods"))
    life = SnpLife(shutdown_ns="2 min", init_ns="3 min")
    memory = workload.memory.model_copy(update={"displaced": displaced})
    workload = workload.model_copy(update={"snp_life": life, "memory": memory})
    plain, compiled = (generate(workload, 3, compiled=compiled) for compiled in (False, True))
    assert plain.rejected == compiled.rejected > 5
    for name in COLUMNS:
        assert getattr(plain.trace, name).tolist() == getattr(compiled.trace, name).tolist()
