// Beginning and end of a run, and what both kernels do between passes.

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
  if (threadIdx.x) return;
  u64 length = end - start;
  counts.passes++;
  counts.wall += length;
  if (static_cast<i64>(length) > counts.longest) counts.longest = length;
  counts.hazard += inside_shutdown(pair, start, end);
}

__device__ void finish(Tally& tally, const Counts& counts, const Pair& pair) {
  flush_classes(tally, pair);
  const i64* request_ns = FIELD(pair.job, J_REQUEST_NS, const i64*);
  const i64* hazards = FIELD(pair.trace, T_HAZARDS, const i64*);
  i64 n = pair.job[J_N_REQUESTS], warm = first_counted(pair), in_hazard = 0;
  u64 n_hazards = pair.trace[T_N_HAZARDS];
  if (n_hazards) {
    for (i64 i = warm + threadIdx.x; i < n; i += blockDim.x) {
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
    pair.out[O_REQUESTS] = n - warm;
    pair.out[O_REQUESTS_LOST] = counts.lost;
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
