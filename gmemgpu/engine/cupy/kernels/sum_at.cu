// Sums of values by index, or counts; of all elements or of those that a flag chooses.
//
// in    index    i64[n]    below the size of `sums`
//       values   i64[n]    not read if `valued` is 0: ones
//       which    u8[n]     which elements count; not read if `chosen` is 0: all
// out   sums     u64[]     what comes to what is there; signed sums wrap around to the same bits
// grid  ceil(n / (THREADS_SUM * TILE_ITEMS))
//
// Neighbours often have one index: what a thread meets in a row it adds up first, and so does a warp. Deterministic, since
// integers are added. Reads 8 to 17 bytes an element.

typedef long long i64;
typedef unsigned long long u64;
typedef unsigned char u8;

#define ALL 0xffffffffu

extern "C" __global__ void __launch_bounds__(THREADS_SUM)
sum_at(const i64* index, const i64* values, const u8* which, u64* sums, i64 n, int valued, int chosen) {
  i64 first = static_cast<i64>(blockIdx.x) * THREADS_SUM * TILE_ITEMS + threadIdx.x;
  i64 own = -1;
  u64 sum = 0;
  for (int k = 0; k < TILE_ITEMS; k++) {
    i64 i = first + k * THREADS_SUM;
    if (i >= n || (chosen && !which[i])) continue;
    if (index[i] != own) {
      if (own >= 0) atomicAdd(&sums[own], sum);
      own = index[i];
      sum = 0;
    }
    sum += valued ? static_cast<u64>(values[i]) : 1;
  }
  // Lanes without any go along with the others.
  unsigned some = __ballot_sync(ALL, own >= 0);
  if (!some) return;
  i64 common = __shfl_sync(ALL, own, __ffs(some) - 1);
  if (__all_sync(ALL, own < 0 || own == common)) {
    for (int distance = 16; distance; distance >>= 1) sum += __shfl_down_sync(ALL, sum, distance);
    if (!(threadIdx.x & 31)) atomicAdd(&sums[common], sum);
  } else if (own >= 0) {
    atomicAdd(&sums[own], sum);
  }
}
