// CUDA C++ on one CPU core, for tests: g++ compiles a header-free kernel file behind this header, `emulator.py` runs it.
//
// A thread block is a set of fibers, one a CUDA thread, on one OS thread; blocks run one after another. A fiber runs
// until it must wait for others, so what one interleaving hides another shows. The order is chosen at launch:
//   0 forward, 1 reverse (threads and blocks), 2 and up: shuffled anew in every round, seeded by the order, and a fiber
//   may also be set aside before an atomic.
// Shared memory starts as 0xCD in every block. A block that cannot go on is reported and given up; so are warp
// operations of different kinds that meet, a lane missing from its own mask, and writes just past dynamic shared memory.
//
// With EMULATOR_RACES every access is looked at: two threads of a block that touch the same bytes, one of them to write,
// need a barrier between them, and both at once an atomic. Ballots, shuffles and reductions do not order memory; they
// only see to it that what was read before them has been read.
//
// Not modelled: blocks that wait for each other, memory that becomes visible late, a spin-wait inside a block, what
// lanes of a warp do in lockstep without a *_sync operation, floating-point contraction.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>
#include <type_traits>
#include <utility>

#if defined(__x86_64__) && !defined(EMULATOR_UCONTEXT)
#define EMULATOR_ASSEMBLY_SWITCH 1
#else
#include <ucontext.h>
#endif

// ---- Words of the language ------------------------------------------------------------------------------------------

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __launch_bounds__(...)
// One section, so that all static shared memory of a module can be poisoned without knowing its variables.
#define __shared__ static __attribute__((section("emulated_shared")))
// `extern __shared__` names storage that only a launch knows; a kernel file takes this definition if there is one.
#define DYN_SHARED(T, name) T* name = reinterpret_cast<T*>(emulator::machine.dynamic_shared)
#define warpSize 32

