// One policy on one trace per warp: the whole schedule of passes, every visit, all counts (MODEL.md sections 5 to 7).
// For scopes dirty, region, vm and inode: many passes over few regions, a serial chain.
//
// in       traces    u64[][T_FIELDS], policies u64[][P_FIELDS], jobs u64[n_jobs][J_FIELDS]; see defines.py
// out      per job, at its J_OUT, which must be zero before: counts, and sums by group of regions
//          per job, at its J_LATENCY_NS: latencies of counted episodes, in any order
// scratch  per job, at J_BIT_END_NS, J_CURSOR, J_MEMBERS and, where requests can be dropped, J_LOST: any content
// grid     n_jobs, one warp each
//
// Costs are not multiplied here: attempts are counted by class, so that 63 bits hold whatever the costs.
// Bound by latency: a pass is a chain of dependent loads. Throughput comes from the number of blocks in flight.
// Follows parts/pair.cu, schedule.cu, visit.cu and run.cu in one text (kernel.py).

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
  __shared__ Counts counts;
  Pair pair = pair_of(traces, policies, jobs);
  clear_scratch(pair);
  Schedule s = begin_schedule();
  Tally tally = {};
  if (threadIdx.x == 0) counts = {};
  const int* request_first = FIELD(pair.job, J_REQUEST_FIRST, const int*);
  const int* request_stop = FIELD(pair.job, J_REQUEST_STOP, const int*);
  u32* members = FIELD(pair.job, J_MEMBERS, u32*);
  int n_words = (static_cast<int>(pair.trace[T_N_POSITIONS]) + 31) / 32;
  int scope = pair.policy[P_SCOPE], pass;
  i64 clearing = 0;
  u64 start, end;
  while ((pass = next_pass(s, counts, pair, &start)) != NO_PASS) {
    bool counted = start >= pair.trace[T_WARMUP_NS];
    Epoch epoch = epoch_at(pair, start);
    s.started = s.free_at = start;
    if (!epoch.end) {
      if (threadIdx.x == 0) counts.skipped += counted;
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
      __syncwarp();  // before lane 0 takes members away in a boot pass, which may be the next
    }
    if (!any) {
      if (threadIdx.x == 0) counts.empty += counted;
      continue;
    }
    if (counted) count_pass(counts, pair, start, end);
    s.free_at = end;
  }
  finish(tally, counts, pair);
}
