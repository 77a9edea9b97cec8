// Images of the assigned pages of regions from time to time, each made of the one before: what `rmp_scan` reads.
//
// in       extent_lo, _hi, _image, _assigns  of each extent: pages of its region, half open; the first image that holds it;
//                                            whether it assigns or clears; grouped by region, in event order
//          end                               i64[n_regions]: one past the last extent of each region
// in, out  next                              i64[n_regions]: the first extent of each region that no image held so far
//          images                            u64[n_images][n_regions][PAGES_PER_REGION / 64], one bit a page; every element
//                                            is written, and before that image `before` is read unless that is -1
// grid     n_regions; images are those from first_image on
//
// One thread block a region. A bitmap of 32 KiB lies in shared memory; of its words every thread has its own, so that no
// extent waits for another's barrier. Bandwidth-bound where images are many: 32 KiB written for each. Deterministic.

typedef long long i64;
typedef unsigned long long u64;

#define FULL 0xffffffffffffffffull
#define WORDS (PAGES_PER_REGION / 64)

extern "C" __global__ void __launch_bounds__(THREADS_IMAGE)
rmp_image(const int* extent_lo, const int* extent_hi, const int* extent_image, const unsigned char* extent_assigns,
          const i64* end, i64* next, u64* images, int before, int first_image, int n_images) {
  __shared__ u64 bits[WORDS];
  u64 n_regions = gridDim.x, region = blockIdx.x;
  i64 at = next[region], stop = end[region];
  for (int w = threadIdx.x; w < WORDS; w += THREADS_IMAGE) {
    bits[w] = before < 0 ? 0 : images[(before * n_regions + region) * WORDS + w];
  }
  for (int image = 0; image < n_images; image++) {
    for (; at < stop && extent_image[at] <= first_image + image; at++) {
      int lo = extent_lo[at], hi = extent_hi[at], first = lo >> 6;
      bool assigns = extent_assigns[at];
      // The first word from there on that is this thread's.
      for (int w = first + ((threadIdx.x - first) & (THREADS_IMAGE - 1)); 64 * w < hi; w += THREADS_IMAGE) {
        u64 pages = w == first ? FULL << (lo & 63) : FULL;
        int left = hi - 64 * w;
        if (left < 64) pages &= (1ull << left) - 1;
        bits[w] = assigns ? bits[w] | pages : bits[w] & ~pages;
      }
    }
    u64* out = images + (image * n_regions + region) * WORDS;
    for (int w = threadIdx.x; w < WORDS; w += THREADS_IMAGE) out[w] = bits[w];
  }
  __syncthreads();  // all have read `next`
  if (threadIdx.x == 0) next[region] = at;
}
