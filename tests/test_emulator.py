"""The CUDA emulator computes what CUDA would, and catches planted bugs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from emulator import EmulatedModule, EmulatorError, KernelFault, kernels_of, sanitizer_environment

ORDERS = range(4)
TYPES = "typedef unsigned long long u64; typedef long long i64; typedef unsigned int u32;\n"


def run(body: str, n: int = 64, *, block: int = 64, order: int = 0, shared: int = 0, options: tuple[str, ...] = ()):
    """Run statements that set out[0:n] of one block, poisoned before, and give out."""
    code = TYPES + 'extern "C" __global__ void kernel(u64* out) {' + body + "}"
    out = np.full(n, 0xCDCDCDCDCDCDCDCD, np.uint64)
    EmulatedModule(code, options).launch("kernel", (1,), (block,), (out,), shared, order)
    return out


# What the text says


def test_kernels_are_found_in_every_form() -> None:
    code = """
    extern "C" __global__ void plain(const u64* __restrict__ a, int n) {}
    // extern "C" __global__ void commented(int n) {}
    extern "C" __global__ void __launch_bounds__(256) after(u32 *a) {}
    extern "C" __global__ void __launch_bounds__(N, 4) named(void_like) {}
    extern "C" __global__ __launch_bounds__(64, 2) void
    before(const  unsigned   long long * /* what */ a,  // why
           unsigned b) {}
    extern "C" __global__ void none() {}
    """.replace("void_like", "const uint4* v")
    found = kernels_of(code, ("-DN=96",))
    assert {name: kernel.max_threads for name, kernel in found.items()} == {
        "plain": 1024,
        "after": 256,
        "named": 96,
        "before": 64,
        "none": 1024,
    }
    shown = {name: [(p.name, p.type, p.pointer) for p in kernel.parameters] for name, kernel in found.items()}
    assert shown["plain"] == [("a", "u64", True), ("n", "int", False)]
    assert shown["before"] == [("a", "unsigned long long", True), ("b", "unsigned", False)]
    assert shown["named"] == [("v", "uint4", True)]
    assert shown["none"] == []


@pytest.mark.parametrize("parameter", ["struct S s", "u64** p", "uint4 v", "int"])
def test_parameters_must_be_plain(parameter: str) -> None:
    with pytest.raises(EmulatorError, match="not plain"):
        kernels_of(f'extern "C" __global__ void k({parameter}) {{}}')


def test_an_undefined_launch_bound_is_named() -> None:
    with pytest.raises(EmulatorError, match='k: launch bound "THREADS"'):
        kernels_of('extern "C" __global__ void __launch_bounds__(THREADS) k() {}')


# Building


def test_without_a_compiler_the_message_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "/no/such/compiler")
    for need in (lambda: EmulatedModule("// unlike any other"), sanitizer_environment):
        with pytest.raises(EmulatorError, match="apt-get install"):
            need()


@pytest.mark.usefixtures("gxx")
def test_a_mistake_is_reported_at_its_line() -> None:
    with pytest.raises(EmulatorError, match=r"wrong\.cu:2:.*nonsense"):
        EmulatedModule('// first\nextern "C" __global__ void k() { nonsense; }', name="wrong.cu")


@pytest.mark.usefixtures("gxx")
def test_a_build_is_kept_and_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GMEMGPU_EMULATOR_CACHE", str(tmp_path))
    code = 'extern "C" __global__ void k(int* a) { a[0] = VALUE; }'
    answers = []
    for value in (1, 2, 1):
        out = np.zeros(1, np.int32)
        EmulatedModule(code, (f"-DVALUE={value}",)).launch("k", (1,), (1,), (out,))
        answers.append(int(out[0]))
    assert answers == [1, 2, 1]
    assert len(list(tmp_path.glob("*.so"))) == 2


# Launching


@pytest.mark.usefixtures("gxx")
def test_a_launch_that_does_not_fit_is_refused() -> None:
    module = EmulatedModule('extern "C" __global__ void __launch_bounds__(64) k(int* a, int n) {}')
    a = np.zeros(4, np.int32)
    for grid, block, arguments, shared, message in (
        ((1,), (96,), (a, 1), 0, "96 threads"),
        ((0,), (32,), (a, 1), 0, "empty"),
        ((1,), (32,), (a,), 0, "1 arguments for 2"),
        ((1,), (32,), (a[::2], 1), 0, "C-contiguous"),
        ((1,), (32,), ([1], 1), 0, "no array"),
        ((1,), (32,), (a, 1), 228 * 1024, "shared memory"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            module.launch("k", grid, block, arguments, shared)


@pytest.mark.usefixtures("gxx")
@pytest.mark.parametrize("order", ORDERS)
def test_indices_and_sizes(order: int) -> None:
    code = """extern "C" __global__ void k(uint4* out) {
        unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
        unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
        out[block * blockDim.x * blockDim.y * blockDim.z + thread] = make_uint4(block, thread, threadIdx.z, blockIdx.y);
    }"""
    out = np.zeros((30, 24, 4), np.uint32)
    EmulatedModule(code).launch("k", (2, 3, 5), (4, 3, 2), (out,), order=order)
    block, thread = np.mgrid[:30, :24]
    assert (out == np.stack([block, thread, thread // 12, block // 2 % 3], axis=-1)).all()


@pytest.mark.usefixtures("gxx")
def test_orders_differ_and_are_repeated() -> None:
    code = """extern "C" __global__ void k(unsigned* next, unsigned* out) {
        unsigned at = (*next)++;
        out[at] = blockIdx.x * blockDim.x + threadIdx.x;
        __syncthreads();
    }"""
    module = EmulatedModule(code)

    def sequence(order: int) -> list[int]:
        out = np.zeros(4 * 40, np.uint32)
        module.launch("k", (4,), (40,), (np.zeros(1, np.uint32), out), order=order)
        return out.tolist()

    assert sequence(0) == list(range(160))
    assert sequence(1) == list(range(160))[::-1]
    shuffled = [sequence(order) for order in (2, 3, 4)]
    assert all(sorted(found) == list(range(160)) for found in shuffled)
    assert len({tuple(found) for found in [sequence(0), sequence(1), *shuffled]}) == 5
    assert [sequence(order) for order in (2, 3, 4)] == shuffled


# Shared memory


@pytest.mark.usefixtures("gxx")
def test_shared_memory_is_poisoned_in_every_block() -> None:
    code = """extern "C" __global__ void k(unsigned char* out) {
        __shared__ unsigned char fixed[16];
        DYN_SHARED(unsigned char, dynamic);
        __syncthreads();
        if (threadIdx.x == 0) {
            out[2 * blockIdx.x] = fixed[15]; out[2 * blockIdx.x + 1] = dynamic[31];
            fixed[15] = dynamic[31] = 7;
        }
    }"""
    out = np.zeros((3, 2), np.uint8)
    EmulatedModule(code).launch("k", (3,), (32,), (out,), shared_mem=32)
    assert (out == 0xCD).all()


@pytest.mark.usefixtures("gxx")
@pytest.mark.parametrize("shared", [0, 48 * 1024, 227 * 1024])
def test_dynamic_shared_memory_has_the_size_asked_for_and_is_aligned(shared: int) -> None:
    body = """DYN_SHARED(uint4, tile);
        for (unsigned i = threadIdx.x; i < SIZE / 16; i += blockDim.x) tile[i] = make_uint4(i, i, i, i);
        __syncthreads();
        unsigned bad = 0;
        for (unsigned i = threadIdx.x; i < SIZE / 16; i += blockDim.x) {
            unsigned other = SIZE / 16 - 1 - i;
            bad += tile[other].x != other;
        }
        out[threadIdx.x] = bad + (reinterpret_cast<u64>(tile) & 15);"""
    assert not run(body, shared=shared, options=(f"-DSIZE={shared}u",)).any()


@pytest.mark.usefixtures("gxx")
def test_writes_past_dynamic_shared_memory_are_caught() -> None:
    with pytest.raises(KernelFault, match="byte 8 of dynamic shared memory was written; the launch asked for 8"):
        run("DYN_SHARED(unsigned char, tile); tile[8] = 1; out[0] = 0;", shared=8)


# Barriers


SUM = """
extern "C" __global__ void sum(const unsigned* x, unsigned* out) {
    __shared__ unsigned part[8];
    unsigned s = x[blockIdx.x * blockDim.x + threadIdx.x];
    for (int step = 16; step; step >>= 1) s += __shfl_down_sync(~0u, s, step);
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = s;
#ifndef FORGET
    __syncthreads();
#endif
    if (threadIdx.x == 0) {
        s = 0;
        for (unsigned i = 0; i < blockDim.x / 32; i++) s += part[i];
        out[blockIdx.x] = s;
    }
}
"""


@pytest.mark.usefixtures("gxx")
@pytest.mark.parametrize("options", [(), ("-DEMULATOR_UCONTEXT",)], ids=["own switch", "ucontext"])
def test_a_missing_barrier_shows_in_some_order(options: tuple[str, ...]) -> None:
    x = np.arange(1024, dtype=np.uint32)

    def right(*forget: str) -> list[bool]:
        module = EmulatedModule(SUM, (*forget, *options))
        outs = [np.zeros(4, np.uint32) for _ in ORDERS]
        for order, out in zip(ORDERS, outs, strict=True):
            module.launch("sum", (4,), (256,), (x, out), order=order)
        return [bool((out == x.reshape(4, 256).sum(axis=1)).all()) for out in outs]

    assert right() == [True] * 4
    # In some orders only: one alone may hide it.
    assert set(right("-DFORGET")) == {True, False}


@pytest.mark.usefixtures("gxx")
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("options", [(), ("-DEMULATOR_UCONTEXT",)], ids=["own switch", "ucontext"])
def test_a_divergent_barrier_is_a_deadlock_and_the_next_launch_works(order: int, options: tuple[str, ...]) -> None:
    code = """extern "C" __global__ void k(int* a, int divergent) {
        if (!divergent || threadIdx.x < 16) __syncthreads(); else __shfl_sync(~0u, 1, 0);
        a[threadIdx.x] = 1;
    }"""
    module = EmulatedModule(code, options)
    a = np.zeros(32, np.int32)
    waits = "16 wait at __syncthreads .the first: 0., 16 wait in warp operations .the first: 16, mask 0xffffffff"
    with pytest.raises(KernelFault, match=rf"k: deadlock: of 32 threads, 0 returned, {waits}"):
        module.launch("k", (1,), (32,), (a, 1), order=order)
    assert not a.any()
    module.launch("k", (1,), (32,), (a, 0), order=order)
    assert a.all()


@pytest.mark.usefixtures("gxx")
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("if (threadIdx.x < 32) __syncthreads(); else __syncthreads_or(1);", "__syncthreads(_or)? and __syncthreads"),
        ("if (threadIdx.x & 1) __ballot_sync(~0u, 1); else __shfl_sync(~0u, 1, 0);", "different warp operations"),
        (
            "if (threadIdx.x & 1) __reduce_add_sync(~0u, 1u); else __reduce_min_sync(~0u, 1u);",
            "different warp operations",
        ),
        ("__shfl_sync(0xfffffffeu, 1, 0);", "lane 0 of warp . is not in its own mask 0xfffffffe"),
        ("__shfl_sync(threadIdx.x & 1 ? 0xfffffffeu : ~0u, 1, 0);", "deadlock"),
        ("__shfl_sync(~0u, 1, 0, 12);", "width 12"),
    ],
)
@pytest.mark.parametrize("order", ORDERS)
def test_operations_that_cannot_meet_are_reported(body: str, message: str, order: int) -> None:
    with pytest.raises(KernelFault, match=message):
        run(body + " out[threadIdx.x] = 0;", order=order)


@pytest.mark.usefixtures("gxx")
@pytest.mark.parametrize("order", ORDERS)
def test_threads_that_returned_are_not_waited_for(order: int) -> None:
    body = """if (threadIdx.x % 3) return;
        int n = __syncthreads_count(threadIdx.x < 30);
        unsigned votes = __ballot_sync(~0u, 1);
        out[threadIdx.x] = n * 100 + __popc(votes);"""
    out = run(body, order=order)
    assert [int(out[i]) for i in (0, 30, 33, 63)] == [1011, 1011, 1011, 1011]
    assert out[1] == 0xCDCDCDCDCDCDCDCD


@pytest.mark.usefixtures("gxx")
@pytest.mark.parametrize("order", ORDERS)
def test_barriers_that_vote(order: int) -> None:
    body = """int t = threadIdx.x;
        out[t] = __syncthreads_count(t % 5 == 0) + 100 * __syncthreads_or(t == 63) + 1000 * __syncthreads_or(0)
               + 10000 * __syncthreads_and(t < 64) + 100000 * __syncthreads_and(t != 17);"""
    assert (run(body, order=order) == 10113).all()


RACES = [
    ("out[threadIdx.x] = 1; out[threadIdx.x ^ 32] = 2;", "writes what thread"),
    ("out[threadIdx.x] = 1; out[threadIdx.x ^ 1] = 2;", "writes what thread"),
    # A ballot lets all lanes arrive. What they wrote before need not.
    ("out[threadIdx.x] = 1; if (__ballot_sync(~0u, 1)) out[threadIdx.x ^ 1] += 1;", "reads what thread"),
    ("if (threadIdx.x) atomicAdd(&out[0], 1); else out[0] = 1;", "what thread"),
]


@pytest.mark.usefixtures("gxx")
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("body", "message"), RACES)
def test_accesses_without_a_barrier_between_are_a_race(body: str, message: str, order: int) -> None:
    run(body, order=order)
    with pytest.raises(KernelFault, match=rf"race: thread \d+ .*{message} \d+"):
        run(body, order=order, options=("-DEMULATOR_RACES",))


SOUND = [
    "out[threadIdx.x] = 1; __syncthreads(); out[threadIdx.x ^ 32] = 2;",
    "out[threadIdx.x] = 1; __syncwarp(); out[threadIdx.x ^ 1] = 2;",
    # What lanes read before they met has been read.
    "u64 seen = out[threadIdx.x ^ 1]; if (__ballot_sync(~0u, seen != 0)) out[threadIdx.x] = 1;",
    "atomicAdd(&out[0], 1);",
    "reinterpret_cast<unsigned short*>(out)[threadIdx.x] = 1;",
    "u64 own[4]; own[threadIdx.x & 3] = 1; out[threadIdx.x] = own[threadIdx.x & 3];",
    "__shared__ u32 s[64]; s[threadIdx.x] = 1; __syncthreads(); out[threadIdx.x] = s[threadIdx.x ^ 33];",
]


@pytest.mark.usefixtures("gxx")
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("body", SOUND)
def test_sound_accesses_are_no_race(body: str, order: int) -> None:
    for _ in range(2):
        run(body, order=order, options=("-DEMULATOR_RACES",))


# Warp operations


@pytest.mark.usefixtures("gxx")
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("width", [32, 8, 1])
@pytest.mark.parametrize("type_", ["u32", "i64"])
def test_shuffles(order: int, width: int, type_: str) -> None:
    body = f"""{type_} v = ({type_})threadIdx.x * 1000003 + ({type_})(1ull << 40); int t = threadIdx.x;
        out[t] = __shfl_sync(~0u, v, t * 7 + 3, {width});
        out[64 + t] = __shfl_up_sync(~0u, v, 3, {width});
        out[128 + t] = __shfl_down_sync(~0u, v, 3, {width});
        out[192 + t] = __shfl_xor_sync(~0u, v, 5, {width});
        out[256 + t] = __shfl_xor_sync(~0u, v, 31, {width});"""
    lane = np.arange(64)
    at, begin = lane % width, lane - lane % width
    source = np.concatenate(
        [
            begin + (lane * 7 + 3) % width,
            np.where(at >= 3, lane - 3, lane),
            np.where(at + 3 < width, lane + 3, lane),
            np.where(lane ^ 5 < begin + width, lane ^ 5, lane),
            np.where(lane ^ 31 < begin + width, lane ^ 31, lane),
        ]
    )
    value = source.astype(np.uint64) * np.uint64(1000003)
    expected = value & np.uint64(0xFFFFFFFF) if type_ == "u32" else value + np.uint64(1 << 40)
    assert (run(body, 320, order=order) == expected).all()


@pytest.mark.usefixtures("gxx")
@pytest.mark.parametrize("order", ORDERS)
def test_halves_of_a_warp_go_their_own_ways(order: int) -> None:
    body = """unsigned lane = threadIdx.x & 31, mask = lane < 16 ? 0x0000ffffu : 0xffff0000u, s = lane;
        for (unsigned i = 0; i < (lane < 16 ? 3 : 5); i++) { s = __shfl_xor_sync(mask, s, 1); __syncwarp(mask); }
        s += 100 * __reduce_add_sync(mask, lane);
        out[threadIdx.x] = s + 100000 * (__ballot_sync(~0u, lane == 20) == 1u << 20);"""
    lane = np.arange(64) % 32
    sums = np.where(lane < 16, 120, 376)
    assert (run(body, order=order) == (lane ^ 1) + 100 * sums + 100000).all()


@pytest.mark.usefixtures("gxx")
@pytest.mark.parametrize("order", ORDERS)
def test_a_lane_outside_the_mask_gives_poison(order: int) -> None:
    body = "if (threadIdx.x < 16) out[threadIdx.x] = __shfl_sync(0xffffu, 5ull, 16); else out[threadIdx.x] = 0;"
    assert (run(body, 32, block=32, order=order)[:16] == 0xCDCDCDCDCDCDCDCD).all()


@pytest.mark.usefixtures("gxx")
@pytest.mark.parametrize("order", ORDERS)
def test_votes_and_reductions(order: int) -> None:
    body = """int t = threadIdx.x, lane = t & 31, v = lane * 37 % 31 - 15; unsigned u = v;
        u64* mine = out + 12 * t;
        mine[0] = __ballot_sync(~0u, lane % 3 == 0); mine[1] = __any_sync(~0u, lane == 9); mine[2] = __any_sync(~0u, 0);
        mine[3] = __all_sync(~0u, lane < 32); mine[4] = __all_sync(~0u, lane != 9);
        mine[5] = (unsigned)__reduce_add_sync(~0u, v); mine[6] = (unsigned)__reduce_min_sync(~0u, v);
        mine[7] = (unsigned)__reduce_max_sync(~0u, v); mine[8] = __reduce_min_sync(~0u, u);
        mine[9] = __reduce_max_sync(~0u, u); mine[10] = __reduce_or_sync(~0u, u | 1u << 30);
        mine[11] = __reduce_and_sync(~0u, u | 0xf0u);"""
    signed = np.arange(32) * 37 % 31 - 15
    unsigned = signed.astype(np.int32).view(np.uint32)
    wrapped = [int(np.int32(x).view(np.uint32)) for x in (signed.sum(), signed.min(), signed.max())]
    expected = [sum(1 << i for i in range(0, 32, 3)), 1, 0, 1, 0, *wrapped, unsigned.min(), unsigned.max()]
    expected += [np.bitwise_or.reduce(unsigned) | 1 << 30, np.bitwise_and.reduce(unsigned | 0xF0)]
    assert (run(body, 64 * 12, order=order).reshape(64, 12) == np.array(expected, np.uint64)).all()


# Atomics and integers


@pytest.mark.usefixtures("gxx")
@pytest.mark.parametrize("order", ORDERS)
def test_atomics(order: int) -> None:
    code = (
        TYPES
        + """extern "C" __global__ void k(u64* wide, u32* narrow, i64* negative) {
        u32 i = blockIdx.x * blockDim.x + threadIdx.x;
        u64 w = (u64)i << 32 | 1;
        atomicAdd(&wide[0], w); atomicOr(&wide[1], 1ull << (i % 64)); atomicAnd(&wide[2], ~(1ull << (i % 64)));
        atomicMax(&wide[3], w); atomicMin(&wide[4], w);
        for (u64 was, seen = wide[5]; (was = atomicCAS(&wide[5], seen, seen + 3)) != seen; seen = was);
        u64 old = atomicExch(&wide[6], w); atomicAdd(&wide[7], old);
        atomicAdd(&narrow[0], ~0u); atomicOr(&narrow[1], 1u << (i % 32)); atomicAnd(&narrow[2], ~(1u << (i % 16)));
        atomicMax(&narrow[3], i); atomicMin(&narrow[4], i); atomicCAS(&narrow[5], i, i + 1);
        atomicMin(&negative[0], -(i64)i); atomicMax(&negative[1], -(i64)i);
    }"""
    )
    wide = np.array([0, 0, 2**64 - 1, 0, 2**64 - 1, 0, 0, 0], np.uint64)
    narrow = np.array([0, 0, 2**32 - 1, 0, 2**32 - 1, 2**32 - 1], np.uint32)
    negative = np.zeros(2, np.int64)
    EmulatedModule(code).launch("k", (4,), (64,), (wide, narrow, negative), order=order)
    total = sum(i << 32 | 1 for i in range(256))
    last = int(wide[6])
    assert wide.tolist() == [total, 2**64 - 1, 0, 255 << 32 | 1, 1, 768, last, total - last]
    assert narrow.tolist() == [2**32 - 256, 2**32 - 1, 2**32 - 2**16, 255, 0, 2**32 - 1]
    assert negative.tolist() == [-255, 0]


@pytest.mark.usefixtures("gxx")
def test_a_race_around_an_atomic_shows_in_a_shuffled_order() -> None:
    # Reading and then exchanging loses updates of threads that come between.
    body = """__shared__ u64 n; if (threadIdx.x == 0) n = 0; __syncthreads();
        u64 seen = n; atomicExch(&n, seen + 1); __syncthreads(); out[threadIdx.x] = n;"""
    counts = [int(run(body, order=order)[0]) for order in ORDERS]
    assert counts[:2] == [64, 64]
    assert min(counts[2:]) < 64


@pytest.mark.usefixtures("gxx")
def test_integer_functions() -> None:
    body = """u64 a = 0x8000000000000001ull, b = 0xfedcba9876543210ull;
        u64 all[] = {(u64)__popc(0xffffffffu), (u64)__popcll(b), (u64)__clz(0), (u64)__clz(1), (u64)__clz(-1),
            (u64)__clzll(0), (u64)__clzll(1), (u64)__ffs(0), (u64)__ffs(0x80000000u),
            (u64)__ffsll(0), (u64)__ffsll(a & ~1ull), __umul64hi(a, b), (u64)__mul64hi(-1, 1),
            (u64)__umulhi(0xffffffffu, 16), (u64)min(3, 5), max(3u, 5u),
            min(a, 7ull), __ldg(&a), (u64)(sizeof(uint4) + sizeof(ulonglong2) + alignof(ulonglong2))};
        for (int i = 0; i < 19; i++) out[i] = all[i];"""
    a, b = 0x8000000000000001, 0xFEDCBA9876543210
    expected = [32, b.bit_count(), 32, 31, 0, 64, 63, 0, 32, 0, 64, a * b >> 64, 2**64 - 1, 15, 3, 5, 7, a, 48]
    assert run(body, 19, block=1).tolist() == expected


# Sanitizers

FAULTY = (
    TYPES
    + """
