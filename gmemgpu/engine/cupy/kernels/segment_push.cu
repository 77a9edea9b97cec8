// When each of a row of passes starts, if none starts before the one ahead of it in its segment has ended: at its due time, or
// at that end. `pushed` of engine/array/begun.py is the same text in array operations.
//
// A pass turns the end x of the one ahead into max(x, due) + length, a map x -> max(x + add, floor); such maps are scanned as
// `segment_max` scans values, tile by tile and in two launches.
//
// in    add         i64[n]        not negative: lengths, or what maps add
//       floor       i64[n]        not negative: due times, or floors of maps
//       heads       u8[n]         1 where a segment begins: what is ahead of it counts for nothing
//       carry       i64[tiles]    the end ahead of each tile; read if write
//       maps        0: passes, 1: maps, made from tiles
//       write       0: tell what tiles make of an end, 1: scan
// out   out         i64[n]        if write: when each pass starts; of maps, what comes out of each
//       tile_add, tile_floor      i64[tiles], and tile_head, u8[tiles]: the map of each tile; not if write
//       unsafe      i32[1]        set to 1 if an end might pass 62 bits: then `out` is worth nothing. 0 before
// grid  ceil(n / (THREADS_MAX * TILE_ITEMS))
//
// Deterministic: sums are capped, and the only atomic sets a bit. Memory-bound: reads 17 bytes a pass twice, writes 8.

typedef long long i64;
typedef unsigned char u8;

#define CAP ((1ll << 62) - 1)

__device__ __forceinline__ i64 capped(i64 value) { return value < CAP ? value : CAP; }

extern "C" __global__ void __launch_bounds__(THREADS_MAX)
segment_push(const i64* add, const i64* floor, const u8* heads, const i64* carry, i64* out, i64* tile_add, i64* tile_floor,
             u8* tile_head, int* unsafe, i64 n, int maps, int write) {
  __shared__ i64 adds[THREADS_MAX], floors[THREADS_MAX];
  __shared__ int closed[THREADS_MAX];
  i64 first = (static_cast<i64>(blockIdx.x) * THREADS_MAX + threadIdx.x) * TILE_ITEMS;
  i64 stop = min(first + TILE_ITEMS, n);
  i64 shift = 0, least = -CAP;
  int head = 0;
  for (i64 i = first; i < stop; i++) {
    if (heads[i]) {
      shift = 0;
      least = -CAP;
      head = 1;
    }
    i64 own = capped(add[i]), own_floor = capped(floor[i]);
    if (!maps) own_floor = capped(own_floor + own);
    shift = capped(shift + own);
    least = capped(max(least + own, own_floor));
  }
  adds[threadIdx.x] = shift;
  floors[threadIdx.x] = least;
  closed[threadIdx.x] = head;
  __syncthreads();
  for (int distance = 1; distance < THREADS_MAX; distance <<= 1) {
    if (threadIdx.x >= distance) {
      int before = threadIdx.x - distance;
      if (!head) {
        least = capped(max(floors[before] + shift, least));
        shift = capped(adds[before] + shift);
      }
      head |= closed[before];
    }
    __syncthreads();
    adds[threadIdx.x] = shift;
    floors[threadIdx.x] = least;
    closed[threadIdx.x] = head;
    __syncthreads();
  }
  if (!write) {
    if (threadIdx.x == THREADS_MAX - 1) {
      tile_add[blockIdx.x] = shift;
      tile_floor[blockIdx.x] = least;
      tile_head[blockIdx.x] = head;
    }
    return;
  }
  // The end ahead of the first pass of this thread.
  i64 end = carry[blockIdx.x], highest = 0;
  if (threadIdx.x) {
    i64 ahead = floors[threadIdx.x - 1];
    end = closed[threadIdx.x - 1] ? ahead : capped(max(end + adds[threadIdx.x - 1], ahead));
  }
  for (i64 i = first; i < stop; i++) {
    i64 own = capped(add[i]), own_floor = capped(floor[i]);
    if (!maps) own_floor = capped(own_floor + own);
    end = heads[i] ? own_floor : capped(max(end + own, own_floor));
    highest = max(highest, end);
    out[i] = maps ? end : end - own;
  }
  if (highest == CAP) atomicOr(unsafe, 1);
}
