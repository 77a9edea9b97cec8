// The largest value up to each place, within segments; numpy.maximum.accumulate, segment by segment.
//
// One thread block a tile of THREADS_MAX * TILE_ITEMS values. Called twice: at first each tile tells what it hands on;
// these values, one a tile, are scanned in the same way; then each tile knows what comes before it.
//
// in    values      i64[n]
//       heads       u8[n]        1 where a segment begins
//       carry       i64[tiles]   the largest value before each tile in the segment that lasts into it; read if write
//       write       0: tell what tiles hand on, 1: scan
// out   out         i64[n]       if write
//       tile_value  i64[tiles]   the largest value of the tile since its last head; not if write
//       tile_head   u8[tiles]    whether it has one; not if write
// grid  ceil(n / (THREADS_MAX * TILE_ITEMS))
//
// Deterministic. Memory-bound: reads 9 bytes a value twice, writes 8.

typedef long long i64;
typedef unsigned char u8;

#define LOWEST (-FOREVER - 1)

extern "C" __global__ void __launch_bounds__(THREADS_MAX)
segment_max(const i64* values, const u8* heads, const i64* carry, i64* out, i64* tile_value, u8* tile_head, i64 n, int write) {
  __shared__ i64 largest[THREADS_MAX];
  __shared__ int closed[THREADS_MAX];
  i64 first = (static_cast<i64>(blockIdx.x) * THREADS_MAX + threadIdx.x) * TILE_ITEMS;
  i64 stop = min(first + TILE_ITEMS, n);
  i64 value = LOWEST;
  int head = 0;
  for (i64 i = first; i < stop; i++) {
    if (heads[i]) {
      value = LOWEST;
      head = 1;
    }
    value = max(value, values[i]);
  }
  largest[threadIdx.x] = value;
  closed[threadIdx.x] = head;
  __syncthreads();
  for (int distance = 1; distance < THREADS_MAX; distance <<= 1) {
    if (threadIdx.x >= distance) {
      if (!head) value = max(value, largest[threadIdx.x - distance]);
      head |= closed[threadIdx.x - distance];
    }
    __syncthreads();
    largest[threadIdx.x] = value;
    closed[threadIdx.x] = head;
    __syncthreads();
  }
  if (!write) {
    if (threadIdx.x == THREADS_MAX - 1) {
      tile_value[blockIdx.x] = value;
      tile_head[blockIdx.x] = head;
    }
    return;
  }
  value = threadIdx.x ? largest[threadIdx.x - 1] : LOWEST;
  if (!(threadIdx.x && closed[threadIdx.x - 1])) value = max(value, carry[blockIdx.x]);
  for (i64 i = first; i < stop; i++) {
    value = heads[i] ? values[i] : max(value, values[i]);
    out[i] = value;
  }
}
