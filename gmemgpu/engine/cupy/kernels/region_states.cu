// From the states after each piece to what policies read: class rows, rows of used pages with their integral, falls.
//
// One warp a region, 32 pieces at a time. Of several pieces at one instant only the last counts, and of those only what
// changes the class (first block, G > 0, E > 0) or the number of used pages. Run twice: to count, then to write.
//
// in       traces  u64[][T_FIELDS], see defines.py
//          jobs    i64[n_jobs][2]: trace, region
//          write   0: fill T_COUNTS; 1: fill what the offsets made of them give room for
// out      T_COUNTS i64[n_regions][3]; or T_CLASS_*, T_USED_*, T_FALL_*, every element written
// grid     ceil(n_jobs / warps in a thread block)
//
// Deterministic, no atomics. Memory-bound: reads some 26 bytes a piece.

typedef unsigned long long u64;
typedef long long i64;
typedef unsigned int u32;
typedef unsigned short u16;

#define FULL 0xffffffffu
#define LIMB_SHIFT 20
#define FIELD(row, name, type) (reinterpret_cast<type>((row)[name]))

struct State {
  int code;  // class code and GMEM_FLAG
  int used;
};

__device__ __forceinline__ State state_of(const u64* trace, i64 piece) {
  int first = FIELD(trace, T_STATE_FIRST, const short*)[piece];
  int used = FIELD(trace, T_STATE_USED, const int*)[piece];
  if (first < 0) return {CLEAN, used};
  int code = first;
  if (FIELD(trace, T_STATE_EVICTING, const int*)[piece]) code |= FAIL_EARLY;
  if (FIELD(trace, T_STATE_GMEM, const int*)[piece]) code |= GMEM_FLAG;
  return {code, used};
}

