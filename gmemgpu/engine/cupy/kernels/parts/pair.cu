// One (trace, policy) pair: its rows in the tables, the state of one run, searches in sorted times. See evaluate_few.cu.

typedef unsigned long long u64;
typedef long long i64;
typedef unsigned int u32;
typedef unsigned short u16;

#define FULL 0xffffffffu
#define CODE_MASK (GMEM_FLAG - 1)
#define TIME_SHIFT 31
#define LIMB_SHIFT 20
#define MASK(bits) ((1ll << (bits)) - 1)
#define FIELD(row, name, type) (reinterpret_cast<type>((row)[name]))

enum Pass { NO_PASS, TIMER_PASS, BOOT_PASS };
enum Outcome { FAILED, FOUND_SET, NEW, WASTED };

struct Pair {
  const u64* trace;
  const u64* policy;
  const u64* job;
  i64* out;
};

struct Epoch {  // a time with SNP on; end 0: it is off
  u64 begin, end;
};

struct Tally {  // what one thread counted; of the classes, for one group of regions at a time
  i64 failed, cached, early;
  int group;
  i64 of_fail, of_blocks, of_clean, of_cached;
};

struct Schedule {
  i64 next;           // the next request
  i64 first, stop;    // requests of the pass that starts
  i64 armed_by;       // the request that set the pending timer
  int boot;           // the next boot pass
  bool armed;
  u64 due;
  u64 tick;
  u64 started, free_at;  // the running, or else last, pass
};

struct Counts {  // in shared memory, kept by thread 0: all threads would count alike, and registers are dear
  i64 lost, passes, empty, skipped, hazard, wall, longest;
};

__device__ __forceinline__ void add(i64* where, i64 what) {
  if (what) atomicAdd(reinterpret_cast<u64*>(where), static_cast<u64>(what));
}

__device__ __forceinline__ u64 later(u64 a, u64 b) { return a < b ? b : a; }
__device__ __forceinline__ u64 sooner(u64 a, u64 b) { return a < b ? a : b; }

// First index from i on, n if none, whose time is later than t. The answer is usually near: strides double.
__device__ i64 after(const i64* times, i64 i, i64 n, u64 t) {
  if (i >= n || static_cast<u64>(times[i]) > t) return i;
  i64 low = i, stride = 1;
  while (low + stride < n && static_cast<u64>(times[low + stride]) <= t) {
    low += stride;
    stride <<= 1;
  }
  i64 high = low + stride < n ? low + stride : n;
  while (high - low > 1) {
    i64 middle = (low + high) >> 1;
    if (static_cast<u64>(times[middle]) <= t) low = middle; else high = middle;
  }
  return high;
}

__device__ Epoch epoch_at(const Pair& pair, u64 t) {
  const i64* epochs = FIELD(pair.trace, T_EPOCHS, const i64*);
  for (u64 i = 0; i < pair.trace[T_N_EPOCHS]; i++) {
    u64 begin = epochs[2 * i], end = epochs[2 * i + 1];
    if (begin <= t && t < end) return {begin, end};
  }
  return {0, 0};
}

__device__ bool inside_shutdown(const Pair& pair, u64 start, u64 end) {
  const i64* shutdowns = FIELD(pair.trace, T_SHUTDOWNS, const i64*);
  for (u64 i = 0; i < pair.trace[T_N_SHUTDOWNS]; i++) {
    u64 begin = shutdowns[2 * i], over = shutdowns[2 * i + 1];
    if ((begin <= start && start < over) || (start < begin && begin < end)) return true;
  }
  return false;
}