struct dim3 {
    unsigned x, y, z;
};
struct uint3 {
    unsigned x, y, z;
};
struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(8) int2 {
    int x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct alignas(16) int4 {
    int x, y, z, w;
};
struct alignas(16) ulonglong2 {
    unsigned long long x, y;
};
struct alignas(16) longlong2 {
    long long x, y;
};
static inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
static inline int2 make_int2(int x, int y) { return {x, y}; }
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
static inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
static inline ulonglong2 make_ulonglong2(unsigned long long x, unsigned long long y) { return {x, y}; }
static inline longlong2 make_longlong2(long long x, long long y) { return {x, y}; }

// ---- Fibers ---------------------------------------------------------------------------------------------------------

extern "C" {
// The linker defines these two if any kernel of the module has static shared memory.
extern char __start_emulated_shared[] __attribute__((weak, visibility("hidden")));
extern char __stop_emulated_shared[] __attribute__((weak, visibility("hidden")));
#if defined(EMULATOR_ASSEMBLY_SWITCH)
void emulator_switch(void** save_stack_pointer, void* next_stack_pointer) __attribute__((visibility("hidden")));
#endif
#if defined(__SANITIZE_ADDRESS__)
void __asan_unpoison_memory_region(void const volatile* address, size_t bytes);
#endif
#if defined(EMULATOR_RACES)
extern const char __ehdr_start __attribute__((visibility("hidden")));  // where the linker puts the library's head
#endif
}

#if defined(EMULATOR_ASSEMBLY_SWITCH)
// What a call must preserve goes on the stack being left and comes off the stack being entered. swapcontext would also
// make a system call.
asm(R"(
    .text
    .p2align 4
    .type emulator_switch, @function
emulator_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size emulator_switch, .-emulator_switch
)");
#endif

namespace emulator {

typedef unsigned long long Word;

constexpr size_t kMaxThreads = 1024;
constexpr unsigned kLanes = 32;
constexpr unsigned kMaxWarps = kMaxThreads / kLanes;
constexpr unsigned char kPoison = 0xCD;
#if defined(__SANITIZE_ADDRESS__)
constexpr size_t kSharedGuardBytes = 0;  // the allocation has red zones
constexpr size_t kStackBytes = 256 * 1024;  // red zones around every local
#else
constexpr size_t kSharedGuardBytes = 64;
constexpr size_t kStackBytes = 32 * 1024;
#endif
// Stacks a power of two apart would all fight for the same few cache sets; these odd cache lines spread them.
constexpr size_t kStackStride = kStackBytes + 5 * 64;

enum State : unsigned char { kReady, kAtBlockBarrier, kInWarpOperation, kDone };

struct Fiber;
// What lanes that meet compute together. The function's address also tells the kind of operation.
typedef Word Combine(const Fiber* lanes, unsigned mask);

// Where a fiber that does not run stands.
#if defined(EMULATOR_ASSEMBLY_SWITCH)
typedef void* Place;
#else
typedef ucontext_t Place;
#endif

struct Fiber {
    Place* stack;  // the one it runs on; null before it begins and after it is done
    uint3 thread;
    unsigned lane, warp;
    State state;
    // A warp operation: what this lane brings, which lane it reads, and what it gets.
    unsigned mask, source;
    Word value, result;
    Combine* operation;
};

struct Machine {
    Fiber host;  // the caller of the launch
    Place host_place, places[kMaxThreads];
    Fiber fibers[kMaxThreads];
    unsigned short turn[kMaxThreads];  // the order in which fibers are looked at
    unsigned waiting[kMaxWarps];       // lanes inside a warp operation
    unsigned gone[kMaxWarps];          // lanes that returned or never were
    Fiber* current;
    unsigned n_threads, n_done, cursor;
    bool progress;  // a fiber ran in this round
    unsigned order;
    Word random;

    unsigned n_at_barrier, votes;
    int barrier_votes;
    const char* barrier;  // which of the barriers

    // How often this block, or a whole warp, has met: at a barrier of the block, at __syncwarp, in any warp operation.
    unsigned n_barriers, n_syncs[kMaxWarps], n_meetings[kMaxWarps];
    unsigned n_blocks_run;
    bool in_atomic;

    dim3 grid, block;
    uint3 block_index;
    void (*body)(void**);
    void** arguments;
    char* dynamic_shared;
    char* stacks;
    // Stacks made so far, and those of them that nobody runs on, which stand at the head of their loop; the last one that
    // became free serves first. A fiber that waits for nobody leaves its stack, still in the cache, to the next.
    unsigned n_stacks, n_free;
    Place* free_stacks[kMaxThreads];
    char error[320];
};

static Machine machine;

static inline Word next_random() {
    Word x = machine.random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return machine.random = x;
}

static inline unsigned random_below(unsigned n) { return (unsigned)(((next_random() >> 32) * n) >> 32); }

static inline void shuffle_turns() {
    for (unsigned i = machine.n_threads - 1; i > 0; i--) std::swap(machine.turn[i], machine.turn[random_below(i + 1)]);
}

// The next fiber that can run, round by round; the host once all are done or none can go on.
static inline Fiber* next_fiber() {
    Machine& m = machine;
    for (;;) {
        while (m.cursor < m.n_threads) {
            Fiber& fiber = m.fibers[m.turn[m.cursor++]];
            if (fiber.state == kReady) {
                m.progress = true;
                return &fiber;
            }
        }
        if (m.n_done == m.n_threads || !m.progress) return &m.host;
        m.progress = false;
        m.cursor = 0;
        if (m.order >= 2) shuffle_turns();
    }
}

static Place* new_stack();

static inline void go_to(Place* from, Fiber* next) {
    Machine& m = machine;
    m.current = next;
    if (!next->stack) next->stack = m.n_free ? m.free_stacks[--m.n_free] : new_stack();
#if defined(EMULATOR_ASSEMBLY_SWITCH)
    emulator_switch(from, *next->stack);
#else
    swapcontext(from, next->stack);
#endif
}

static inline void switch_to(Fiber* next) {
    Fiber* self = machine.current;
    if (next == self) return;
    go_to(self->stack, next);
}

static inline void wait() { switch_to(next_fiber()); }

// Ends the launch: the host reports `machine.error`, and every stack is thrown away.
static inline void give_up() {
    switch_to(&machine.host);
    abort();
}

static inline void release_barrier() {
    Machine& m = machine;
    m.barrier_votes = (int)m.votes;
    m.n_at_barrier = m.votes = 0;
    m.barrier = nullptr;
    m.n_barriers++;
    for (unsigned i = 0; i < m.n_threads; i++)
        if (m.fibers[i].state == kAtBlockBarrier) m.fibers[i].state = kReady;
}

static inline Word no_result(const Fiber*, unsigned) { return 0; }
static inline Word shuffled(const Fiber*, unsigned) { return 0; }

// Ends a warp operation if every lane of the mask that still runs has come. True if it did.
static inline bool release_warp(Fiber& arrived) {
    Machine& m = machine;
    const unsigned warp = arrived.warp, mask = arrived.mask, expected = mask & ~m.gone[warp];
    if (expected & ~m.waiting[warp]) return false;
    Fiber* lanes = &m.fibers[warp * kLanes];
    for (unsigned rest = expected; rest; rest &= rest - 1) {
        const Fiber& lane = lanes[__builtin_ctz(rest)];
        if (lane.mask != mask) return false;
        if (lane.operation != arrived.operation) {
            snprintf(m.error, sizeof m.error,
                     "lanes %u and %u of warp %u meet in different warp operations (mask 0x%08x)", lane.lane,
                     arrived.lane, warp, mask);
            give_up();
        }
    }
    const Word combined = arrived.operation ? arrived.operation(lanes, expected) : 0;
    Word result[kLanes];
    for (unsigned rest = expected; rest; rest &= rest - 1) {
        const unsigned i = __builtin_ctz(rest);
        const unsigned source = lanes[i].source;
        // A lane outside the mask gives no defined value.
        if (source < kLanes)
            result[i] = expected >> source & 1 ? lanes[source].value : 0xCDCDCDCDCDCDCDCDull;
        else
            result[i] = combined;
    }
    for (unsigned rest = expected; rest; rest &= rest - 1) {
        const unsigned i = __builtin_ctz(rest);
        lanes[i].result = result[i];
        lanes[i].state = kReady;
    }
    m.waiting[warp] &= ~expected;
    if (!(~m.gone[warp] & ~expected)) {
        m.n_meetings[warp]++;
        m.n_syncs[warp] += arrived.operation == no_result;
    }
    return true;
}

static inline void leave(Fiber& self) {
    Machine& m = machine;
    self.state = kDone;
    m.n_done++;
    m.gone[self.warp] |= 1u << self.lane;
    // Threads that returned are not waited for, so a return can complete what others wait in.
    if (m.n_at_barrier && m.n_at_barrier + m.n_done == m.n_threads) release_barrier();
    for (unsigned rest = m.waiting[self.warp]; rest; rest &= rest - 1)
        if (release_warp(m.fibers[self.warp * kLanes + __builtin_ctz(rest)])) break;
}

// Where every stack begins. It stays in the loop, ready for the next fiber, block and launch.
static void run_fibers() {
    Machine& m = machine;
    for (;;) {
        m.body(m.arguments);
        Fiber& self = *m.current;
        leave(self);
        Place* stack = self.stack;
        self.stack = nullptr;
        Fiber* next = next_fiber();
        if (next->stack) {
            m.free_stacks[m.n_free++] = stack;
            go_to(stack, next);
        } else {
            next->stack = stack;
            m.current = next;
        }
    }
}

static Place* new_stack() {
    const unsigned i = machine.n_stacks++;
    Place* place = &machine.places[i];
    char* bottom = machine.stacks + i * kStackStride;
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(bottom, kStackBytes);
#endif
#if defined(EMULATOR_ASSEMBLY_SWITCH)
    void** top = (void**)((uintptr_t)(bottom + kStackBytes) & ~(uintptr_t)15);
    *--top = nullptr;  // where a return address would be: the alignment that a called function expects
    *--top = (void*)&run_fibers;
    for (int saved = 0; saved < 6; saved++) *--top = nullptr;
    *place = top;
#else
    getcontext(place);
    place->uc_stack.ss_sp = bottom;
    place->uc_stack.ss_size = kStackBytes;
    place->uc_link = nullptr;
    makecontext(place, run_fibers, 0);
#endif
    return place;
}

// ---- Launch ---------------------------------------------------------------------------------------------------------

static inline void poison(char* begin, size_t bytes) {
#if defined(__x86_64__)
    // Not memset: AddressSanitizer puts red zones between the variables, and would object to its own.
    asm volatile("rep stosb" : "+D"(begin), "+c"(bytes) : "a"(kPoison) : "memory");
#else
    volatile char* at = begin;
    while (bytes--) *at++ = (char)kPoison;
#endif
}

static inline bool deadlocked() {
    Machine& m = machine;
    unsigned in_warp = 0;
    const Fiber *barrier_thread = nullptr, *warp_thread = nullptr;
    for (unsigned i = 0; i < m.n_threads; i++) {
        const Fiber& fiber = m.fibers[i];
        if (fiber.state == kAtBlockBarrier && !barrier_thread) barrier_thread = &fiber;
        if (fiber.state == kInWarpOperation) {
            in_warp++;
            if (!warp_thread) warp_thread = &fiber;
        }
    }
    int n = snprintf(m.error, sizeof m.error, "deadlock: of %u threads, %u returned", m.n_threads, m.n_done);
    if (barrier_thread)
        n += snprintf(m.error + n, sizeof m.error - n, ", %u wait at %s (the first: %u)", m.n_at_barrier, m.barrier,
                      (unsigned)(barrier_thread - m.fibers));
    if (warp_thread)
        snprintf(m.error + n, sizeof m.error - n, ", %u wait in warp operations (the first: %u, mask 0x%08x)", in_warp,
                 (unsigned)(warp_thread - m.fibers), warp_thread->mask);
    return false;
}

static inline bool run_block() {
    Machine& m = machine;
    m.n_done = m.cursor = m.n_at_barrier = m.votes = 0;
    m.barrier = nullptr;
    m.progress = false;
    m.n_blocks_run++;
    for (unsigned warp = 0; warp * kLanes < m.n_threads; warp++) {
        const unsigned lanes = m.n_threads - warp * kLanes;
        m.gone[warp] = lanes < kLanes ? ~0u << lanes : 0;
        m.waiting[warp] = 0;
    }
    for (unsigned i = 0; i < m.n_threads; i++) {
        m.fibers[i].state = kReady;
        m.fibers[i].stack = nullptr;
    }
    if (m.order >= 2) shuffle_turns();
    m.host.stack = &m.host_place;
    m.current = &m.host;
    wait();
    if (m.error[0]) return false;
    return m.n_done == m.n_threads || deadlocked();
}

static inline size_t common_divisor(size_t a, size_t b) {
    while (b) std::swap(a %= b, b);
    return a;
}

#if defined(EMULATOR_RACES)
static void forget_accesses();
#else
static inline void forget_accesses() {}
#endif

// Returns null, or what went wrong.
static inline const char* launch(const unsigned* grid, const unsigned* block, size_t shared_bytes, unsigned order,
                                 void (*body)(void**), void** arguments) {
    Machine& m = machine;
    if (!m.stacks) {
        void* stacks = mmap(nullptr, kMaxThreads * kStackStride, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (stacks == MAP_FAILED) return "no memory for the stacks of the fibers";
        m.stacks = (char*)stacks;
    }
    m.n_threads = block[0] * block[1] * block[2];
    m.grid = {grid[0], grid[1], grid[2]};
    m.block = {block[0], block[1], block[2]};
    m.order = order;
    m.in_atomic = false;
    forget_accesses();
    m.random = 0x9E3779B97F4A7C15ull * (order + 1);
    m.body = body;
    m.arguments = arguments;
    m.error[0] = 0;
    for (unsigned i = 0; i < m.n_threads; i++) {
        m.fibers[i].lane = i % kLanes;
        m.fibers[i].warp = i / kLanes;
        m.fibers[i].thread = {i % block[0], i / block[0] % block[1], i / block[0] / block[1]};
        m.turn[i] = (unsigned short)(order == 1 ? m.n_threads - 1 - i : i);
    }
    char* shared = (char*)malloc(shared_bytes + kSharedGuardBytes);  // glibc aligns to 16
    if (!shared) return "no memory for dynamic shared memory";
    m.dynamic_shared = shared;
    const size_t n_blocks = (size_t)grid[0] * grid[1] * grid[2];
    size_t stride = 1, at = 0;
    if (order == 1) {
        stride = n_blocks - 1;
        at = n_blocks - 1;
    } else if (order >= 2) {
        stride = next_random() % n_blocks;
        while (common_divisor(n_blocks, stride) != 1) stride = (stride + 1) % n_blocks;
        at = next_random() % n_blocks;
    }
    for (size_t n = 0; n < n_blocks && !m.error[0]; n++, at = (at + stride) % n_blocks) {
        m.block_index = {(unsigned)(at % grid[0]), (unsigned)(at / grid[0] % grid[1]),
                         (unsigned)(at / grid[0] / grid[1])};
        if (__start_emulated_shared) poison(__start_emulated_shared, __stop_emulated_shared - __start_emulated_shared);
        poison(shared, shared_bytes + kSharedGuardBytes);
        if (!run_block()) {
            m.n_stacks = m.n_free = 0;  // some fibers stand in the middle of the kernel
            break;
        }
        for (size_t i = 0; i < kSharedGuardBytes; i++)
            if ((unsigned char)shared[shared_bytes + i] != kPoison)
                snprintf(m.error, sizeof m.error,
                         "byte %zu of dynamic shared memory was written; the launch asked for %zu", shared_bytes + i,
                         shared_bytes);
    }
    free(shared);
    if (!m.error[0]) return nullptr;
    const size_t used = strlen(m.error);
    snprintf(m.error + used, sizeof m.error - used, "; block (%u, %u, %u), order %u", m.block_index.x, m.block_index.y,
             m.block_index.z, order);
    return m.error;
}

template <auto kernel, class... Parameters, size_t... I>
inline void call(void (*)(Parameters...), void** arguments, std::index_sequence<I...>) {
    kernel(*static_cast<Parameters*>(arguments[I])...);
}

template <auto kernel, class... Parameters>
inline void call_unpacked(void (*type)(Parameters...), void** arguments) {
    call<kernel>(type, arguments, std::index_sequence_for<Parameters...>{});
}

// One per kernel: the entry point that `emulator.py` calls. Arguments come as for cuLaunchKernel, an address each.
#define EMULATOR_ENTRY(name)                                                                                         \
    extern "C" __attribute__((visibility("default"))) const char* launch_##name(                                     \
        const unsigned* grid, const unsigned* block, size_t shared_bytes, unsigned order, void** arguments) {        \
        return emulator::launch(                                                                                     \
            grid, block, shared_bytes, order, [](void** a) { emulator::call_unpacked<&name>(&name, a); }, arguments); \
    }

// ---- Barriers and warp operations -----------------------------------------------------------------------------------

static inline int block_barrier(const char* which, bool vote) {
    Machine& m = machine;
    if (m.barrier && m.barrier != which) {
        snprintf(m.error, sizeof m.error, "%s and %s meet", m.barrier, which);
        give_up();
    }
    m.barrier = which;
    m.votes += vote;
    m.current->state = kAtBlockBarrier;
    if (++m.n_at_barrier + m.n_done == m.n_threads)
        release_barrier();
    else
        wait();
    return m.barrier_votes;
}

static inline Word warp_operation(unsigned mask, Word value, unsigned source, Combine* operation) {
    Machine& m = machine;
    Fiber& self = *m.current;
    if (!(mask >> self.lane & 1)) {
        snprintf(m.error, sizeof m.error, "lane %u of warp %u is not in its own mask 0x%08x", self.lane, self.warp,
                 mask);
        give_up();
    }
    self.mask = mask;
    self.value = value;
    self.source = source;
    self.operation = operation;
    self.state = kInWarpOperation;
    m.waiting[self.warp] |= 1u << self.lane;
    if (!release_warp(self)) wait();
    return self.result;
}

// Before an atomic any other thread may have its turn.
static inline void maybe_set_aside() {
    if (machine.order >= 2 && (next_random() & 3) == 0) wait();
}

// While one of these lives, accesses are those of an atomic. The compiler believes that nobody reads the flag meanwhile.
struct Atomic {
    Atomic() { set(true); }
    ~Atomic() { set(false); }
    static void set(bool inside) { *(volatile bool*)&machine.in_atomic = inside; }
};

template <class T>
inline Word to_word(T value) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "warp operations take 32 and 64 bits");
    Word word = 0;
    memcpy(&word, &value, sizeof value);
    return word;
}