extern "C" __global__ void past_the_end(u32* a, int n) { a[threadIdx.x + n] = 1; }
extern "C" __global__ void past_shared(u32* a, int n) {
    __shared__ u32 part[8]; __shared__ u32 other[8];
    u32* volatile unknown = part; unknown[n] = 1; other[0] = 2; __syncthreads(); a[0] = part[0] + other[0];
}
extern "C" __global__ void past_dynamic(u32* a, int n) { DYN_SHARED(u32, part); a[0] = part[n]; }
extern "C" __global__ void wide_shift(u32* a, int n) { a[0] = 1u << (n + 32); }
extern "C" __global__ void sound(u32* a, int n) {
    __shared__ u32 part[8];
    DYN_SHARED(u32, more);
    more[threadIdx.x] = part[threadIdx.x] = n;
    __syncthreads();
    a[threadIdx.x] = part[n - threadIdx.x] + more[n - threadIdx.x];
}
"""
)
SANITIZED = """
import sys, numpy as np
from emulator import EmulatedModule
a = np.zeros(8, np.uint32)
module = EmulatedModule({code!r}, sanitize=True, name="faulty.cu")
for order in range(4):
    module.launch(sys.argv[1], (2,), (8,), (a, int(sys.argv[2])), shared_mem=32, order=order)
print("finished", a.sum())
"""


@pytest.mark.usefixtures("gxx")
@pytest.mark.parametrize(
    ("kernel", "n", "report"),
    [
        ("past_the_end", 1, "heap-buffer-overflow"),
        ("past_shared", 8, "global-buffer-overflow"),
        ("past_dynamic", 8, "heap-buffer-overflow"),
        ("wide_shift", 0, "shift exponent 32 is too large"),
        ("sound", 7, None),
    ],
)
def test_sanitizers(kernel: str, n: int, report: str | None) -> None:
    try:
        environment = sanitizer_environment()
    except EmulatorError as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))
    environment |= {**os.environ, **environment, "PYTHONPATH": str(Path(__file__).parent / "emulator")}
    ran = subprocess.run(
        [sys.executable, "-c", SANITIZED.format(code=FAULTY), kernel, str(n)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if report is None:
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout.startswith("finished")
    else:
        assert ran.returncode != 0
        assert report in ran.stderr
        assert "faulty.cu:" in ran.stderr
