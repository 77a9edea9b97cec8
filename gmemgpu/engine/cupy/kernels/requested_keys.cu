// Which passes attempt the regions that requests name. `requested_keys` of engine/array/targets.py is the same text in array
// operations.
//
// in    request, position, since_ns   i64[n]: of each region that is named: by which request, which region, and from when on
//       at          i64[n_pairs + 1]   where the requests of each pair begin
//       t_ns        i64[]           of each request; and lost, u8, not read if `losing` is 0: whether a boot pass loses it
//       first       i64[n_timer]    requests that passes of timers begin with, ascending
//       timer       i64[n_timer]    the number of each of these passes
//       start_ns, pass_pair, ran   of each pass: i64, i64, u8
// out   key         i64[n]          pass * base + position; -1: none
// grid  ceil(n / THREADS_ELEMENTS)
//
// One thread a region that is named, one bisection: a request belongs to the pass whose first request is the last one up to it,
// if it was made by its start. Deterministic.

#include "place.cuh"

typedef unsigned char u8;

extern "C" __global__ void __launch_bounds__(THREADS_ELEMENTS)
requested_keys(const i64* request, const i64* position, const i64* since_ns, const i64* at, const i64* t_ns, const u8* lost,
               const i64* first, const i64* timer, const i64* start_ns, const i64* pass_pair, const u8* ran, i64* key, i64 n,
               i64 n_timer, i64 losing, i64 base) {
  i64 i = static_cast<i64>(blockIdx.x) * THREADS_ELEMENTS + threadIdx.x;
  if (i >= n) return;
  i64 own = request[i], count = place(first, 0, n_timer, own, true), found = -1;
  if (count && !(losing && lost[own])) {
    i64 pass = timer[count - 1], start = start_ns[pass];
    bool joins = own < at[pass_pair[pass] + 1] && t_ns[own] <= start && since_ns[i] <= start && ran[pass];
    if (joins) found = pass * base + position[i];
  }
  key[i] = found;
}