template <class T>
inline T from_word(Word word) {
    T value;
    memcpy(&value, &word, sizeof value);
    return value;
}

static inline unsigned segment(unsigned lane, int width) { return lane & ~((unsigned)width - 1); }

template <class T>
inline T shuffle(unsigned mask, T value, unsigned source, int width) {
    if (width < 1 || width > 32 || (width & (width - 1))) {
        snprintf(machine.error, sizeof machine.error, "shuffle width %d is no power of two up to 32", width);
        give_up();
    }
    return from_word<T>(warp_operation(mask, to_word(value), source, shuffled));
}

template <class T, class Operation>
inline T reduce(unsigned mask, T value, Operation) {
    Combine* all = [](const Fiber* lanes, unsigned present) {
        T sum = from_word<T>(lanes[__builtin_ctz(present)].value);
        for (unsigned rest = present & (present - 1); rest; rest &= rest - 1)
            sum = Operation::apply(sum, from_word<T>(lanes[__builtin_ctz(rest)].value));
        return to_word(sum);
    };
    return from_word<T>(warp_operation(mask, to_word(value), kLanes, all));
}

static inline Word ballot(const Fiber* lanes, unsigned mask) {
    Word votes = 0;
    for (unsigned rest = mask; rest; rest &= rest - 1)
        if (lanes[__builtin_ctz(rest)].value) votes |= rest & -rest;
    return votes;
}

