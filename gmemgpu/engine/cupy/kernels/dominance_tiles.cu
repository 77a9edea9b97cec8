// Points in the order of their places, and sums of their weights by tile of 2^tile_bits points and by height.
//
// in    order     i64[n]      by rising place
//       place, height, weight   i64[n]
// out   places, weights   i64[n]   in that order; and heights, i32[n]
//       sums      u64[n_heights * n_tiles]   zero before; not touched if there is one tile
// grid  ceil(n / THREADS_ELEMENTS)
//
// One thread a point. Deterministic, since integers are added; sums wrap around. Bound by what it gathers and by atomics, which
// hit any of n_heights sums at a time.

typedef long long i64;
typedef unsigned long long u64;

extern "C" __global__ void __launch_bounds__(THREADS_ELEMENTS)
dominance_tiles(const i64* order, const i64* place, const i64* height, const i64* weight, i64* places, int* heights,
                i64* weights, u64* sums, i64 n, i64 n_tiles, i64 tile_bits) {
  i64 i = static_cast<i64>(blockIdx.x) * THREADS_ELEMENTS + threadIdx.x;
  if (i >= n) return;
  i64 from = order[i], at = height[from], own = weight[from];
  places[i] = place[from];
  heights[i] = static_cast<int>(at);
  weights[i] = own;
  if (n_tiles > 1) atomicAdd(&sums[at * n_tiles + (i >> tile_bits)], static_cast<u64>(own));
}
