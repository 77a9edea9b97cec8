// The class rows of some regions at some times. `Batch.row` of engine/array/batch.py is the same text in array operations.
//
// in    position    i64[n]          index of each region among the covered ones of its trace
//       instant     i64[n]          how many instants of the trace have come
//       pair        i64[n]
//       n_instants  i64[n_pairs]    of each pair's trace
//       key         i64[]           of all rows: position * n_instants + instant, ascending within a trace
//       begin, end  i64[n_pairs]    the rows of each pair's trace
//       row_at      i64[n_pairs]    where the rows of each pair begin
// out   row         i64[n]
// grid  ceil(n / THREADS_ELEMENTS)
//
// One thread a region and time, one bisection. Deterministic. Bound by the latency of dependent loads, hidden by other threads.

#include "place.cuh"

extern "C" __global__ void __launch_bounds__(THREADS_ELEMENTS)
rows_at(const i64* position, const i64* instant, const i64* pair, const i64* n_instants, const i64* key, const i64* begin,
        const i64* end, const i64* row_at, i64* row, i64 n) {
  i64 i = static_cast<i64>(blockIdx.x) * THREADS_ELEMENTS + threadIdx.x;
  if (i >= n) return;
  i64 own = pair[i], wanted = position[i] * n_instants[own] + instant[i] - 1;
  row[i] = place(key, begin[own], end[own], wanted, true) - begin[own] - 1 + row_at[own];
}