struct Sum {
    template <class T>
    static T apply(T a, T b) { return (T)((unsigned)a + (unsigned)b); }
};
struct Least {
    template <class T>
    static T apply(T a, T b) { return b < a ? b : a; }
};
struct Greatest {
    template <class T>
    static T apply(T a, T b) { return a < b ? b : a; }
};
struct Or {
    template <class T>
    static T apply(T a, T b) { return a | b; }
};
struct And {
    template <class T>
    static T apply(T a, T b) { return a & b; }
};

template <class T>
struct Same {
    typedef T type;
};

}  // namespace emulator

#define threadIdx (emulator::machine.current->thread)
#define blockIdx (emulator::machine.block_index)
#define blockDim (emulator::machine.block)
#define gridDim (emulator::machine.grid)

static inline void __syncthreads() { emulator::block_barrier("__syncthreads", false); }
static inline int __syncthreads_count(int vote) { return emulator::block_barrier("__syncthreads_count", vote != 0); }
static inline int __syncthreads_or(int vote) { return emulator::block_barrier("__syncthreads_or", vote != 0) != 0; }
static inline int __syncthreads_and(int vote) { return emulator::block_barrier("__syncthreads_and", vote == 0) == 0; }
static inline void __threadfence() {}
static inline void __threadfence_block() {}

