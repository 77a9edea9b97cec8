// One policy on one trace per thread block: the whole schedule of passes, every visit, all counts (MODEL.md sections 5 to 7).
//
// evaluate_few     one warp a pair. Scopes dirty, region, vm, inode: many passes over few regions, a serial chain.
// evaluate_window  THREADS_WINDOW threads a pair. Scopes window and dirty_retry: classes are carried from pass to pass.
//
// in       traces    u64[][T_FIELDS], policies u64[][P_FIELDS], jobs u64[n_jobs][J_FIELDS]; see defines.py
// out      per job, at its J_OUT, which must be zero before: counts, and sums by group of regions
//          per job, at its J_LATENCY_NS: latencies of counted episodes, in any order
// scratch  per job, at J_BIT_END_NS, J_CURSOR, J_MEMBERS, J_LOST and (window) J_CODE: any content
// grid     n_jobs
//
// All threads follow the schedule alike, on the same numbers, so that it needs no barrier. Regions are spread over the
// threads: position p belongs to thread p % blockDim.x for the whole run, and nobody else touches its scratch.
// Costs are not multiplied here: attempts are counted by class, so that 63 bits hold whatever the costs.
// Bound by latency: a pass is a chain of dependent loads. Throughput comes from the number of blocks in flight.

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
  i64 lost;           // requests dropped, from the warm-up on
  i64 warm;           // the first request that counts
  int boot;           // the next boot pass
  bool armed;
  u64 due, last_due;
  u64 tick;
  u64 started, free_at;  // the running, or else last, pass
};