extern "C" __global__ void __launch_bounds__(THREADS_STATES)
region_states(const u64* traces, const i64* jobs, int n_jobs, int write) {
  int job = (blockIdx.x * blockDim.x + threadIdx.x) >> 5, lane = threadIdx.x & 31;
  if (job >= n_jobs) return;
  const u64* trace = traces + jobs[2 * job] * T_FIELDS;
  i64 region = jobs[2 * job + 1];
  const i64* piece_ns = FIELD(trace, T_PIECE_NS, const i64*);
  i64 piece = FIELD(trace, T_PIECE_OFFSET, const i64*)[region], end = FIELD(trace, T_PIECE_OFFSET, const i64*)[region + 1];
  bool covered = FIELD(trace, T_REGION_COVERED, const unsigned char*)[region];
  i64 class_row = 0, used_row = 0, fall = 0, position = 0;
  i64* class_ns = FIELD(trace, T_CLASS_NS, i64*);
  u16* class_code = FIELD(trace, T_CLASS_CODE, u16*);
  i64* used_ns = FIELD(trace, T_USED_NS, i64*);
  int* used_pages = FIELD(trace, T_USED_PAGES, int*);
  i64* used_high = FIELD(trace, T_USED_HIGH, i64*);
  i64* used_low = FIELD(trace, T_USED_LOW, i64*);
  if (write) {
    class_row = FIELD(trace, T_CLASS_OFFSET, const i64*)[region];
    used_row = FIELD(trace, T_USED_OFFSET, const i64*)[region];
    fall = FIELD(trace, T_FALL_OFFSET, const i64*)[region];
    // Positions number the covered regions; the trace lists them in ascending order.
    const int* region_of = FIELD(trace, T_REGION_OF, const int*);
    i64 low = 0, high = trace[T_N_POSITIONS];
    while (low < high) {
      i64 middle = (low + high) >> 1;
      if (region_of[middle] < region) low = middle + 1; else high = middle;
    }
    position = low;
  }
  // The first row of each list: the state after every event at time 0.
  State last = {CLEAN, 0};
  i64 low = piece, high = end;
  while (low < high) {
    i64 middle = (low + high) >> 1;
    if (piece_ns[middle] == 0) low = middle + 1; else high = middle;
  }
  if (low > piece) last = state_of(trace, low - 1);
  piece = low;
  i64 since = 0, integral_high = 0, integral_low = 0;  // of the last row of used pages
  if (write && lane == 0) {
    class_ns[class_row] = 0;
    class_code[class_row] = last.code;
    used_ns[used_row] = 0;
    used_pages[used_row] = last.used;
    used_high[used_row] = used_low[used_row] = 0;
  }
  class_row++;
  used_row++;
  u32 below = (1u << lane) - 1;
  for (; piece < end; piece += 32) {
    i64 mine = piece + lane;
    bool inside = mine < end;
    i64 t = inside ? piece_ns[mine] : 0;
    bool counts = inside && (mine + 1 == end || piece_ns[mine + 1] != t);
    State state = {0, 0};
    if (counts) state = state_of(trace, mine);
    u32 counting = __ballot_sync(FULL, counts);
    // The state before: that of the nearest lane below which counts, or of the pieces before these.
    int source = counting & below ? 31 - __clz(counting & below) : 0;
    State before = {__shfl_sync(FULL, state.code, source), __shfl_sync(FULL, state.used, source)};
    if (!(counting & below)) before = last;
    bool class_changes = counts && state.code != before.code;
    bool used_changes = counts && state.used != before.used;
    bool falls = class_changes && state.code == CLEAN && covered;
    u32 class_rows = __ballot_sync(FULL, class_changes);
    u32 used_rows = __ballot_sync(FULL, used_changes);
    u32 fall_rows = __ballot_sync(FULL, falls);
    if (write) {
      if (class_changes) {
        i64 row = class_row + __popc(class_rows & below);
        class_ns[row] = t;
        class_code[row] = state.code;
      }
      if (falls) {
        i64 row = fall + __popc(fall_rows & below);
        FIELD(trace, T_FALL_NS, i64*)[row] = t;
        FIELD(trace, T_FALL_POSITION, i64*)[row] = position;
      }
      if (used_rows) {
        int earlier = used_rows & below ? 31 - __clz(used_rows & below) : 0;
        i64 from = __shfl_sync(FULL, t, earlier);
        if (!(used_rows & below)) from = since;
        i64 high_sum = used_changes ? before.used * ((t - from) >> LIMB_SHIFT) : 0;
        i64 low_sum = used_changes ? before.used * ((t - from) & ((1 << LIMB_SHIFT) - 1)) : 0;
        for (int distance = 1; distance < 32; distance <<= 1) {
          i64 more_high = __shfl_up_sync(FULL, high_sum, distance);
          i64 more_low = __shfl_up_sync(FULL, low_sum, distance);
          if (lane >= distance) {
            high_sum += more_high;
            low_sum += more_low;
          }
        }
        if (used_changes) {
          i64 row = used_row + __popc(used_rows & below);
          used_ns[row] = t;
          used_pages[row] = state.used;
          used_high[row] = integral_high + high_sum;
          used_low[row] = integral_low + low_sum;
        }
        int newest = 31 - __clz(used_rows);
        since = __shfl_sync(FULL, t, newest);
        integral_high += __shfl_sync(FULL, high_sum, 31);
        integral_low += __shfl_sync(FULL, low_sum, 31);
      }
    }
    if (counting) {
      int newest = 31 - __clz(counting);
      last = {__shfl_sync(FULL, state.code, newest), __shfl_sync(FULL, state.used, newest)};
    }
    class_row += __popc(class_rows);
    used_row += __popc(used_rows);
    fall += __popc(fall_rows);
  }
  if (lane == 0) {
    if (write) {
      class_ns[class_row] = FOREVER;  // so that a reader may always look one row ahead
      class_code[class_row] = ABSENT;
    } else {
      i64* counts = FIELD(trace, T_COUNTS, i64*) + 3 * region;
      counts[0] = class_row + 1;
      counts[1] = used_row;
      counts[2] = fall;
    }
  }
}