static inline void __syncwarp(unsigned mask = 0xffffffffu) {
    emulator::warp_operation(mask, 0, emulator::kLanes, emulator::no_result);
}

template <class T>
static inline T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
    const unsigned lane = emulator::machine.current->lane;
    return emulator::shuffle(mask, value, emulator::segment(lane, width) + (source & (width - 1)), width);
}

template <class T>
static inline T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
    const unsigned lane = emulator::machine.current->lane, begin = emulator::segment(lane, width);
    return emulator::shuffle(mask, value, lane >= begin + delta ? lane - delta : lane, width);
}

template <class T>
static inline T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
    const unsigned lane = emulator::machine.current->lane, end = emulator::segment(lane, width) + width;
    return emulator::shuffle(mask, value, lane + delta < end ? lane + delta : lane, width);
}

template <class T>
static inline T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32) {
    const unsigned lane = emulator::machine.current->lane, end = emulator::segment(lane, width) + width;
    const unsigned source = lane ^ (unsigned)bits;
    return emulator::shuffle(mask, value, source < end ? source : lane, width);
}

static inline unsigned __ballot_sync(unsigned mask, int vote) {
    return (unsigned)emulator::warp_operation(mask, vote != 0, emulator::kLanes, emulator::ballot);
}
static inline int __any_sync(unsigned mask, int vote) { return __ballot_sync(mask, vote) != 0; }
static inline int __all_sync(unsigned mask, int vote) { return __ballot_sync(mask, !vote) == 0; }