struct Counts {
  i64 passes, empty, skipped, hazard, wall, longest;
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

// ---- schedule: when passes start (MODEL.md section 5, Timer) ----

__device__ Schedule begin_schedule(const Pair& pair) {
  Schedule s = {};
  const i64* request_ns = FIELD(pair.job, J_REQUEST_NS, const i64*);
  u64 warmup = pair.trace[T_WARMUP_NS];
  s.tick = 1;
  s.warm = warmup ? after(request_ns, 0, pair.job[J_N_REQUESTS], warmup - 1) : 0;
  return s;
}

// Requests [s.next, stop) come while a pass runs and are dropped.
__device__ void lose(Schedule& s, const Pair& pair, i64 stop) {
  i64 counted = s.next > s.warm ? s.next : s.warm;
  if (stop > counted) s.lost += stop - counted;
  u32* lost = FIELD(pair.job, J_LOST, u32*);
  if (lost) {
    for (i64 i = s.next + threadIdx.x; i < stop; i += blockDim.x) atomicOr(&lost[i >> 5], 1u << (i & 31));
  }
  s.next = stop;
}

// Of the requests from s.next on, the last that moves the pending `debounce` timer before its pass starts. A warp looks at
// 32 of them at a time: each lane asks whether the pass that its request would bring starts before the next request.
__device__ i64 last_mover(
    const Schedule& s, const i64* request_ns, i64 n, u64 delay, i64 max_wait, u64 boot_start) {
  for (i64 first = s.next;; first += 32) {
    i64 mine = first + (threadIdx.x & 31);
    bool last = mine + 1 >= n;
    if (!last) {
      u64 due = request_ns[mine] + delay;
      if (max_wait >= 0) due = sooner(due, s.last_due);
      last = static_cast<u64>(request_ns[mine + 1]) >= sooner(boot_start, later(due, s.free_at));
    }
    u32 found = __ballot_sync(FULL, last);
    if (found) return first + __ffs(found) - 1;
  }
}

__device__ int next_pass(Schedule& s, const Pair& pair, u64* start_at) {
  const i64* request_ns = FIELD(pair.job, J_REQUEST_NS, const i64*);
  const i64* inits = FIELD(pair.trace, T_INITS, const i64*);
  i64 n = pair.job[J_N_REQUESTS];
  int timer = pair.policy[P_TIMER];
  u64 delay = pair.policy[P_DELAY_NS];
  i64 max_wait = pair.policy[P_MAX_WAIT_NS];
  bool drop = pair.policy[P_DROP];
  int n_boots = pair.policy[P_BOOT] ? static_cast<int>(pair.trace[T_N_INITS]) + 1 : 0;
  for (;;) {
    u64 boot_start = FOREVER, timer_start = FOREVER;
    if (s.boot < n_boots) boot_start = later(s.boot ? inits[s.boot - 1] : 0, s.free_at);
    if (s.armed) {
      timer_start = later(s.due, s.free_at);
    } else if (timer == TIMER_PERIODIC) {
      if (s.tick * delay < s.free_at) s.tick = (s.free_at + delay - 1) / delay;  // ticks during a pass are skipped
      timer_start = s.tick * delay;
    }
    u64 start = sooner(boot_start, timer_start);
    // Requests strictly before the next pass come first: they may arm or move the timer, or be lost.
    if (s.next < n && static_cast<u64>(request_ns[s.next]) < start) {
      u64 t = request_ns[s.next];
      if (drop && s.started < t && t < s.free_at) {
        lose(s, pair, after(request_ns, s.next, n, s.free_at - 1));
      } else if (!s.armed) {
        s.armed = true;
        s.armed_by = s.next++;
        s.due = t + delay;
        if (max_wait >= 0) {
          s.last_due = t + max_wait;
          s.due = sooner(s.due, s.last_due);
        }
      } else if (timer == TIMER_DEBOUNCE) {
        // With `drop` one of those that follow may be lost; they are rare, and taken one by one.
        i64 last = drop ? s.next : last_mover(s, request_ns, n, delay, max_wait, boot_start);
        s.due = request_ns[last] + delay;
        if (max_wait >= 0) s.due = sooner(s.due, s.last_due);
        s.next = last + 1;
      } else if (drop && s.free_at > t) {
        s.next++;
      } else {
        s.next = after(request_ns, s.next, n, start - 1);
      }
      continue;
    }
    if (start >= pair.trace[T_HORIZON_NS]) return NO_PASS;
    *start_at = start;
    if (boot_start <= timer_start) {
      s.boot++;
      s.first = s.stop = s.next;
      return BOOT_PASS;
    }
    // Those at exactly the start still belong to the pass, and no longer move its timer.
    s.stop = after(request_ns, s.next, n, start);
    s.first = s.armed ? s.armed_by : s.stop;
    s.next = s.stop;
    s.armed = false;
    if (timer == TIMER_PERIODIC) s.tick++;
    return TIMER_PASS;
  }
}

// ---- visits: what an attempt finds, counts and sets (MODEL.md section 6) ----

__device__ void flush_classes(Tally& tally, const Pair& pair) {
  i64* group = pair.out + O_FIELDS + tally.group * G_FIELDS;
  add(&group[G_FAIL], tally.of_fail);
  add(&group[G_BLOCKS], tally.of_blocks);
  add(&group[G_CLEAN], tally.of_clean);
  add(&group[G_CACHED], tally.of_cached);
  tally.of_fail = tally.of_blocks = tally.of_clean = tally.of_cached = 0;
}

// n attempts of a class.
__device__ __forceinline__ void count_class(Tally& tally, const Pair& pair, int code, int group, i64 n) {
  if (group != tally.group) {
    flush_classes(tally, pair);
    tally.group = group;
  }
  if (code < CLEAN) {
    tally.of_fail += n;
    tally.of_blocks += n * ((code & (FAIL_EARLY - 1)) + 1);
  } else if (code == CLEAN) {
    tally.of_clean += n;
  } else if (code == CACHED) {
    tally.of_cached += n;
  }
}

__device__ __forceinline__ bool is_early(int code) { return code >= FAIL_EARLY && code < CLEAN; }

__device__ __forceinline__ int group_of(const Pair& pair, int position) {
  int region = FIELD(pair.trace, T_REGION_OF, const int*)[position];
  return FIELD(pair.trace, T_REGION_GROUP, const int*)[region];
}

__device__ __forceinline__ u64 attempt_ns(const Pair& pair, int code, int group) {
  const i64* lengths = FIELD(pair.job, J_LENGTHS, const i64*) + 4 * group;
  if (code < CLEAN) return lengths[0] + ((code & (FAIL_EARLY - 1)) + 1) * lengths[1];
  return code == CLEAN ? lengths[2] : lengths[3];
}

// The class row that holds at t, which is not before the last look at this position.
__device__ __forceinline__ i64 row_at(const Pair& pair, int position, u64 t) {
  const i64* class_ns = FIELD(pair.trace, T_CLASS_NS, const i64*);
  int* cursor = FIELD(pair.job, J_CURSOR, int*) + position;
  i64 row = *cursor;
  if (static_cast<u64>(class_ns[row + 1]) > t) return row;
  int region = FIELD(pair.trace, T_REGION_OF, const int*)[position];
  row = after(class_ns, row + 1, FIELD(pair.trace, T_CLASS_OFFSET, const i64*)[region + 1], t) - 1;
  *cursor = static_cast<int>(row);
  return row;
}

// Class of a position at a pass's start: from the state alone, then by gate and bit.
__device__ __forceinline__ int class_at(const Pair& pair, int position, u64 start) {
  int state = FIELD(pair.trace, T_CLASS_CODE, const u16*)[row_at(pair, position, start)];
  int code = state & CODE_MASK;
  if (code == CLEAN) return static_cast<u64>(FIELD(pair.job, J_BIT_END_NS, i64*)[position]) > start ? CACHED : CLEAN;
  int gate = pair.policy[P_GATE];
  if (gate == GATE_FREE || (gate == GATE_GMEM_FREE && (state & GMEM_FLAG))) return ABSENT;
  return code;
}

__device__ void used_until(const Pair& pair, int region, u64 t, i64* high, i64* low) {
  const i64* offset = FIELD(pair.trace, T_USED_OFFSET, const i64*);
  const i64* used_ns = FIELD(pair.trace, T_USED_NS, const i64*);
  i64 row = after(used_ns, offset[region], offset[region + 1], t) - 1;
  i64 pages = FIELD(pair.trace, T_USED_PAGES, const int*)[row];
  i64 since = t - used_ns[row];
  *high = FIELD(pair.trace, T_USED_HIGH, const i64*)[row] + pages * (since >> LIMB_SHIFT);
  *low = FIELD(pair.trace, T_USED_LOW, const i64*)[row] + pages * (since & MASK(LIMB_SHIFT));
}

// A bit is set at `done` and stays to the end of its free episode [begin, end).
__device__ __forceinline__ void record_bit(const Pair& pair, int position, u64 epoch_begin, u64 begin, u64 end,
                                           u64 done) {
  int region = FIELD(pair.trace, T_REGION_OF, const int*)[position];
  i64* group = pair.out + O_FIELDS + FIELD(pair.trace, T_REGION_GROUP, const int*)[region] * G_FIELDS;
  u64 warmup = pair.trace[T_WARMUP_NS], horizon = pair.trace[T_HORIZON_NS];
  u64 from = later(done, warmup), to = sooner(end, horizon);
  if (from < to) {
    add(&group[G_SET_HIGH], (to - from) >> TIME_SHIFT);
    add(&group[G_SET_LOW], (to - from) & MASK(TIME_SHIFT));
    if (pair.trace[T_HAS_USED]) {
      i64 high, low, high_before, low_before;
      used_until(pair, region, to, &high, &low);
      used_until(pair, region, from, &high_before, &low_before);
      low -= low_before;
      high += (low >> LIMB_SHIFT) - high_before;  // an arithmetic shift: low may be negative, what is left of it not
      add(&group[G_USED_HIGH], high >> TIME_SHIFT);
      add(&group[G_USED_MIDDLE], high & MASK(TIME_SHIFT));
      add(&group[G_USED_LOW], low & MASK(LIMB_SHIFT));
    }
  }
  // An episode that begins with SNP itself is fresh, whatever else happened at that instant.
  if (begin != epoch_begin && begin >= warmup) {
    u64 i = atomicAdd(reinterpret_cast<u64*>(&pair.out[O_LATENCIES]), 1ull);
    FIELD(pair.job, J_LATENCY_NS, i64*)[i] = done - begin;
    if (end >= horizon) add(&pair.out[O_LASTING], 1);
  }
}

// The outcome of one attempt, from the state at its visit; `code` is its class, `epoch` that of the pass's start.
__device__ int settle(Tally& tally, const Pair& pair, int position, int code, u64 visit, u64 done, Epoch epoch, bool counted) {
  const i64* class_ns = FIELD(pair.trace, T_CLASS_NS, const i64*);
  i64* bit_end = FIELD(pair.job, J_BIT_END_NS, i64*) + position;
  i64 row = row_at(pair, position, visit);
  int now = FIELD(pair.trace, T_CLASS_CODE, const u16*)[row] & CODE_MASK;
  if (visit >= epoch.end) epoch = epoch_at(pair, visit);
  if (now < CLEAN || !epoch.end || (code < CLEAN && pair.policy[P_LEADER_FIRST])) {
    tally.failed += counted;
    tally.early += counted && is_early(now);
    return FAILED;
  }
  if (static_cast<u64>(*bit_end) > visit) {
    tally.cached += counted;
    return FOUND_SET;
  }
  u64 begin = later(class_ns[row], epoch.begin), end = sooner(class_ns[row + 1], epoch.end);
  if (done < end && done < pair.trace[T_HORIZON_NS]) {
    *bit_end = end;
    if (counted) add(&pair.out[O_NEW], 1);
    record_bit(pair, position, epoch.begin, begin, end, done);
    return NEW;
  }
  if (counted) add(&pair.out[O_WASTED], 1);
  return WASTED;
}

// ---- beginning and end of a run ----

__device__ void clear_scratch(const Pair& pair) {
  const int* region_of = FIELD(pair.trace, T_REGION_OF, const int*);
  const i64* offset = FIELD(pair.trace, T_CLASS_OFFSET, const i64*);
  i64* bit_end = FIELD(pair.job, J_BIT_END_NS, i64*);
  int* cursor = FIELD(pair.job, J_CURSOR, int*);
  u32* members = FIELD(pair.job, J_MEMBERS, u32*);
  u32* lost = FIELD(pair.job, J_LOST, u32*);
  int n = pair.trace[T_N_POSITIONS];
  for (int p = threadIdx.x; p < n; p += blockDim.x) {
    bit_end[p] = 0;
    cursor[p] = static_cast<int>(offset[region_of[p]]);
  }
  for (int w = threadIdx.x; w < (n + 31) / 32; w += blockDim.x) members[w] = 0;
  if (lost) {
    i64 words = (pair.job[J_N_REQUESTS] + 31) / 32;
    for (i64 w = threadIdx.x; w < words; w += blockDim.x) lost[w] = 0;
  }
  __syncthreads();
}

__device__ void count_pass(Counts& counts, const Pair& pair, u64 start, u64 end) {
  u64 length = end - start;
  counts.passes++;
  counts.wall += length;
  if (static_cast<i64>(length) > counts.longest) counts.longest = length;
  counts.hazard += inside_shutdown(pair, start, end);
}

__device__ void finish(Tally& tally, const Counts& counts, const Schedule& s, const Pair& pair) {
  flush_classes(tally, pair);
  const i64* request_ns = FIELD(pair.job, J_REQUEST_NS, const i64*);
  const i64* hazards = FIELD(pair.trace, T_HAZARDS, const i64*);
  i64 n = pair.job[J_N_REQUESTS], in_hazard = 0;
  u64 n_hazards = pair.trace[T_N_HAZARDS];
  if (n_hazards) {
    for (i64 i = s.warm + threadIdx.x; i < n; i += blockDim.x) {
      bool inside = false;
      for (u64 k = 0; k < n_hazards; k++) inside |= hazards[2 * k] <= request_ns[i] && request_ns[i] < hazards[2 * k + 1];
      in_hazard += inside;
    }
  }
  add(&pair.out[O_REQUESTS_HAZARD], in_hazard);
  add(&pair.out[O_FAILED], tally.failed);
  add(&pair.out[O_CACHED], tally.cached);
  add(&pair.out[O_EARLY], tally.early);
  if (threadIdx.x == 0) {
    pair.out[O_REQUESTS] = n - s.warm;
    pair.out[O_REQUESTS_LOST] = s.lost;
    pair.out[O_PASSES] = counts.passes;
    pair.out[O_PASSES_EMPTY] = counts.empty;
    pair.out[O_PASSES_SKIPPED] = counts.skipped;
    pair.out[O_PASSES_HAZARD] = counts.hazard;
    pair.out[O_SCAN_WALL_NS] = counts.wall;
    pair.out[O_PASS_WALL_MAX_NS] = counts.longest;
  }
}

__device__ Pair pair_of(const u64* traces, const u64* policies, const u64* jobs) {
  const u64* job = jobs + static_cast<u64>(blockIdx.x) * J_FIELDS;
  return {traces + job[J_TRACE] * T_FIELDS, policies + job[J_POLICY] * P_FIELDS, job, FIELD(job, J_OUT, i64*)};
}

// ---- few regions a pass: one warp ----

// Add the positions [first, stop) to the set.
__device__ void include(u32* members, int first, int stop) {
  while (first < stop) {
    int end = (first | 31) + 1 < stop ? (first | 31) + 1 : stop;
    u32 below = (end & 31) ? (1u << (end & 31)) - 1 : FULL;
    atomicOr(&members[first >> 5], below & ~((1u << (first & 31)) - 1));
    first = end;
  }
}

__device__ __forceinline__ bool is_lost(const Pair& pair, i64 request) {
  const u32* lost = FIELD(pair.job, J_LOST, const u32*);
  return lost && (lost[request >> 5] >> (request & 31) & 1);
}

// The regions that one request names; `lane` of `n_lanes` threads share the work.
__device__ void include_request(const Pair& pair, i64 request, u64 start, int lane, int n_lanes) {
  u32* members = FIELD(pair.job, J_MEMBERS, u32*);
  if (is_lost(pair, request)) return;
  if (pair.policy[P_SCOPE] == SCOPE_REGION) {
    if (lane == 0) {
      include(members, FIELD(pair.job, J_REQUEST_FIRST, const int*)[request],
              FIELD(pair.job, J_REQUEST_STOP, const int*)[request]);
    }
    return;
  }
  int list = FIELD(pair.job, J_REQUEST_LIST, const int*)[request];
  if (list < 0) return;
  const i64* offset = FIELD(pair.job, J_LIST_OFFSET, const i64*);
  const int* position = FIELD(pair.job, J_LIST_POSITION, const int*);
  const i64* since_ns = FIELD(pair.job, J_LIST_SINCE_NS, const i64*);
  for (i64 i = offset[list] + lane; i < offset[list + 1]; i += n_lanes) {
    if (static_cast<u64>(since_ns[i]) <= start) atomicOr(&members[position[i] >> 5], 1u << (position[i] & 31));
  }
}

__device__ void include_batch(const Pair& pair, const Schedule& s, u64 start) {
  int lane = threadIdx.x;
  __syncwarp();
  if (s.stop - s.first < THREADS_FEW) {
    for (i64 i = s.first; i < s.stop; i++) include_request(pair, i, start, lane, THREADS_FEW);
  } else {
    for (i64 i = s.first + lane; i < s.stop; i += THREADS_FEW) include_request(pair, i, start, 0, 1);
  }
  __syncwarp();
}

// Clearings up to the start make their regions dirty; gives the next clearing.
__device__ i64 include_clearings(const Pair& pair, i64 next, u64 start) {
  const int* position = FIELD(pair.trace, T_CLEARING_POSITION, const int*);
  u32* members = FIELD(pair.job, J_MEMBERS, u32*);
  i64 stop = after(FIELD(pair.trace, T_CLEARING_NS, const i64*), next, pair.trace[T_N_CLEARINGS], start);
  if (stop == next) return stop;
  __syncthreads();  // members that the last pass took away are gone before new ones come
  for (i64 i = next + threadIdx.x; i < stop; i += blockDim.x) {
    atomicOr(&members[position[i] >> 5], 1u << (position[i] & 31));
  }
  __syncthreads();
  return stop;
}

// One region, known beforehand: its owner settles it alone.
__device__ bool visit_one(Tally& tally, const Pair& pair, int position, u64 start, Epoch epoch, bool counted, u64* end) {
  int owner = position & 31, ran = 0;
  u64 done = start;
  if (static_cast<int>(threadIdx.x) == owner) {
    int code = class_at(pair, position, start);
    if (code != ABSENT) {
      int group = group_of(pair, position);
      done = start + attempt_ns(pair, code, group);
      if (counted) count_class(tally, pair, code, group, 1);
      settle(tally, pair, position, code, start, done, epoch, counted);
      ran = 1;
    }
  }
  *end = __shfl_sync(FULL, done, owner);
  return __shfl_sync(FULL, ran, owner);
}

// The member regions, or all covered ones, in ascending order, 32 at a time; those attempted are members no more.
__device__ bool visit_members(Tally& tally, const Pair& pair, bool all, u64 start, Epoch epoch, bool counted, u64* end) {
  u32* members = FIELD(pair.job, J_MEMBERS, u32*);
  int n = pair.trace[T_N_POSITIONS], n_words = (n + 31) / 32, lane = threadIdx.x;
  bool any = false;
  u64 at = start;
  for (int first = 0; first < n_words; first += 32) {
    u32 mine = first + lane < n_words ? (all ? FULL : members[first + lane]) : 0;
    u32 filled = __ballot_sync(FULL, mine != 0);
    while (filled) {
      int source = __ffs(filled) - 1;
      filled &= filled - 1;
      u32 word = __shfl_sync(FULL, mine, source);
      int position = (first + source) * 32 + lane;
      int code = ABSENT, group = 0;
      u64 length = 0;
      if (position < n && (word >> lane & 1)) code = class_at(pair, position, start);
      if (code != ABSENT) {
        group = group_of(pair, position);
        length = attempt_ns(pair, code, group);
      }
      u32 attempted = __ballot_sync(FULL, code != ABSENT);
      if (!attempted) continue;
      any = true;
      if (lane == 0) members[first + source] &= ~attempted;
      u64 sum = length;
      for (int distance = 1; distance < 32; distance <<= 1) {
        u64 below = __shfl_up_sync(FULL, sum, distance);
        if (lane >= distance) sum += below;
      }
      if (code != ABSENT) {
        if (counted) count_class(tally, pair, code, group, 1);
        settle(tally, pair, position, code, at + sum - length, at + sum, epoch, counted);
      }
      at += __shfl_sync(FULL, sum, 31);
    }
  }
  __syncwarp();
  *end = at;
  return any;
}

extern "C" __global__ void __launch_bounds__(THREADS_FEW, 12)
evaluate_few(const u64* traces, const u64* policies, const u64* jobs) {
  Pair pair = pair_of(traces, policies, jobs);
  clear_scratch(pair);
  Schedule s = begin_schedule(pair);
  Tally tally = {};
  Counts counts = {};
  const int* request_first = FIELD(pair.job, J_REQUEST_FIRST, const int*);
  const int* request_stop = FIELD(pair.job, J_REQUEST_STOP, const int*);
  u32* members = FIELD(pair.job, J_MEMBERS, u32*);
  int n_words = (static_cast<int>(pair.trace[T_N_POSITIONS]) + 31) / 32;
  int scope = pair.policy[P_SCOPE], pass;
  i64 clearing = 0;
  u64 start, end;
  while ((pass = next_pass(s, pair, &start)) != NO_PASS) {
    bool counted = start >= pair.trace[T_WARMUP_NS];
    Epoch epoch = epoch_at(pair, start);
    s.started = s.free_at = start;
    if (!epoch.end) {
      counts.skipped += counted;
      continue;
    }
    bool any;
    if (scope == SCOPE_DIRTY) clearing = include_clearings(pair, clearing, start);
    if (pass == BOOT_PASS || scope == SCOPE_DIRTY) {
      any = visit_members(tally, pair, pass == BOOT_PASS, start, epoch, counted, &end);
    } else if (scope == SCOPE_REGION && s.stop - s.first == 1 && request_stop[s.first] - request_first[s.first] == 1) {
      any = visit_one(tally, pair, request_first[s.first], start, epoch, counted, &end);
    } else {
      include_batch(pair, s, start);
      any = visit_members(tally, pair, false, start, epoch, counted, &end);
      // What the gate dropped is forgotten: only this pass's requests named it.
      for (int w = threadIdx.x; w < n_words; w += THREADS_FEW) members[w] = 0;
    }
    if (!any) {
      counts.empty += counted;
      continue;
    }
    if (counted) count_pass(counts, pair, start, end);
    s.free_at = end;
  }
  finish(tally, counts, s, pair);
}

// ---- the whole window a pass: classes are carried on, and looked at again only where something changed ----

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
  Pair pair = pair_of(traces, policies, jobs);
  u16* codes = FIELD(pair.job, J_CODE, u16*);
  u32* members = FIELD(pair.job, J_MEMBERS, u32*);
  int n = pair.trace[T_N_POSITIONS];
  bool retry = pair.policy[P_SCOPE] == SCOPE_DIRTY_RETRY;
  for (int p = threadIdx.x; p < n; p += blockDim.x) codes[p] = ABSENT;
  clear_scratch(pair);
  Schedule s = begin_schedule(pair);
  Tally tally = {};
  Counts counts = {};
  Sums mine = {0, FOREVER, 0};
  bool stale = true;  // this thread's positions, since the last refresh
  u64 last_epoch = FOREVER, start;
  i64 clearing = 0, n_counted = 0;
  int pass, turn = 0;
  while ((pass = next_pass(s, pair, &start)) != NO_PASS) {
    bool counted = start >= pair.trace[T_WARMUP_NS];
    Epoch epoch = epoch_at(pair, start);
    s.started = s.free_at = start;
    if (!epoch.end) {
      counts.skipped += counted;
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
      counts.empty += counted;
      continue;
    }
    if (counted) count_pass(counts, pair, start, end);
    s.free_at = end;
  }
  for (int p = threadIdx.x; p < n; p += blockDim.x) count_carried(tally, pair, codes[p], p, n_counted);
  finish(tally, counts, s, pair);
}
