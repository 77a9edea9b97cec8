// Nearest-rank percentiles of the latencies of each (trace, policy) pair, so that only four numbers travel home.
//
// One thread block a pair. A rank is found digit by digit, eight bits at a time from the top: a histogram of the next digit
// among the values that share the digits found so far says which digit the wanted value has.
//
// in       jobs  u64[][J_FIELDS], see defines.py: J_LATENCY_NS, and the number of them at J_OUT
// out      O_P50_NS, O_P90_NS, O_P99_NS, O_MAX_NS of each job; -1 if it has no latency
// grid     n_jobs
//
// Deterministic whatever the order of the latencies. Memory-bound: reads each latency up to 32 times.

typedef unsigned long long u64;
typedef long long i64;

#define DIGIT_BITS 8
#define DIGITS (1 << DIGIT_BITS)
#define FIELD(row, name, type) (reinterpret_cast<type>((row)[name]))

extern "C" __global__ void __launch_bounds__(THREADS_RANKS)
latency_ranks(const u64* jobs) {
  __shared__ u64 histogram[DIGITS];
  __shared__ u64 found, rank;
  const u64* job = jobs + static_cast<u64>(blockIdx.x) * J_FIELDS;
  i64* out = FIELD(job, J_OUT, i64*);
  const u64* latency = FIELD(job, J_LATENCY_NS, const u64*);
  u64 n = out[O_LATENCIES];
  const int percents[4] = {50, 90, 99, 100};
  for (int which = 0; which < 4; which++) {
    if (n == 0) {
      if (threadIdx.x == 0) out[O_P50_NS + which] = -1;
      continue;
    }
    if (threadIdx.x == 0) {
      found = 0;
      rank = (n * percents[which] + 99) / 100;
    }
    for (int shift = 64 - DIGIT_BITS; shift >= 0; shift -= DIGIT_BITS) {
      for (int digit = threadIdx.x; digit < DIGITS; digit += blockDim.x) histogram[digit] = 0;
      __syncthreads();
      u64 above = found;  // the digits found so far
      for (u64 i = threadIdx.x; i < n; i += blockDim.x) {
        u64 value = latency[i];
        bool same = shift == 64 - DIGIT_BITS || (value ^ above) >> (shift + DIGIT_BITS) == 0;
        if (same) atomicAdd(&histogram[value >> shift & (DIGITS - 1)], 1ull);
      }
      __syncthreads();
      if (threadIdx.x == 0) {
        u64 left = rank;
        int digit = 0;
        while (histogram[digit] < left) left -= histogram[digit++];
        rank = left;
        found |= static_cast<u64>(digit) << shift;
      }
      __syncthreads();
    }
    if (threadIdx.x == 0) out[O_P50_NS + which] = found;
    __syncthreads();
  }
}
