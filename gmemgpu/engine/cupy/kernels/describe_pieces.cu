// What each piece does to its region, for `region_timeline`.
//
// in    keys                          i64[n]: region << 32 | event, ascending
//       kind, pfn, npages, inode      of all events of a batch, trace after trace
//       event_at, region_at           i64[n_traces + 1]: first event and first region of each trace
//       evictions                     i64[n_evictions]: inode << 32 | event of every `evict_begin` and `evict_end`, ascending
//       region_begin                  the first region of these pieces
// out   pieces                        int4[n]: pages of the region, half open (0, 0 of an eviction); inode; OP_* of defines.py
//       needs                         i32[n_regions], zero before: NEEDS_* of defines.py, for each region
// grid  ceil(n / THREADS_PIECES)
//
// One thread a piece. Deterministic: the only atomics set bits.

typedef long long i64;

// How many of n ascending values lie before x, or at it as well.
__device__ __forceinline__ i64 place(const i64* values, i64 n, i64 x, bool right) {
  i64 low = 0, high = n;
  while (low < high) {
    i64 middle = (low + high) >> 1, value = values[middle];
    if (value < x || (right && value == x)) low = middle + 1; else high = middle;
  }
  return low;
}

extern "C" __global__ void __launch_bounds__(THREADS_PIECES)
describe_pieces(const i64* keys, i64 n, const signed char* kind, const i64* pfn, const i64* npages, const int* inode,
                const i64* event_at, const i64* region_at, int n_traces, const i64* evictions, i64 n_evictions,
                i64 region_begin, int4* pieces, int* needs) {
  i64 piece = static_cast<i64>(blockIdx.x) * THREADS_PIECES + threadIdx.x;
  if (piece >= n) return;
  i64 key = keys[piece], region = key >> 32, event = key & 0xffffffffll;
  int what = kind[event], owner = inode[event];
  i64 trace = place(region_at + 1, n_traces, region, true);
  i64 lo = pfn[event] - (region - region_at[trace]) * PAGES_PER_REGION, hi = lo + npages[event];
  if (lo < 0) lo = 0;
  if (hi > PAGES_PER_REGION) hi = PAGES_PER_REGION;
  int op = OP_CLEAR, need = 0;
  if (what == KIND_EVICT_BEGIN || what == KIND_EVICT_END) {
    op = what == KIND_EVICT_BEGIN ? OP_EVICT_BEGIN : OP_EVICT_END;
    need = NEEDS_EVICTING;
    lo = hi = 0;
  } else if (what == KIND_USE || what == KIND_UNUSE) {
    op = what == KIND_USE ? OP_USE : OP_UNUSE;
    need = NEEDS_USED;
  } else if (what == KIND_ASSIGN) {
    op = owner < 0 ? OP_ASSIGN_OTHER : OP_ASSIGN;
    i64 i = owner < 0 ? 0 : place(evictions, n_evictions, static_cast<i64>(owner) << 32 | event, false);
    if (i > 0) {
      // The last one of this inode, if it is one of this trace.
      i64 before = evictions[i - 1], then = before & 0xffffffffll;
      if (before >> 32 == owner && then >= event_at[trace] && kind[then] == KIND_EVICT_BEGIN) op = OP_ASSIGN_EVICTING;
    }
  }
  if (need) atomicOr(&needs[region - region_begin], need);
  pieces[piece] = make_int4(static_cast<int>(lo), static_cast<int>(hi), owner, op);
}
