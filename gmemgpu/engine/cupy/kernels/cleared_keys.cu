// Which passes attempt regions that were cleared: the first of its pair that runs then or later. `cleared_keys` of
// engine/array/targets.py is the same text in array operations.
//
// in    cleared_ns, pair, position   i64[n]: of each clearing: when, and which region of which pair
//       ran         i64[n_ran]      the passes that run, ascending; and start_ns, i64[n_ran], of each
//       at          i64[n_pairs + 1]   those of each pair
// out   key         i64[n]          pass * base + position; -1: none
// grid  ceil(n / THREADS_ELEMENTS)
//
// One thread a clearing, one bisection. Deterministic.

#include "place.cuh"

extern "C" __global__ void __launch_bounds__(THREADS_ELEMENTS)
cleared_keys(const i64* cleared_ns, const i64* pair, const i64* position, const i64* ran, const i64* start_ns, const i64* at,
             i64* key, i64 n, i64 base) {
  i64 i = static_cast<i64>(blockIdx.x) * THREADS_ELEMENTS + threadIdx.x;
  if (i >= n) return;
  i64 stop = at[pair[i] + 1], found = place(start_ns, at[pair[i]], stop, cleared_ns[i], false);
  key[i] = found < stop ? ran[found] * base + position[i] : -1;
}
