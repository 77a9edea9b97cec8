// Which elements the chains of all segments meet: each begins with the first element of its segment, and `following` says
// what comes after each, a later one.
//
// One thread block a tile of THREADS_CHAIN * TILE_ITEMS elements. Launched three times: at first each element learns where
// the chain through it leaves the tile; then one thread a segment goes from tile to tile; then each tile follows the chains
// that enter it or begin there. Within a tile jumps double.
//
// in    following   i64[n]        at the end of the segment or past it: nothing follows
//       at          i64[n_segments + 1]   where segments begin; they may be empty
//       step        0, 1 and 2, in that order
// out   exits       i64[n]        step 0: the first element of the chain past the tile; n: none
//       met         u8[n]         step 0: none; step 1: the first of each segment and of each tile; step 2: all
// grid  ceil(n / (THREADS_CHAIN * TILE_ITEMS)); in step 1 ceil(n_segments / THREADS_CHAIN)
//
// Deterministic: the only atomics set bits. Steps 0 and 2 read 8 or 9 bytes an element and write 9 or 1; step 1 is bound by the
// latency of a load for each tile of the longest segment.

#include "place.cuh"

typedef unsigned char u8;

#define TILE (THREADS_CHAIN * TILE_ITEMS)

extern "C" __global__ void __launch_bounds__(THREADS_CHAIN)
segment_chain(const i64* following, const i64* at, i64* exits, u8* met, i64 n, int n_segments, int step) {
  __shared__ i64 jump[TILE];
  __shared__ unsigned marked[TILE / 32];
  if (step == 1) {
    i64 segment = static_cast<i64>(blockIdx.x) * THREADS_CHAIN + threadIdx.x;
    if (segment >= n_segments) return;
    i64 end = at[segment + 1];
    for (i64 i = at[segment]; i < end; i = exits[i]) met[i] = 1;
    return;
  }
  i64 first = static_cast<i64>(blockIdx.x) * TILE, stop = min(first + TILE, n);
  // Segments that end by these elements, of the whole tile: mostly the same number.
  i64 low = place(at + 1, 0, n_segments, first, true), high = place(at + 1, low, n_segments, stop - 1, true);
  if (threadIdx.x < TILE / 32) marked[threadIdx.x] = 0;
  __syncthreads();
  for (int k = 0; k < TILE_ITEMS; k++) {
    int own = k * THREADS_CHAIN + threadIdx.x;
    i64 i = first + own, to = n;
    if (i < stop) {
      to = following[i];
      if (to >= at[place(at + 1, low, high, i, true) + 1]) to = n;
      if (step && met[i]) atomicOr(&marked[own >> 5], 1u << (own & 31));
    }
    jump[own] = to;
  }
  __syncthreads();
  for (;;) {
    i64 next[TILE_ITEMS];
    int mark[TILE_ITEMS], more = 0;
    #pragma unroll
    for (int k = 0; k < TILE_ITEMS; k++) {
      int own = k * THREADS_CHAIN + threadIdx.x;
      i64 to = jump[own];
      mark[k] = -1;
      next[k] = to;
      if (to < stop) {
        int inside = static_cast<int>(to - first);
        if (step && marked[own >> 5] >> (own & 31) & 1) mark[k] = inside;
        next[k] = jump[inside];
        more = 1;
      }
    }
    if (!__syncthreads_or(more)) break;
    #pragma unroll
    for (int k = 0; k < TILE_ITEMS; k++) {
      jump[k * THREADS_CHAIN + threadIdx.x] = next[k];
      if (mark[k] >= 0) atomicOr(&marked[mark[k] >> 5], 1u << (mark[k] & 31));
    }
    __syncthreads();
  }
  for (int k = 0; k < TILE_ITEMS; k++) {
    int own = k * THREADS_CHAIN + threadIdx.x;
    i64 i = first + own;
    if (i >= stop) break;
    if (!step) exits[i] = jump[own];
    met[i] = step ? marked[own >> 5] >> (own & 31) & 1 : 0;
  }
}