#define EMULATOR_REDUCTION(name, type, operation) \
    static inline type name(unsigned mask, type v) { return emulator::reduce(mask, v, emulator::operation()); }
EMULATOR_REDUCTION(__reduce_add_sync, unsigned, Sum)
EMULATOR_REDUCTION(__reduce_add_sync, int, Sum)
EMULATOR_REDUCTION(__reduce_min_sync, unsigned, Least)
EMULATOR_REDUCTION(__reduce_min_sync, int, Least)
EMULATOR_REDUCTION(__reduce_max_sync, unsigned, Greatest)
EMULATOR_REDUCTION(__reduce_max_sync, int, Greatest)
EMULATOR_REDUCTION(__reduce_or_sync, unsigned, Or)
EMULATOR_REDUCTION(__reduce_and_sync, unsigned, And)

#if defined(EMULATOR_RACES)
// ---- Races ----------------------------------------------------------------------------------------------------------

// `g++ -fsanitize=thread` calls the functions below at every access. The sanitizer's own library, which would watch the
// threads of the host, is not linked.
#define EMULATOR_UNWATCHED __attribute__((no_sanitize_thread))

namespace emulator {

struct Access {
    unsigned n_blocks_run, n_barriers, n_syncs, n_meetings;
    unsigned short thread;
    unsigned char bytes;  // which of the four
    bool atomic;
};

struct Watched {  // four bytes of memory, and who touched them last
    uintptr_t address;
    Access writes[2], reads[2];
};

constexpr size_t kMostWatched = 1 << 22;
static Watched* watched;
static size_t n_watched;

static void forget_accesses() {
    free(watched);
    watched = nullptr;
    n_watched = 0;
}

EMULATOR_UNWATCHED static inline bool are_apart(const Access& before, const Access& now, bool was_read) {
    if (before.n_blocks_run != now.n_blocks_run || before.thread == now.thread || !(before.bytes & now.bytes))
        return true;
    if (before.n_barriers != now.n_barriers) return true;
    if (before.thread / kLanes != now.thread / kLanes) return false;
    return before.n_syncs != now.n_syncs || (was_read && before.n_meetings != now.n_meetings);
}

EMULATOR_UNWATCHED static inline void remember(Access (&list)[2], const Access& now) {
    if (list[0].thread != now.thread || list[0].bytes != now.bytes) list[1] = list[0];
    list[0] = now;
}

EMULATOR_UNWATCHED static void watch(uintptr_t address, unsigned char bytes, bool is_write, const void* caller) {
    Machine& m = machine;
    if (!watched) watched = (Watched*)calloc(kMostWatched, sizeof *watched);  // touched only where it is used
    if (!watched) {
        snprintf(m.error, sizeof m.error, "no memory to watch for races");
        give_up();
    }
    size_t at = address / 4 * 0x9E3779B97F4A7C15ull >> 42;
    while (watched[at].address && watched[at].address != address) at = (at + 1) % kMostWatched;
    if (!watched[at].address && ++n_watched == kMostWatched - 1) {
        snprintf(m.error, sizeof m.error, "more memory is touched than can be watched for races");
        give_up();
    }
    Watched& word = watched[at];
    word.address = address;
    const unsigned warp = m.current->warp;
    const unsigned short thread = (unsigned short)(m.current - m.fibers);
    const Access now = {m.n_blocks_run, m.n_barriers, m.n_syncs[warp], m.n_meetings[warp], thread, bytes, m.in_atomic};
    for (const bool was_read : {false, true}) {
        if (was_read && !is_write) continue;
        for (const Access& before : was_read ? word.reads : word.writes) {
            if ((before.atomic && now.atomic) || are_apart(before, now, was_read)) continue;
            snprintf(m.error, sizeof m.error,
                     "race: thread %u %s what thread %u %s, with no barrier between (code at 0x%zx)", now.thread,
                     is_write ? "writes" : "reads", before.thread, was_read ? "read" : "wrote",
                     (size_t)((const char*)caller - &__ehdr_start));
            give_up();
        }
    }
    remember(is_write ? word.writes : word.reads, now);
}

EMULATOR_UNWATCHED static void touch(const void* memory, size_t size, bool is_write, const void* caller) {
    const Machine& m = machine;
    const char* begin = (const char*)memory;
    // The emulator's own, and variables of one thread.
    if (m.current == &m.host || !m.current || (begin >= (const char*)&m && begin < (const char*)(&m + 1))) return;
    if (begin >= m.stacks && begin < m.stacks + kMaxThreads * kStackStride) return;
    const uintptr_t first = (uintptr_t)memory, stop = first + size;
    for (uintptr_t word = first & ~(uintptr_t)3; word < stop; word += 4) {
        unsigned char bytes = 15;
        if (word < first) bytes &= 15 << (first - word);
        if (word + 4 > stop) bytes &= 15 >> (word + 4 - stop);
        watch(word, bytes, is_write, caller);
    }
}

}  // namespace emulator

