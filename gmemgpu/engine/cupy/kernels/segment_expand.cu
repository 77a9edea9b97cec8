// Each segment's elements listed one after another: which segment each is of, and its number.
//
// in    ends   i64[n_segments]   how many elements segments up to this one have; segments may be empty
//       first  i64[n_segments]   number of each segment's first element, or its value; of no concern without `value`
//       total  ends[n_segments - 1]
//       values 0: `value` is left alone; 1: elements are numbered on from the first; 2: they have their segment's value, and
//              `owner` is left alone
// out   owner  i64[total]        every element is written
//       value  i64[total]
// grid  ceil(total / THREADS_EXPAND)
//
// One thread an element, one bisection, of which the threads of a warp take nearly the same path. Deterministic.

#include "place.cuh"

extern "C" __global__ void __launch_bounds__(THREADS_EXPAND)
segment_expand(const i64* ends, const i64* first, i64* owner, i64* value, i64 n_segments, i64 total, int values) {
  i64 i = static_cast<i64>(blockIdx.x) * THREADS_EXPAND + threadIdx.x;
  if (i >= total) return;
  i64 own = place(ends, 0, n_segments, i, true);
  if (values == 2) {
    value[i] = first[own];
    return;
  }
  owner[i] = own;
  if (values) value[i] = first[own] + i - (own ? ends[own - 1] : 0);
}
