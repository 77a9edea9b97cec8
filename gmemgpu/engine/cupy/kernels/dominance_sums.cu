// Sums of the weights at places up to, and heights below, those of each query. `dominance_sums` of engine/array/dominance.py is
// the same in array operations.
//
// in    places, heights, weights   as `dominance_tiles` gives them, n_points of each
//       table     u64[]       running sums of what `dominance_table` gives, in a row; not read by queries that end in tile 0
//       query_place, query_height   i64[n / 32]
// out   sum       i64[n / 32]
// grid  ceil(n / THREADS_ELEMENTS)
//
// One warp a query: the table has whole tiles, and of the last one, which the place cuts, lanes look at every point. No barrier,
// no shared memory. Deterministic; sums wrap around. Reads 4 to 12 bytes of each of half a tile of points, in a row, besides a
// bisection.

#include "place.cuh"

typedef unsigned long long u64;

#define ALL 0xffffffffu

extern "C" __global__ void __launch_bounds__(THREADS_ELEMENTS)
dominance_sums(const i64* places, const int* heights, const i64* weights, const u64* table, const i64* query_place,
               const i64* query_height, u64* sum, i64 n, i64 n_points, i64 n_heights, i64 tile_bits) {
  i64 i = static_cast<i64>(blockIdx.x) * THREADS_ELEMENTS + threadIdx.x, query = i >> 5;
  if (i >= n) return;
  i64 below = query_height[query], stop = place(places, 0, n_points, query_place[query], true), tile = stop >> tile_bits;
  u64 total = 0;
  #pragma unroll 4
  for (i64 k = (tile << tile_bits) + (threadIdx.x & 31); k < stop; k += 32)
    if (heights[k] < below) total += static_cast<u64>(weights[k]);
  for (int distance = 16; distance; distance >>= 1) total += __shfl_down_sync(ALL, total, distance);
  if (threadIdx.x & 31) return;
  if (tile && below) total += table[tile * n_heights + below - 1] - table[tile * n_heights - 1];
  sum[query] = total;
}
