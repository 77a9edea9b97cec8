// How many pages of each region are assigned, and the first block with one, -1 if there is none: A and first of
// MODEL.md section 4.
//
// in    words     u64[n_regions][PAGES_PER_REGION / 64]  one bit a page, bit 0 of word 0 is the region's lowest PFN;
//                                                        any address that 8 divides, regions of many hosts in a row
// out   assigned  i32[n_regions], first i16[n_regions]   every element is written
// grid  n_regions
//
// One thread block a region: 256 threads have the whole 32 KiB under way at once, so that no load waits for another,
// and what a block does afterwards is hidden by the loads of the next ones. A few regions fill a device already.
// Bandwidth-bound: one pass. As compiled by NVRTC 13.0 for sm_90: 8 LDG.E.EF.128 stand before the first POPC, and 40
// registers let 6 blocks, hence 192 KiB of loads, on a multiprocessor. Deterministic: integer sums and minima only.
//
// An array that lies 8 bytes off 16 keeps its 16-byte loads: pairs begin one word later, and the two words that remain,
// the region's first and last, are the last pair.

typedef unsigned long long u64;

#define FULL 0xffffffffu
#define WORDS (PAGES_PER_REGION / 64)
#define PAIRS (WORDS / 2)
#define WORDS_PER_BLOCK (PAGES_PER_BLOCK / 64)
#define LOADS (PAIRS / THREADS_SCAN)

// The count and the lowest block of one thread's pairs. SHIFT: words by which the pairs begin later than the region.
template <int SHIFT>
__device__ __forceinline__ void scan(const u64* region, int& assigned, int& first) {
  const ulonglong2* pairs = reinterpret_cast<const ulonglong2*>(region + SHIFT);
  ulonglong2 loaded[LOADS];
#pragma unroll
  for (int i = 0; i < LOADS; i++) {
    int pair = i * THREADS_SCAN + threadIdx.x;
    if (SHIFT && i == LOADS - 1 && pair == PAIRS - 1) {
      loaded[i].x = region[WORDS - 1];
      loaded[i].y = region[0];
    } else {
      loaded[i] = __ldcs(pairs + pair);
    }
  }
  assigned = 0;
  first = PAGES_PER_REGION / PAGES_PER_BLOCK;
#pragma unroll
  for (int i = 0; i < LOADS; i++) {
    int word = 2 * (i * THREADS_SCAN + threadIdx.x) + SHIFT;
    assigned += __popcll(loaded[i].x) + __popcll(loaded[i].y);
    if (SHIFT) {
      // A pair may lie in two blocks; what follows the region's last word is its first.
      if (loaded[i].x) first = min(first, word / WORDS_PER_BLOCK);
      if (loaded[i].y) first = min(first, (word + 1) % WORDS / WORDS_PER_BLOCK);
    } else if (loaded[i].x | loaded[i].y) {
      first = min(first, word / WORDS_PER_BLOCK);
    }
  }
}

extern "C" __global__ void __launch_bounds__(THREADS_SCAN) rmp_scan(const u64* words, int* assigned, short* first) {
  __shared__ int sums[THREADS_SCAN / 32], lowest[THREADS_SCAN / 32];
  const u64* region = words + static_cast<u64>(blockIdx.x) * WORDS;
  int count, block;
  if (reinterpret_cast<u64>(words) & 8) {
    scan<1>(region, count, block);
  } else {
    scan<0>(region, count, block);
  }
  count = __reduce_add_sync(FULL, count);
  block = __reduce_min_sync(FULL, block);
  if (threadIdx.x % 32 == 0) {
    sums[threadIdx.x / 32] = count;
    lowest[threadIdx.x / 32] = block;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
#pragma unroll
    for (int warp = 1; warp < THREADS_SCAN / 32; warp++) {
      count += sums[warp];
      block = min(block, lowest[warp]);
    }
    assigned[blockIdx.x] = count;
    first[blockIdx.x] = count ? block : -1;
  }
}