extern "C" {
#define EMULATOR_ACCESS(name, size, is_write) \
    EMULATOR_UNWATCHED void name(void* p) { emulator::touch(p, size, is_write, __builtin_return_address(0)); }
EMULATOR_ACCESS(__tsan_read1, 1, false)
EMULATOR_ACCESS(__tsan_read2, 2, false)
EMULATOR_ACCESS(__tsan_read4, 4, false)
EMULATOR_ACCESS(__tsan_read8, 8, false)
EMULATOR_ACCESS(__tsan_read16, 16, false)
EMULATOR_ACCESS(__tsan_unaligned_read2, 2, false)
EMULATOR_ACCESS(__tsan_unaligned_read4, 4, false)
EMULATOR_ACCESS(__tsan_unaligned_read8, 8, false)
EMULATOR_ACCESS(__tsan_unaligned_read16, 16, false)
EMULATOR_ACCESS(__tsan_write1, 1, true)
EMULATOR_ACCESS(__tsan_write2, 2, true)
EMULATOR_ACCESS(__tsan_write4, 4, true)
EMULATOR_ACCESS(__tsan_write8, 8, true)
EMULATOR_ACCESS(__tsan_write16, 16, true)
EMULATOR_ACCESS(__tsan_unaligned_write2, 2, true)
EMULATOR_ACCESS(__tsan_unaligned_write4, 4, true)
EMULATOR_ACCESS(__tsan_unaligned_write8, 8, true)
EMULATOR_ACCESS(__tsan_unaligned_write16, 16, true)
EMULATOR_UNWATCHED void __tsan_read_range(void* p, size_t n) {
    emulator::touch(p, n, false, __builtin_return_address(0));
}
EMULATOR_UNWATCHED void __tsan_write_range(void* p, size_t n) {
    emulator::touch(p, n, true, __builtin_return_address(0));
}
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
}
#endif

