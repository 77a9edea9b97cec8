// One policy on one trace per thread block: as evaluate_few.cu, for scopes window and dirty_retry, whose passes go over
// many regions. Classes are carried from pass to pass, and looked at again only where something changed.
//
// in       traces    u64[][T_FIELDS], policies u64[][P_FIELDS], jobs u64[n_jobs][J_FIELDS]; see defines.py
// out      per job, at its J_OUT, which must be zero before: counts, and sums by group of regions
//          per job, at its J_LATENCY_NS: latencies of counted episodes, in any order
// scratch  per job, at J_BIT_END_NS, J_CURSOR, J_MEMBERS and J_CODE: any content
// grid     n_jobs
//
// Bound by latency: a pass in which nothing changes is one barrier, any other a few for each blockDim.x regions.
// Follows parts/pair.cu, schedule.cu, visit.cu and run.cu in one text (kernel.py).

#define MAX_WARPS 32
enum { SOME_PRESENT = 1, SOME_CLEAN = 2, SOME_CACHED = 4 };

struct Sums {  // over a thread's positions, then over the block's
  u64 length;
  u64 next_change;
  u32 some;
};

struct Exchange {  // two of each: one is read while the other is being written, so that one barrier does
  Sums sums[2][MAX_WARPS];
  u64 length[2][MAX_WARPS];
};

// Sum over the block; all threads get it.
__device__ Sums block_sums(Sums mine, Exchange& exchange, int turn) {
  for (int distance = 16; distance; distance >>= 1) {
    mine.length += __shfl_xor_sync(FULL, mine.length, distance);
    mine.next_change = sooner(mine.next_change, __shfl_xor_sync(FULL, mine.next_change, distance));
  }
  mine.some = __reduce_or_sync(FULL, mine.some);
  if ((threadIdx.x & 31) == 0) exchange.sums[turn][threadIdx.x >> 5] = mine;
  __syncthreads();
  Sums all = {0, FOREVER, 0};
  for (u32 warp = 0; warp < blockDim.x >> 5; warp++) {
    Sums other = exchange.sums[turn][warp];
    all.length += other.length;
    all.next_change = sooner(all.next_change, other.next_change);
    all.some |= other.some;
  }
  return all;
}

// Sum over the threads up to this one; *total over all of them.
__device__ u64 block_scan(u64 value, u64* total, Exchange& exchange, int turn) {
  int lane = threadIdx.x & 31, own = threadIdx.x >> 5;
  for (int distance = 1; distance < 32; distance <<= 1) {
    u64 below = __shfl_up_sync(FULL, value, distance);
    if (lane >= distance) value += below;
  }
  if (lane == 31) exchange.length[turn][own] = value;
  __syncthreads();
  *total = 0;
  for (int warp = 0; warp < static_cast<int>(blockDim.x >> 5); warp++) {
    u64 length = exchange.length[turn][warp];
    if (warp < own) value += length;
    *total += length;
  }
  return value;
}

// n passes over a position that carried this class, each with the outcome that the class foretells.
__device__ __forceinline__ void count_carried(Tally& tally, const Pair& pair, int code, int position, i64 n) {
  if (code == ABSENT || !n) return;
  count_class(tally, pair, code, group_of(pair, position), n);
  if (code < CLEAN) tally.failed += n;
  if (is_early(code)) tally.early += n;
  if (code == CACHED) tally.cached += n;
}

__device__ __forceinline__ bool is_member(const u32* members, int position) {
  return members[position >> 5] >> (position & 31) & 1;
}

// Bring a thread's positions up to date. A class counts the passes between its coming (-) and its going (+).
__device__ Sums refresh(Tally& tally, const Pair& pair, bool retry, u64 start, i64 n_counted) {
  u16* codes = FIELD(pair.job, J_CODE, u16*);
  const int* cursor = FIELD(pair.job, J_CURSOR, const int*);
  const i64* class_ns = FIELD(pair.trace, T_CLASS_NS, const i64*);
  const u32* members = FIELD(pair.job, J_MEMBERS, const u32*);
  int n = pair.trace[T_N_POSITIONS];
  Sums mine = {0, FOREVER, 0};
  for (int p = threadIdx.x; p < n; p += blockDim.x) {
    int code = ABSENT, before = codes[p];
    if (!retry || is_member(members, p)) {
      code = class_at(pair, p, start);
      mine.next_change = sooner(mine.next_change, class_ns[cursor[p] + 1]);
    }
    if (code != before) {
      count_carried(tally, pair, before, p, n_counted);
      count_carried(tally, pair, code, p, -n_counted);
      codes[p] = code;
    }
    if (code != ABSENT) {
      mine.length += attempt_ns(pair, code, group_of(pair, p));
      mine.some |= SOME_PRESENT | (code == CLEAN ? SOME_CLEAN : 0) | (code == CACHED ? SOME_CACHED : 0);
    }
  }
  return mine;
}

