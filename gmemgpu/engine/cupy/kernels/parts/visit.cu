// Visits: what an attempt finds, counts and sets (MODEL.md section 6). Position p belongs to thread p % blockDim.x.

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
