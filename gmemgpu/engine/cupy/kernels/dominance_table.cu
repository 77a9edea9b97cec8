// What points of each height weigh before each tile, tile by tile.
//
// in    running   u64[n_heights * n_tiles]   running sums of what `dominance_tiles` gives, over all heights and tiles in a row
// out   before    u64[n]      n_tiles * n_heights
// grid  ceil(n / THREADS_ELEMENTS)
//
// One thread an element. Deterministic; sums wrap around. Neighbours read n_tiles apart, mostly from the cache.

typedef long long i64;
typedef unsigned long long u64;

extern "C" __global__ void __launch_bounds__(THREADS_ELEMENTS)
dominance_table(const u64* running, u64* before, i64 n, i64 n_heights) {
  i64 i = static_cast<i64>(blockIdx.x) * THREADS_ELEMENTS + threadIdx.x;
  if (i >= n) return;
  i64 tile = i / n_heights, first = (i - tile * n_heights) * (n / n_heights);
  before[i] = tile ? running[first + tile - 1] - (first ? running[first - 1] : 0) : 0;
}
