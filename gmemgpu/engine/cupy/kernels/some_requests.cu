// The requests of some pairs, in any order and as often as they are named. `some_requests` of engine/array/request_times.py is
// the same text in array operations.
//
// in    from_at     i64[n_chosen]   where the requests of each pair that is wanted begin
//       at          i64[n_chosen + 1]   where they go
//       t_ns, quiet, due_ns, past, latest_ns, past_latest, alone_ns, following   i64[]: the columns of `RequestTimes`
// out   the same, each to_..., i64[n]; what counts requests is moved along
// grid  ceil(n / THREADS_ELEMENTS)
//
// One thread a request. Deterministic. Memory-bound: reads and writes 128 bytes a request.

#include "place.cuh"

extern "C" __global__ void __launch_bounds__(THREADS_ELEMENTS)
some_requests(const i64* from_at, const i64* at, const i64* t_ns, const i64* quiet, const i64* due_ns, const i64* past,
              const i64* latest_ns, const i64* past_latest, const i64* alone_ns, const i64* following, i64* to_t_ns,
              i64* to_quiet, i64* to_due_ns, i64* to_past, i64* to_latest_ns, i64* to_past_latest, i64* to_alone_ns,
              i64* to_following, i64 n, i64 n_chosen) {
  i64 i = static_cast<i64>(blockIdx.x) * THREADS_ELEMENTS + threadIdx.x;
  if (i >= n) return;
  i64 own = place(at + 1, 0, n_chosen, i, true), shift = at[own] - from_at[own], from = i - shift;
  to_t_ns[i] = t_ns[from];
  to_quiet[i] = quiet[from] + shift;
  to_due_ns[i] = due_ns[from];
  to_past[i] = past[from] + shift;
  to_latest_ns[i] = latest_ns[from];
  to_past_latest[i] = past_latest[from] + shift;
  to_alone_ns[i] = alone_ns[from];
  to_following[i] = following[from] + shift;
}