// ---- Integers and memory --------------------------------------------------------------------------------------------

static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
static inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
static inline int __clzll(long long x) { return x ? __builtin_clzll((unsigned long long)x) : 64; }
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline int __ffsll(long long x) { return __builtin_ffsll(x); }
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}
static inline long long __mul64hi(long long a, long long b) { return (long long)((__int128)a * b >> 64); }
static inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((unsigned long long)a * b >> 32); }

template <class A, class B>
static inline std::common_type_t<A, B> min(A a, B b) {
    const std::common_type_t<A, B> x = a, y = b;
    return y < x ? y : x;
}
template <class A, class B>
static inline std::common_type_t<A, B> max(A a, B b) {
    const std::common_type_t<A, B> x = a, y = b;
    return x < y ? y : x;
}

// Hints about caches change nothing here.
template <class T>
static inline T __ldg(const T* p) { return *p; }
template <class T>
static inline T __ldcs(const T* p) { return *p; }
template <class T>
static inline T __ldcg(const T* p) { return *p; }
template <class T>
static inline void __stcs(T* p, T value) { *p = value; }
template <class T>
static inline void __stcg(T* p, T value) { *p = value; }

#define EMULATOR_ATOMIC(name, new_value)                                  \
    template <class T>                                                    \
    static inline T name(T* p, typename emulator::Same<T>::type value) {  \
        emulator::maybe_set_aside();                                      \
        emulator::Atomic atomic;                                          \
        const T old = *p;                                                 \
        *p = new_value;                                                   \
        return old;                                                       \
    }
EMULATOR_ATOMIC(atomicAdd, (T)(emulator::to_word(old) + emulator::to_word(value)))
EMULATOR_ATOMIC(atomicSub, (T)(emulator::to_word(old) - emulator::to_word(value)))
EMULATOR_ATOMIC(atomicOr, old | value)
EMULATOR_ATOMIC(atomicAnd, old & value)
EMULATOR_ATOMIC(atomicXor, old ^ value)
EMULATOR_ATOMIC(atomicMin, value < old ? value : old)
EMULATOR_ATOMIC(atomicMax, old < value ? value : old)
EMULATOR_ATOMIC(atomicExch, value)

template <class T>
static inline T atomicCAS(T* p, typename emulator::Same<T>::type expected, typename emulator::Same<T>::type value) {
    emulator::maybe_set_aside();
    emulator::Atomic atomic;
    const T old = *p;
    if (old == expected) *p = value;
    return old;
}
