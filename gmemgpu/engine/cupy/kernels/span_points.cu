// The ends of spans of passes, as points whose weights sum up to what spans take. `span_points` of engine/array/dominance.py is
// the same text in array operations.
//
// in    low, high, of, length_ns   i64[n]   passes low:high of each span, its row, and how long each of its attempts takes
//       table_row   i64[]           of each row: where its columns stand
//       position    i64[]           of each row of the tables: index of its region
//       place_at    i64[n_passes + 1]   how many passes that are asked for come before each
// out   place, height, weight   i64[2 * n]   where spans begin, then where they end; at place n_passes those that no pass asked
//                                 for looks at
// grid  ceil(n / THREADS_ELEMENTS)
//
// One thread a span. Deterministic. Memory-bound: reads 32 bytes a span and what it gathers, writes 48.

typedef long long i64;

extern "C" __global__ void __launch_bounds__(THREADS_ELEMENTS)
span_points(const i64* low, const i64* high, const i64* of, const i64* length_ns, const i64* table_row, const i64* position,
            const i64* place_at, i64* place, i64* height, i64* weight, i64 n, i64 n_passes) {
  i64 i = static_cast<i64>(blockIdx.x) * THREADS_ELEMENTS + threadIdx.x;
  if (i >= n) return;
  i64 begin = place_at[low[i]], end = place_at[high[i]];
  place[i] = begin < end ? begin : n_passes;
  place[n + i] = begin < end && end < place_at[n_passes] ? end : n_passes;
  height[i] = height[n + i] = position[table_row[of[i]]];
  weight[i] = length_ns[i];
  weight[n + i] = -length_ns[i];
}
