"""The emulation of CuPy runs sound host code, and catches each mistake that a device would not report."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import strict_cupy
from emulator import EmulatorError, KernelFault, sanitizer_environment
from strict_cupy import DeviceFault, device, installed

from gmemgpu.model.event import Kind

pytestmark = pytest.mark.usefixtures("gxx")

CODE = """
typedef unsigned int u32; typedef unsigned long long u64;
extern "C" __global__ void __launch_bounds__(128) add(const u32* a, u32* out, int n, u64 wide) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) out[i] = a[i] + wide;
}
extern "C" __global__ void through_a_table(const u64* table) {
    reinterpret_cast<u32*>(table[1])[threadIdx.x] = reinterpret_cast<const u32*>(table[0])[threadIdx.x];
}
extern "C" __global__ void racy(u32* out) {
    __shared__ u32 last;
    last = threadIdx.x;
    __syncthreads();
    out[0] = last;
}
extern "C" __global__ void any_order(u32* next, u32* out) { out[atomicAdd(next, 1)] = threadIdx.x; }
extern "C" __global__ void beyond(u32* out, int n) { out[n] = 1; }
extern "C" __global__ void copy16(const uint4* in, uint4* out) { out[threadIdx.x] = in[threadIdx.x]; }
extern "C" __global__ void shared(u32* out) {
    DYN_SHARED(u32, s);
    s[threadIdx.x] = 1;
    out[threadIdx.x] = s[threadIdx.x];
}
"""


@pytest.fixture
def cp() -> Iterator[Any]:
    with installed(device_bytes=1 << 20) as cupy:
        yield cupy


@pytest.fixture
def kernel(cp: Any) -> Callable[[str], Any]:
    return cp.RawModule(code=CODE, options=("-std=c++17",)).get_function


# Sound programs


def test_a_sound_program_runs(cp: Any, kernel: Any) -> None:
    import cupy

    assert cupy is cp
    assert cp.is_emulated
    a, out = cp.arange(300, dtype=cp.uint32), cp.empty(300, cp.uint32)
    kernel("add")((3,), (128,), (a, out, np.int32(300), np.uint64(7)))
    assert out.get().tolist() == list(range(7, 307))
    assert device.launches == ["add"]


def test_addresses_reach_kernels_through_tables(cp: Any, kernel: Any) -> None:
    a, out = cp.arange(64, dtype=cp.uint32), cp.zeros(64, cp.uint32)
    table = cp.asarray(np.array([a[16:].data.ptr, out.data.ptr], np.uint64))
    kernel("through_a_table")((1,), (32,), (table,))
    assert out.get().tolist() == [*range(16, 48), *[0] * 32]


def test_library_functions(cp: Any) -> None:
    rng = np.random.default_rng(0)
    host = rng.integers(0, 50, 100)
    a = cp.asarray(host)
    mask, order = host > 25, np.argsort(host, kind="stable")
    table = host.reshape(4, 25)
    sums, largest = cp.zeros(50, cp.uint64), cp.zeros(50, cp.uint64)
    cp.add.at(sums, a, a.view(cp.uint64))
    cp.maximum.at(largest, a, 7)
    for found, expected in (
        (cp.concatenate([a, a[:3]]), np.concatenate([host, host[:3]])),
        (cp.flatnonzero(a > 25), np.flatnonzero(mask)),
        (cp.argsort(a), order),
        (cp.sort(a), np.sort(host)),
        (cp.searchsorted(cp.sort(a), a, "right"), np.searchsorted(np.sort(host), host, "right")),
        (cp.where(a > 25, a, 0), np.where(mask, host, 0)),
        (cp.maximum(a, 25), np.maximum(host, 25)),
        (cp.diff(a), np.diff(host)),
        (cp.broadcast_to(a[:1], (5,)).copy(), np.broadcast_to(host[:1], (5,))),
        (a.reshape(4, 25).T.copy(), table.T),
        (a.reshape(4, 25).T.ravel(), table.T.ravel()),
        (cp.ones(3, cp.int64), np.ones(3, np.int64)),
        (sums.view(cp.int64), np.bincount(host, host, 50).astype(np.int64)),
        (largest.view(cp.int64), 7 * (np.bincount(host, minlength=50) > 0)),
        (a[cp.argsort(a)], np.sort(host)),
        (cp.cumsum(a), np.cumsum(host)),
        ((a * 2 + 1) // 3, (host * 2 + 1) // 3),
        (7 - a, 7 - host),
        (a.view(cp.int32), host.view(np.int32)),
        (a.reshape(4, 25)[1:3, 5:].copy(), host.reshape(4, 25)[1:3, 5:]),
        (a.astype(cp.uint8), host.astype(np.uint8)),
        (cp.full((2, 3), 5, cp.int16), np.full((2, 3), 5, np.int16)),
        (cp.zeros((0, 4), cp.int64), np.zeros((0, 4), np.int64)),
    ):
        assert found.dtype == expected.dtype
        assert np.array_equal(found.get(), expected)
    assert int(a.max()) == host.max()
    assert bool((a < 50).all())
    assert not (a > 50).any()
    assert a.tolist() == host.tolist()
    a[cp.flatnonzero(a > 25)] = 3
    a += 1
    a[1:] -= a[:1]
    host[mask] = 3
    host += 1
    host[1:] -= host[:1]
    assert a.tolist() == host.tolist()
    assert (a.nbytes, a.size, a.shape, len(a)) == (800, 100, (100,), 100)
    assert cp.zeros(0, cp.int64).data.ptr == 0


def test_events_tell_time_after_they_happened(cp: Any) -> None:
    stream = cp.cuda.Stream(non_blocking=True)
    start, end = stream.record(), cp.cuda.Event()
    end.record(stream)
    assert not end.done
    with pytest.raises(cp.cuda.runtime.CUDARuntimeError, match="NotReady"):
        cp.cuda.get_elapsed_time(start, end)
    end.synchronize()
    assert start.done
    assert end.done
    assert cp.cuda.get_elapsed_time(start, end) >= 0


def test_what_cuda_says_of_the_device(cp: Any) -> None:
    one = cp.cuda.Device()
    with one, cp.cuda.Device(0):
        assert one.id == 0
    assert one.compute_capability == "90"
    assert one.attributes["MultiProcessorCount"] > 0
    assert cp.cuda.runtime.getDeviceProperties(0)["totalGlobalMem"] == 1 << 20
    assert cp.cuda.runtime.memGetInfo() == one.mem_info == (1 << 20, 1 << 20)
    with pytest.raises(cp.cuda.runtime.CUDARuntimeError, match="invalid device ordinal"):
        cp.cuda.Device(1).use()


def test_each_thread_has_a_current_device(cp: Any) -> None:
    device.n_devices = 2
    assert cp.cuda.runtime.getDeviceCount() == 2
    with cp.cuda.Device(1):
        stream = cp.cuda.Stream(non_blocking=True)
        assert (cp.cuda.Device().id, stream.device_id) == (1, 1)
        with ThreadPoolExecutor(1) as other:
            assert other.submit(lambda: cp.cuda.Device().id).result() == 0
            with pytest.raises(RuntimeError, match=r"created on \(1\) does not match with the current device \(0\)"):
                other.submit(stream.__enter__).result()
            other.submit(cp.cuda.Device(1).use).result()
            assert other.submit(stream.__enter__).result() is stream
    assert cp.cuda.Device().id == 0
    with pytest.raises(cp.cuda.runtime.CUDARuntimeError, match="invalid device ordinal"):
        cp.cuda.Device(2).use()


def test_all_is_as_before_afterwards() -> None:
    before = sys.modules.get("cupy")
    settings = device.settings()
    with installed(device_bytes=4096) as cupy:
        device.all_orders = True
        assert sys.modules["cupy"] is cupy
    assert sys.modules.get("cupy") is before
    assert device.settings() == settings


# Mistakes with arrays


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda cp, d, h: np.asarray(d), "Implicit conversion"),
        (lambda cp, d, h: d + h, "Unsupported type"),
        (lambda cp, d, h: d == Kind.RELEASE, "own numbers"),
        (lambda cp, d, h: np.add(d, 1), "ufuncs"),
        (lambda cp, d, h: cp.concatenate([d, h]), "Unsupported type"),
        (lambda cp, d, h: cp.maximum(d, h), "Unsupported type"),
        (lambda cp, d, h: d[h], "Unsupported type"),
        (lambda cp, d, h: d.__setitem__(slice(4), h[:4]), "Unsupported type"),
        (lambda cp, d, h: d.set(d), "Only numpy.ndarray"),
        (lambda cp, d, h: d.set(h.astype(np.int32)), "int32 array cannot be set"),
        (lambda cp, d, h: d.set(h[:5]), "Shape mismatch"),
        (lambda cp, d, h: d[::2].set(h[::2]), "non-contiguous"),
        (lambda cp, d, h: d.get(out=np.empty(3, np.int64)), "out"),
        (lambda cp, d, h: d[cp.asarray([99])], "out of bounds"),
        (lambda cp, d, h: d.__setitem__(cp.asarray([1, 1]), cp.asarray([2, 3])), "any of them may stay"),
        (lambda cp, d, h: list(d), "use tolist"),
        (lambda cp, d, h: cp.searchsorted(d, h), "Only device arrays"),
        (lambda cp, d, h: cp.where(d > 3, 1, 0), "two Python numbers"),
        (lambda cp, d, h: cp.add.at(d, d, d), "only supports int32, uint32, uint64"),
        (lambda cp, d, h: cp.add.at(d.view(cp.uint64), d, d), "int64 values for uint64"),
        (lambda cp, d, h: cp.maximum.accumulate(d), "not supported yet"),
        (lambda cp, d, h: cp.cumsum(d.reshape(2, 5)), "all of it"),
        (lambda cp, d, h: cp.sort(d[::2]), "non-contiguous"),
        (lambda cp, d, h: cp.repeat(d, d), "has no attribute"),
        (lambda cp, d, h: cp.lexsort(d), "has no attribute"),
        (lambda cp, d, h: d.mean(), "has no attribute"),
        (lambda cp, d, h: cp.bincount(d), "has no attribute"),
        (lambda cp, d, h: cp.asarray(np.array([None])), "dtype"),
        (lambda cp, d, h: cp.RawModule(code="", options=["-DA"]), "expected tuple"),
    ],
)
def test_mistakes_with_arrays_are_refused(cp: Any, mistake: Any, message: str) -> None:
    host = np.arange(10)
    mistakes = (TypeError, ValueError, RuntimeError, IndexError, AttributeError, NotImplementedError, DeviceFault)
    with pytest.raises(mistakes, match=message):
        mistake(cp, cp.asarray(host), host)


def test_new_memory_is_poisoned(cp: Any) -> None:
    assert (cp.empty(10, cp.uint32).get() == 0xCDCDCDCD).all()


# Mistakes at a launch


@pytest.mark.parametrize(
    ("arguments", "grid", "block", "shared", "message"),
    [
        ("a, out, 300, u64", (3,), (128,), 0, r"add\(n\): 300 is passed as 8 bytes; int has 4"),
        ("a, out, i64, u64", (3,), (128,), 0, r"add\(n\)"),
        ("a, out, i32, i32", (3,), (128,), 0, r"add\(wide\)"),
        ("a, out, i32, 1.5", (3,), (128,), 0, r"add\(wide\)"),
        ("h, out, i32, u64", (3,), (128,), 0, r"add\(a\): ndarray for a pointer"),
        ("w, out, i32, u64", (3,), (128,), 0, r"add\(a\): int64 elements for a pointer to u32"),
        ("a[::2], out, i32, u64", (3,), (128,), 0, "not C-contiguous"),
        ("123456, out, i32, u64", (3,), (128,), 0, "no address in device memory"),
        ("b[1:1201], out, i32, u64", (3,), (128,), 0, "not a multiple of 4"),
        ("a, out, i32", (3,), (128,), 0, "3 arguments for 4 parameters"),
        ("a, out, i32, u64", (0,), (128,), 0, "empty"),
        ("a, out, i32, u64", [3], (128,), 0, "must be tuples"),
        ("a, out, i32, u64", (3,), (256,), 0, "INVALID_VALUE"),
        ("a, out, i32, u64", (1, 65536), (128,), 0, "INVALID_VALUE"),
        ("a, out, i32, u64", (3,), (128,), 48 * 1024 + 1, "INVALID_VALUE"),
    ],
)
def test_mistakes_at_a_launch_are_refused(
    cp: Any, kernel: Any, arguments: str, grid: Any, block: Any, shared: int, message: str
) -> None:
    names = {
        "a": cp.arange(300, dtype=cp.uint32),
        "out": cp.zeros(300, cp.uint32),
        "w": cp.arange(300, dtype=cp.int64),
        "b": cp.zeros(1300, cp.uint8),
        "h": np.zeros(300, np.uint32),
        "i32": np.int32(300),
        "i64": np.int64(300),
        "u64": np.uint64(7),
    }
    with pytest.raises((DeviceFault, TypeError, RuntimeError), match=message):
        kernel("add")(grid, block, eval(f"({arguments})", names), shared_mem=shared)
    assert device.launches == []


def test_addresses_and_bytes_may_be_passed_for_pointers(cp: Any, kernel: Any) -> None:
    a, out = cp.arange(64, dtype=cp.uint32), cp.zeros(64, cp.uint32)
    kernel("add")((1,), (64,), (a.data.ptr, out.view(cp.uint8), np.int32(64), np.uint64(1)))
    assert out.get().tolist() == list(range(1, 65))


def test_vectors_must_be_aligned(cp: Any, kernel: Any) -> None:
    a, out = cp.zeros(130, cp.uint64), cp.zeros(128, cp.uint64)
    kernel("copy16")((1,), (64,), (a[2:], out))
    with pytest.raises(DeviceFault, match=r"copy16\(in\): address .* is not a multiple of 16"):
        kernel("copy16")((1,), (64,), (a[1:], out))


def test_more_shared_memory_must_be_asked_for(cp: Any, kernel: Any) -> None:
    function, out = kernel("shared"), cp.zeros(32, cp.uint32)
    with pytest.raises(cp.cuda.driver.CUDADriverError, match="INVALID_VALUE"):
        function((1,), (32,), (out,), shared_mem=100 << 10)
    with pytest.raises(cp.cuda.driver.CUDADriverError, match="INVALID_VALUE"):
        function.max_dynamic_shared_size_bytes = 228 << 10
    function.max_dynamic_shared_size_bytes = 100 << 10
    function((1,), (32,), (out,), shared_mem=100 << 10)
    assert out.get().all()


def test_an_unknown_kernel_and_wrong_code(cp: Any, kernel: Any) -> None:
    with pytest.raises(cp.cuda.driver.CUDADriverError, match="named symbol not found"):
        kernel("nothing")
    with pytest.raises(cp.cuda.compiler.CompileException, match="nonsense"):
        cp.RawModule(code='extern "C" __global__ void k() { nonsense; }').compile()


# Races and stray writes


def test_a_race_is_seen_in_all_orders(cp: Any, kernel: Any) -> None:
    out = cp.zeros(1, cp.uint32)
    kernel("racy")((1,), (32,), (out,))
    assert out.get()[0] == 31
    device.order = 1
    kernel("racy")((1,), (32,), (out,))
    assert out.get()[0] == 0
    device.all_orders = True
    kernel("racy")((1,), (32,), (out,))
    with pytest.raises(DeviceFault, match="racy: thread order 1 leaves other memory than order 0, first at byte 0"):
        out.get()


def test_all_orders_begin_with_the_same_memory(cp: Any, kernel: Any) -> None:
    device.all_orders = True
    a, out = cp.arange(64, dtype=cp.uint32), cp.zeros(64, cp.uint32)
    for _ in range(3):
        kernel("add")((1,), (64,), (out, out, np.int32(64), np.uint64(2)))
        kernel("through_a_table")((1,), (32,), (cp.asarray(np.array([a.data.ptr, a.data.ptr], np.uint64)),))
    assert (out.get() == 6).all()
    next_, place = cp.zeros(1, cp.uint32), cp.zeros(32, cp.uint32)
    kernel("any_order")((1,), (32,), (next_, place))
    with pytest.raises(DeviceFault, match="any_order"):
        device.synchronize()
    device.unordered.add("any_order")
    next_.fill(0)
    kernel("any_order")((1,), (32,), (next_, place))
    assert sorted(place.get().tolist()) == list(range(32))


@pytest.mark.parametrize("n", [-1, 10, 73])
def test_writes_beside_an_array_are_seen(cp: Any, kernel: Any, n: int) -> None:
    out = cp.zeros(10, cp.uint32)
    kernel("beyond")((1,), (1,), (out, np.int32(n)))
    with pytest.raises(DeviceFault, match="beyond wrote outside an allocation of 40 bytes"):
        out.get()
    # The damage is done; later tests shall not meet it.
    for block in device.blocks.values():
        for guard in block.guards:
            guard[...] = 0xCD


def test_writes_to_freed_memory_are_seen(cp: Any, kernel: Any) -> None:
    a, b = cp.arange(32, dtype=cp.uint32), cp.zeros(32, cp.uint32)
    table = cp.asarray(np.array([a.data.ptr, b.data.ptr], np.uint64))
    table.get()
    del b
    kernel("through_a_table")((1,), (32,), (table,))
    device.synchronize()
    with pytest.raises(DeviceFault, match="128 bytes of device memory were written after they were freed"):
        device.reset(1 << 20)


def test_freed_memory_reads_as_poison(cp: Any, kernel: Any) -> None:
    a, b = cp.arange(32, dtype=cp.uint32), cp.zeros(32, cp.uint32)
    table = cp.asarray(np.array([a.data.ptr, b.data.ptr], np.uint64))
    table.get()
    del a
    kernel("through_a_table")((1,), (32,), (table,))
    assert (b.get() == 0xCDCDCDCD).all()


def test_missing_barriers_are_seen_at_each_access(cp: Any) -> None:
    code = """extern "C" __global__ void neighbour(unsigned int* out) {
        out[threadIdx.x] = 1;
        out[threadIdx.x ^ 1] |= 2;
    }"""
    out = cp.zeros(32, cp.uint32)
    cp.RawModule(code=code).get_function("neighbour")((1,), (32,), (out,))
    out.get()
    device.races = True
    cp.RawModule(code=code).get_function("neighbour")((1,), (32,), (out,))
    with pytest.raises(KernelFault, match="neighbour: race: thread 1 writes what thread 0 "):
        out.get()


# Streams


def test_work_waits_for_whoever_waits_for_it(cp: Any, kernel: Any) -> None:
    stream = cp.cuda.Stream(non_blocking=True)
    pinned = np.frombuffer(cp.cuda.alloc_pinned_memory(400), np.uint32, 100)
    pinned[:] = 5
    with stream:
        a, out = cp.empty(100, cp.uint32), cp.empty(100, cp.uint32)
        a.set(pinned)
        kernel("add")((1,), (128,), (a, out, np.int32(100), np.uint64(1)))
        out.get(out=pinned, blocking=False)
    assert not stream.done
    assert (pinned == 5).all()
    stream.synchronize()
    assert stream.done
    assert (pinned == 6).all()


def test_a_pinned_buffer_that_is_used_again_too_soon(cp: Any) -> None:
    stream = cp.cuda.Stream(non_blocking=True)
    pinned, pageable = np.frombuffer(cp.cuda.alloc_pinned_memory(80), np.int64, 10), np.zeros(10, np.int64)
    for host, expected in ((pinned, 2), (pageable, 1)):
        host[:] = 1
        a = cp.empty(10, cp.int64)
        a.set(host, stream=stream)
        host[:] = 2
        assert (a.get(stream=stream) == expected).all()


def test_a_pinned_buffer_that_dies_too_soon(cp: Any) -> None:
    stream = cp.cuda.Stream(non_blocking=True)
    pinned = np.frombuffer(cp.cuda.alloc_pinned_memory(80), np.uint64, 10)
    pinned[:] = 1
    a = cp.empty(10, cp.uint64)
    a.set(pinned, stream=stream)
    del pinned
    gc.collect()
    assert (a.get(stream=stream) == 0xCDCDCDCDCDCDCDCD).all()


def test_pinned_memory_may_be_larger_than_asked_for(cp: Any) -> None:
    assert len(np.frombuffer(cp.cuda.alloc_pinned_memory(600), np.uint8)) == 1024


def test_threads_use_the_device_together(cp: Any) -> None:
    def use(thread: int) -> None:
        for i in range(150):
            with cp.cuda.Stream(non_blocking=True) as stream:
                pinned = np.frombuffer(cp.cuda.alloc_pinned_memory(512), np.int64)
                pinned[:] = thread * 1000 + i
                a = cp.empty(len(pinned), cp.int64)
                a.set(pinned)
                out = np.frombuffer(cp.cuda.alloc_pinned_memory(512), np.int64)
                a.get(out=out, blocking=False)
                stream.synchronize()
                assert (out == thread * 1000 + i).all()

    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(use, range(8)))
    finally:
        sys.setswitchinterval(interval_s)


@pytest.mark.parametrize("wait", [True, False])
def test_streams_run_apart_unless_an_event_joins_them(cp: Any, kernel: Any, wait: bool) -> None:
    first, second = cp.cuda.Stream(non_blocking=True), cp.cuda.Stream(non_blocking=True)
    a, out = cp.empty(10, cp.uint32), cp.empty(10, cp.uint32)
    with first:
        a.fill(1)
    if wait:
        second.wait_event(first.record())
    with second:
        kernel("add")((1,), (128,), (a, out, np.int32(10), np.uint64(0)))
    assert (out.get(stream=second) == (1 if wait else 0xCDCDCDCD)).all()


@pytest.mark.parametrize("non_blocking", [True, False])
def test_the_null_stream_waits_for_blocking_streams(cp: Any, non_blocking: bool) -> None:
    stream = cp.cuda.Stream(non_blocking=non_blocking)
    a = cp.empty(10, cp.uint32)
    with stream:
        a.fill(1)
    assert (a.get() == (0xCDCDCDCD if non_blocking else 1)).all()
    a.fill(2)
    assert (a.get(stream=stream) == (1 if non_blocking else 2)).all()


@pytest.mark.parametrize("same", [True, False])
def test_memory_is_freed_in_the_order_of_its_own_stream(cp: Any, kernel: Any, same: bool) -> None:
    stream, other = cp.cuda.Stream(non_blocking=True), cp.cuda.Stream(non_blocking=True)
    out = cp.empty(10, cp.uint32)
    with stream:
        a = cp.full(10, 1, cp.uint32)
    with other:
        b = cp.full(10, 1, cp.uint32)
    other.synchronize()
    with stream:
        kernel("add")((1,), (128,), (a if same else b, out, np.int32(10), np.uint64(0)))
    del a, b
    assert (out.get(stream=stream) == (1 if same else 0xCDCDCDCD)).all()


def test_without_laziness_work_is_done_at_once(cp: Any) -> None:
    device.lazy = False
    a = cp.full(10, 1, cp.uint32)
    assert cp.cuda.get_current_stream().done
    assert (a.get() == 1).all()


# Memory


def test_memory_is_counted(cp: Any) -> None:
    pool = cp.get_default_memory_pool()
    a = cp.zeros(1000, cp.uint8)
    b = a[10:500].view(cp.uint8)
    assert (pool.used_bytes(), device.used_bytes) == (1024, 1024)
    del a
    assert pool.used_bytes() == 1024
    del b
    cp.cuda.Device().synchronize()
    assert (pool.used_bytes(), pool.total_bytes(), pool.free_bytes(), device.peak_bytes) == (0, 1024, 1024, 1024)
    assert cp.cuda.Device().mem_info == ((1 << 20) - 1024, 1 << 20)
    pool.free_all_blocks()
    assert pool.total_bytes() == 0
    assert cp.cuda.Device().mem_info == (1 << 20, 1 << 20)


def test_pinned_memory_is_counted(cp: Any) -> None:
    pool = cp.get_default_pinned_memory_pool()
    used = device.pinned_used_bytes  # by others, which live still
    kept, other = cp.cuda.alloc_pinned_memory(600), cp.cuda.alloc_pinned_memory(5000)
    assert (device.pinned_used_bytes - used, device.pinned_pool_bytes - used) == (1024 + 8192, 1024 + 8192)
    del other
    assert (pool.n_free_blocks(), device.pinned_used_bytes - used) == (1, 1024)
    other = cp.cuda.alloc_pinned_memory(4097)  # the same block
    assert (pool.n_free_blocks(), device.pinned_pool_bytes - used) == (0, 1024 + 8192)
    del other
    pool.free_all_blocks()
    assert (pool.n_free_blocks(), device.pinned_pool_bytes - used) == (0, 1024)
    assert kept.size() == 1024


def test_pinned_memory_runs_out(cp: Any) -> None:
    device.pinned_limit_bytes = device.pinned_used_bytes + 4096
    kept = cp.cuda.alloc_pinned_memory(2048)
    del kept
    kept = cp.cuda.alloc_pinned_memory(4096)  # the pool gives back what is free before it gives up
    with pytest.raises(cp.cuda.runtime.CUDARuntimeError, match="cudaErrorMemoryAllocation: out of memory") as caught:
        cp.cuda.alloc_pinned_memory(1)
    assert caught.value.status == 2
    del kept
    cp.cuda.alloc_pinned_memory(1)


def test_memory_runs_out() -> None:
    with installed(device_bytes=1 << 20, reserved_bytes=1 << 19) as cp:
        assert cp.cuda.Device().mem_info == (1 << 19, 1 << 20)
        kept = cp.empty((1 << 19) - 512, cp.uint8)
        with pytest.raises(cp.cuda.memory.OutOfMemoryError, match="Out of memory allocating 1,024 bytes"):
            cp.empty(513, cp.uint8)
        cp.empty(512, cp.uint8)
        del kept
        cp.empty(1 << 19, cp.uint8)


# Faults


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("status", [700, 46])
def test_a_device_is_lost_for_good(cp: Any, kernel: Any, status: int, late: bool) -> None:
    a, out = cp.zeros(10, cp.uint32), cp.zeros(10, cp.uint32)
    runtime_error, driver_error = cp.cuda.runtime.CUDARuntimeError, cp.cuda.driver.CUDADriverError
    function = kernel("add")

    def launch() -> None:
        function((1,), (128,), (a, out, np.int32(10), np.uint64(1)))

    with device.faults():
        device.fail_launch_after(2, status, late=late)
        launch()
        launch()
        assert (out.get() == 1).all()
        if late:
            launch()
        else:
            with pytest.raises(driver_error) as caught:
                launch()
            assert caught.value.status == status
        for call in (
            out.get,
            lambda: cp.zeros(1),
            cp.cuda.Stream,
            lambda: cp.cuda.Device().mem_info,
            device.synchronize,
        ):
            with pytest.raises(runtime_error) as lost:
                call()
            assert lost.value.status == status
        with pytest.raises(driver_error):
            launch()
    launch()
    assert device.launches == ["add"] * 4


def test_a_launch_that_is_refused_harms_nothing(cp: Any, kernel: Any) -> None:
    a, out = cp.zeros(10, cp.uint32), cp.zeros(10, cp.uint32)
    with device.faults():
        device.refuse_launch_after(1, 2)
        for refused in (False, True, False):
            launch = partial(kernel("add"), (1,), (128,), (a, out, np.int32(10), np.uint64(1)))
            if refused:
                with pytest.raises(cp.cuda.driver.CUDADriverError, match="CUDA_ERROR_OUT_OF_MEMORY") as caught:
                    launch()
                assert caught.value.status == 2
            else:
                launch()
                assert (out.get() == 1).all()
            out.fill(0)


def test_without_header_files_only_what_needs_no_kernel_works(cp: Any) -> None:
    with device.no_headers():
        a = cp.zeros(10, cp.uint32)
        a.set(np.arange(10, dtype=np.uint32))
        assert a[2:].view(cp.int32).copy().get().tolist() == list(range(2, 10))
        for function in (lambda: cp.arange(10), lambda: a + 1, lambda: a.fill(1), a.any, lambda: a.astype(cp.int64)):
            with pytest.raises(cp.cuda.compiler.CompileException, match=r"cannot open source file"):
                function()
    cp.arange(10)


def test_no_driver(cp: Any) -> None:
    module = cp.RawModule(code=CODE)
    with device.no_driver():
        assert not cp.cuda.is_available()
        assert cp.cuda.runtime.driverGetVersion() == 0
        for call in (cp.cuda.runtime.getDeviceCount, lambda: cp.zeros(1), module.compile, cp.cuda.Stream):
            with pytest.raises(
                cp.cuda.runtime.CUDARuntimeError,
                match="cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime version",
            ):
                call()
    with device.no_driver(100), pytest.raises(RuntimeError, match="cudaErrorNoDevice"):
        cp.cuda.runtime.getDeviceCount()
    assert cp.cuda.is_available()


def test_no_nvrtc(cp: Any) -> None:
    with device.no_nvrtc():
        cp.zeros(1)
        with pytest.raises(RuntimeError, match=r"libnvrtc\.so\.13"):
            cp.RawModule(code=CODE).get_function("add")
    cp.RawModule(code=CODE).compile()


def test_the_module_says_which_device_it_has() -> None:
    assert strict_cupy.device is device


# Under AddressSanitizer

STRAY = """
import numpy as np, strict_cupy
cp = strict_cupy.install()
function = cp.RawModule(code={code!r}).get_function("through_a_table")
a, b = cp.arange(32, dtype=cp.uint32), cp.zeros(32, cp.uint32)
{prepare}
function((1,), (32,), (table,))
strict_cupy.device.synchronize()
"""


@pytest.mark.parametrize(
    ("prepare", "report"),
    [
        ("table = cp.asarray(np.array([a.data.ptr + 4, b.data.ptr], np.uint64))", "READ of size 4"),
        ("table = cp.asarray(np.array([a.data.ptr, b.data.ptr - 4], np.uint64))", "WRITE of size 4"),
        ("table = cp.asarray(np.array([a.data.ptr, b.data.ptr], np.uint64)); table.get(); del a", "READ of size 4"),
        ("table = cp.asarray(np.array([a.data.ptr, b.data.ptr], np.uint64))", None),
    ],
)
def test_the_sanitizer_knows_where_arrays_end(prepare: str, report: str | None) -> None:
    try:
        environment = sanitizer_environment()
    except EmulatorError as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))
    environment |= {"PYTHONPATH": str(Path(strict_cupy.__file__).parent)}
    script = STRAY.format(code=CODE, prepare=prepare)
    ran = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert (ran.returncode == 0) == (report is None), ran.stderr
    if report:
        assert "use-after-poison" in ran.stderr
        assert report in ran.stderr
