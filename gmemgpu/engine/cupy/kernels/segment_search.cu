// Where each needle belongs in the ascending segment that its pair looks at: numpy.searchsorted, pair by pair.
//
// in    values   i64[]             ascending within each segment
//       begin    i64[n_pairs]      segment of each pair; pairs may share one
//       end      i64[n_pairs]
//       needles  i64[n]            those of pair q are at[q]:at[q + 1]
//       at       i64[n_pairs + 1]
//       base     i64[n_pairs]      what to add to what is found; not read if `based` is 0: nothing
//       right    1: behind equal values, 0: before them
// out   found    i64[n]            from the beginning of the segment, or from `base`; every element is written
// grid  ceil(n / THREADS_SEARCH)
//
// One thread a needle, two bisections. Deterministic. Bound by the latency of dependent loads, hidden by other threads.

#include "place.cuh"

extern "C" __global__ void __launch_bounds__(THREADS_SEARCH)
segment_search(const i64* values, const i64* begin, const i64* end, const i64* needles, const i64* at, const i64* base,
               i64* found, i64 n, int n_pairs, int right, int based) {
  i64 i = static_cast<i64>(blockIdx.x) * THREADS_SEARCH + threadIdx.x;
  if (i >= n) return;
  i64 pair = place(at + 1, 0, n_pairs, i, true);
  found[i] = place(values, begin[pair], end[pair], needles[i], right) - begin[pair] + (based ? base[pair] : 0);
}
