// The integrals of pages in use of some regions, each over an interval. `used_between` of engine/array/constants.py is the same
// text in array operations.
//
// in    t_ns, used, high, low   i64[]   rows of all regions, as `UsedIntegral` describes them
//       offset      i64[n_regions + 1]   first row of each region, at 0 ns
//       region, begin_ns, end_ns   i64[n]
// out   to_high, to_low   u64[n]   of either sign
// grid  ceil(n / THREADS_ELEMENTS)
//
// One thread an interval, two bisections in the same rows. Deterministic; running sums wrap around, their differences are right.

#include "place.cuh"

typedef unsigned long long u64;

extern "C" __global__ void __launch_bounds__(THREADS_ELEMENTS)
used_between(const i64* t_ns, const i64* used, const u64* high, const u64* low, const i64* offset, const i64* region,
             const i64* begin_ns, const i64* end_ns, u64* to_high, u64* to_low, i64 n) {
  i64 i = static_cast<i64>(blockIdx.x) * THREADS_ELEMENTS + threadIdx.x;
  if (i >= n) return;
  i64 first = offset[region[i]], stop = offset[region[i] + 1];
  u64 highs = 0, lows = 0;
  for (int end = 0; end < 2; end++) {
    i64 at = end ? end_ns[i] : begin_ns[i], row = place(t_ns, first, stop, at, true) - 1, since = at - t_ns[row];
    highs = high[row] + static_cast<u64>(used[row]) * static_cast<u64>(since >> LIMB_BITS) - highs;
    lows = low[row] + static_cast<u64>(used[row]) * static_cast<u64>(since & ((1ll << LIMB_BITS) - 1)) - lows;
  }
  to_high[i] = highs;
  to_low[i] = lows;
}