extern "C" __global__ void __launch_bounds__(THREADS_WINDOW, 4)
evaluate_window(const u64* traces, const u64* policies, const u64* jobs) {
  __shared__ Exchange exchange;
  __shared__ Counts counts;
  Pair pair = pair_of(traces, policies, jobs);
  u16* codes = FIELD(pair.job, J_CODE, u16*);
  u32* members = FIELD(pair.job, J_MEMBERS, u32*);
  int n = pair.trace[T_N_POSITIONS];
  bool retry = pair.policy[P_SCOPE] == SCOPE_DIRTY_RETRY;
  for (int p = threadIdx.x; p < n; p += blockDim.x) codes[p] = ABSENT;
  clear_scratch(pair);
  Schedule s = begin_schedule();
  Tally tally = {};
  if (threadIdx.x == 0) counts = {};
  Sums mine = {0, FOREVER, 0};
  bool stale = true;  // this thread's positions, since the last refresh
  u64 last_epoch = FOREVER, start;
  i64 clearing = 0, n_counted = 0;
  int pass, turn = 0;
  while ((pass = next_pass(s, counts, pair, &start)) != NO_PASS) {
    bool counted = start >= pair.trace[T_WARMUP_NS];
    Epoch epoch = epoch_at(pair, start);
    s.started = s.free_at = start;
    if (!epoch.end) {
      if (threadIdx.x == 0) counts.skipped += counted;
      continue;
    }
    if (retry) {
      i64 before = clearing;
      clearing = include_clearings(pair, clearing, start);
      stale |= clearing != before;
    }
    if (stale || epoch.begin != last_epoch || mine.next_change <= start) {
      mine = refresh(tally, pair, retry, start, n_counted);
      stale = false;
    }
    last_epoch = epoch.begin;
    bool of_all = retry && pass == BOOT_PASS;  // a boot pass asks nobody whether a region is dirty
    Sums all = block_sums(mine, exchange, turn);
    turn ^= 1;
    u64 end = start + all.length;
    bool any = all.some & SOME_PRESENT;
    if (!of_all) n_counted += counted && any;
    // If no class is clean and no state changes until the end, the classes foretell every outcome.
    bool foretold = !(all.some & SOME_CLEAN) && all.next_change > end && end < epoch.end && !(retry && all.some & SOME_CACHED);
    if (of_all || (any && !foretold)) {
      u64 at = start;
      any = false;
      for (int first = 0; first < n; first += blockDim.x) {
        int p = first + threadIdx.x, code = ABSENT, group = 0;
        u64 length = 0, total;
        if (p < n) code = of_all ? class_at(pair, p, start) : codes[p];
        if (code != ABSENT) {
          group = group_of(pair, p);
          length = attempt_ns(pair, code, group);
        }
        u64 sum = block_scan(length, &total, exchange, turn);
        turn ^= 1;
        if (code != ABSENT) {
          any = true;
          if (counted && of_all) count_class(tally, pair, code, group, 1);
          if (counted && !of_all) {  // take back what the class alone counts
            tally.failed -= code < CLEAN;
            tally.early -= is_early(code);
            tally.cached -= code == CACHED;
          }
          int outcome = settle(tally, pair, p, code, at + sum - length, at + sum, epoch, counted);
          stale |= outcome == NEW;
          if (retry && outcome != FAILED && is_member(members, p)) {
            atomicAnd(&members[p >> 5], ~(1u << (p & 31)));
            stale = true;
          }
        }
        at += total;
      }
      any = __syncthreads_or(any);
      end = at;
    }
    if (!any) {
      if (threadIdx.x == 0) counts.empty += counted;
      continue;
    }
    if (counted) count_pass(counts, pair, start, end);
    s.free_at = end;
  }
  for (int p = threadIdx.x; p < n; p += blockDim.x) count_carried(tally, pair, codes[p], p, n_counted);
  finish(tally, counts, pair);
}
