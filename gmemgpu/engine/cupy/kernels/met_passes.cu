// Of the requests that passes begin with: start and due time, how long the pass takes, and the request's number among all.
// `met_passes` of engine/array/begun.py is the same text in array operations.
//
// in    met               i64[n], ascending
//       start, due        of each request
//       origin            i64[]: the number of each request among all of them; not read if `mapped` is 0: its own
//       known, length_ns  i64[n_known]: requests that passes of the last round began with, ascending, and what those lasted
//       at                i64[n_pairs + 1]: where all requests of each pair begin
// out   met_start, met_due, met_length, met_first    i64[n]
// grid  ceil(n / THREADS_ELEMENTS)
//
// One thread a pass, two bisections. A pass lasts as it did, or like the one before it in its pair. Deterministic.

#include "place.cuh"

extern "C" __global__ void __launch_bounds__(THREADS_ELEMENTS)
met_passes(const i64* met, const i64* start, const i64* due, const i64* origin, const i64* known, const i64* length_ns,
           const i64* at, i64* met_start, i64* met_due, i64* met_length, i64* met_first, i64 n, i64 n_pairs, i64 n_known,
           i64 mapped) {
  i64 i = static_cast<i64>(blockIdx.x) * THREADS_ELEMENTS + threadIdx.x;
  if (i >= n) return;
  i64 request = met[i], first = mapped ? origin[request] : request;
  i64 count = place(known, 0, n_known, first, true);
  bool own = count && known[count - 1] >= at[place(at + 1, 0, n_pairs, first, true)];
  met_start[i] = start[request];
  met_due[i] = due[request];
  met_length[i] = own ? length_ns[count - 1] : 0;
  met_first[i] = first;
}
