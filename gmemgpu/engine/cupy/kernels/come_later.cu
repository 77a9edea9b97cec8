// Which of some indices come after an equal one that is chosen.
//
// in    index     i64[n]    below the size of `first`
//       which     u8[n]     whether each is chosen
//       step      0, then 1
// out   first     u64[]     zero before; step 0: n less the place of the first chosen one of each index
//       later     u8[n]     step 1
// grid  ceil(n / THREADS_ELEMENTS)
//
// One thread an index. Deterministic: a largest value is the same in any order.

typedef long long i64;
typedef unsigned long long u64;
typedef unsigned char u8;

extern "C" __global__ void __launch_bounds__(THREADS_ELEMENTS)
come_later(const i64* index, const u8* which, u64* first, u8* later, i64 n, i64 step) {
  i64 i = static_cast<i64>(blockIdx.x) * THREADS_ELEMENTS + threadIdx.x;
  if (i >= n) return;
  u64 rest = static_cast<u64>(n - i);
  if (step) later[i] = first[index[i]] > rest;
  else if (which[i]) atomicMax(&first[index[i]], rest);
}
