// When each attempt visits its region, which row it meets there, and whether it succeeds. `attempt_visits` of
// engine/array/visits.py is the same text in array operations.
//
// in    scan_pass, pair, row, table_row, code, lasts   i64[n]: of each attempt; those of a pass one after another
//       until       i64[n + 1]      what all attempts before each last
//       attempt_at  i64[n_passes + 1]   first attempt of each pass
//       start_ns    i64[n_passes]
//       until_ns, free, position   of each row of the tables: when it ends; u8; index of its region
//       leads       u8[n_pairs]     whether the leader goes first, so that its attempt fails if it must, whatever it meets
//       n_instants, key, begin, end, row_at   as `rows_at` has them
//       bounds_ns   i64[]           instants of all traces
//       instant_begin, instant_end  i64[n_pairs]: those of each pair's trace
//       to_table    i64[n_pairs]    what to add to a row of a pair to find its columns
// out   visit_ns, done_ns, met_row, met_table_row   i64[n]
//       succeeds    u8[n]
// grid  ceil(n / THREADS_ELEMENTS)
//
// One thread an attempt; two bisections where the row is over by the visit. Deterministic.

#include "place.cuh"

typedef unsigned char u8;

extern "C" __global__ void __launch_bounds__(THREADS_ELEMENTS)
attempt_visits(const i64* scan_pass, const i64* pair, const i64* row, const i64* table_row, const i64* code, const i64* lasts,
               const i64* until, const i64* attempt_at, const i64* start_ns, const i64* until_ns, const u8* free,
               const i64* position, const u8* leads, const i64* n_instants, const i64* key, const i64* begin,
               const i64* end, const i64* row_at, const i64* bounds_ns, const i64* instant_begin,
               const i64* instant_end, const i64* to_table, i64* visit_ns, i64* done_ns, i64* met_row,
               i64* met_table_row, u8* succeeds, i64 n) {
  i64 i = static_cast<i64>(blockIdx.x) * THREADS_ELEMENTS + threadIdx.x;
  if (i >= n) return;
  i64 pass = scan_pass[i], own = pair[i], where = table_row[i], met = row[i];
  i64 visit = start_ns[pass] + until[i] - until[attempt_at[pass]];
  if (visit >= until_ns[where]) {
    i64 first = instant_begin[own], instant = place(bounds_ns, first, instant_end[own], visit, true) - first;
    i64 wanted = position[where] * n_instants[own] + instant - 1;
    met = place(key, begin[own], end[own], wanted, true) - begin[own] - 1 + row_at[own];
  }
  visit_ns[i] = visit;
  done_ns[i] = visit + lasts[i];
  met_row[i] = met;
  met_table_row[i] = met + to_table[own];
  succeeds[i] = free[met + to_table[own]] && (!leads[own] || code[i] >= CODE_CLEAN);
}
