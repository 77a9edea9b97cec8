// What a trace's timelines say whatever the policy: time free, pages in use, episodes; by group of regions.
//
// One thread a region walks its class rows. Sums that can pass 63 bits are kept as limbs (defines.py, TotalField).
//
// in       traces  u64[][T_FIELDS], see defines.py
//          jobs    i64[n_jobs][2]: trace, region
// out      T_TOTALS i64[n_groups][S_FIELDS], which must be zero before
// grid     ceil(n_jobs / blockDim.x)
//
// Deterministic: the atomics are integer sums.

typedef unsigned long long u64;
typedef long long i64;
typedef unsigned short u16;

#define TIME_SHIFT 31
#define LIMB_SHIFT 20
#define MASK(bits) ((1ll << (bits)) - 1)
#define FIELD(row, name, type) (reinterpret_cast<type>((row)[name]))

struct Limbs {  // of pages times ns
  i64 high, middle, low;
};

struct UsedRows {
  const i64 *ns, *high, *low;
  const int* pages;
  i64 begin, end;
};

__device__ void used_until(const UsedRows& rows, i64 t, i64* high, i64* low) {
  i64 first = rows.begin, stop = rows.end;
  while (stop - first > 1) {
    i64 middle = (first + stop) >> 1;
    if (rows.ns[middle] <= t) first = middle; else stop = middle;
  }
  i64 since = t - rows.ns[first], pages = rows.pages[first];
  *high = rows.high[first] + pages * (since >> LIMB_SHIFT);
  *low = rows.low[first] + pages * (since & MASK(LIMB_SHIFT));
}

__device__ void add_used(Limbs& sum, const UsedRows& rows, i64 from, i64 to) {
  i64 high, low, high_before, low_before;
  used_until(rows, to, &high, &low);
  used_until(rows, from, &high_before, &low_before);
  low -= low_before;
  high += (low >> LIMB_SHIFT) - high_before;
  sum.high += high >> TIME_SHIFT;
  sum.middle += high & MASK(TIME_SHIFT);
  sum.low += low & MASK(LIMB_SHIFT);
}

__device__ __forceinline__ void add(i64* where, i64 what) {
  if (what) atomicAdd(reinterpret_cast<u64*>(where), static_cast<u64>(what));
}

extern "C" __global__ void __launch_bounds__(THREADS_TOTALS)
region_totals(const u64* traces, const i64* jobs, int n_jobs) {
  int job = blockIdx.x * blockDim.x + threadIdx.x;
  if (job >= n_jobs) return;
  const u64* trace = traces + jobs[2 * job] * T_FIELDS;
  i64 region = jobs[2 * job + 1];
  bool covered = FIELD(trace, T_REGION_COVERED, const unsigned char*)[region];
  const i64* class_ns = FIELD(trace, T_CLASS_NS, const i64*);
  const u16* class_code = FIELD(trace, T_CLASS_CODE, const u16*);
  const i64* epochs = FIELD(trace, T_EPOCHS, const i64*);
  const i64* used_offset = FIELD(trace, T_USED_OFFSET, const i64*);
  UsedRows used = {FIELD(trace, T_USED_NS, const i64*), FIELD(trace, T_USED_HIGH, const i64*),
                   FIELD(trace, T_USED_LOW, const i64*), FIELD(trace, T_USED_PAGES, const int*),
                   used_offset[region], used_offset[region + 1]};
  bool has_used = trace[T_HAS_USED];
  i64 warmup = trace[T_WARMUP_NS], horizon = trace[T_HORIZON_NS], free_high = 0, free_low = 0, episodes = 0, lasting = 0;
  Limbs in_use = {0, 0, 0}, free_in_use = {0, 0, 0};
  i64 head = FIELD(trace, T_CLASS_OFFSET, const i64*)[region], end = FIELD(trace, T_CLASS_OFFSET, const i64*)[region + 1] - 1;
  for (u64 epoch = 0; epoch < trace[T_N_EPOCHS]; epoch++) {
    i64 on = epochs[2 * epoch], off = epochs[2 * epoch + 1];
    i64 from = on > warmup ? on : warmup, to = off < horizon ? off : horizon;
    if (has_used && from < to) add_used(in_use, used, from, to);
    // Rows that begin before the epoch may last into it: find the one that holds at its begin.
    i64 row = head, stop = end;
    while (stop - row > 1) {
      i64 middle = (row + stop) >> 1;
      if (class_ns[middle] <= on) row = middle; else stop = middle;
    }
    for (; row < end && class_ns[row] < off; row++) {
      if (class_code[row] != CLEAN) continue;
      i64 begin = class_ns[row] > on ? class_ns[row] : on, over = class_ns[row + 1] < off ? class_ns[row + 1] : off;
      i64 counted_from = begin > warmup ? begin : warmup, counted_to = over < horizon ? over : horizon;
      if (counted_from < counted_to) {
        free_high += (counted_to - counted_from) >> TIME_SHIFT;
        free_low += (counted_to - counted_from) & MASK(TIME_SHIFT);
        if (has_used) add_used(free_in_use, used, counted_from, counted_to);
      }
      if (covered && begin != on && begin >= warmup) {  // an episode that begins with SNP itself is fresh
        episodes++;
        lasting += over == FOREVER;
      }
    }
  }
  i64* totals = FIELD(trace, T_TOTALS, i64*) + S_FIELDS * FIELD(trace, T_REGION_GROUP, const int*)[region];
  add(&totals[S_FREE_HIGH], free_high);
  add(&totals[S_FREE_LOW], free_low);
  add(&totals[S_USED_HIGH], in_use.high);
  add(&totals[S_USED_MIDDLE], in_use.middle);
  add(&totals[S_USED_LOW], in_use.low);
  add(&totals[S_FREE_USED_HIGH], free_in_use.high);
  add(&totals[S_FREE_USED_MIDDLE], free_in_use.middle);
  add(&totals[S_FREE_USED_LOW], free_in_use.low);
  add(&totals[S_EPISODES], episodes);
  add(&totals[S_LASTING], lasting);
}
