// In which rows passes start that attempt single regions, and which of those regions the gate lets through. `attempts_of` of
// engine/array/visits.py is the same text in array operations.
//
// in    key         i64[n]          pass * base + index of the region among the covered ones of its trace
//       pass_pair, instant   i64[n_passes]   the pair of each pass; how many instants of its trace have come by its start
//       n_instants, row_key, begin, end, row_at   as `rows_at` has them
//       to_table    i64[n_pairs]    what to add to a row of a pair to find its columns
//       gate        i64[n_pairs]    2: only free regions, 1: only those without pages of guest_memfds, 0: all
//       busy, gmem  u8              of each row of the tables: whether any pages are assigned, and of guest_memfds
// out   scan_pass, pair, row, table_row   i64[n]
//       passes_gate u8[n]
// grid  ceil(n / THREADS_ELEMENTS)
//
// One thread an attempt, one bisection. Deterministic.

#include "place.cuh"

typedef unsigned char u8;

extern "C" __global__ void __launch_bounds__(THREADS_ELEMENTS)
attempt_rows(const i64* key, const i64* pass_pair, const i64* instant, const i64* n_instants, const i64* row_key,
             const i64* begin, const i64* end, const i64* row_at, const i64* to_table, const i64* gate, const u8* busy,
             const u8* gmem, i64* scan_pass, i64* pair, i64* row, i64* table_row, u8* passes_gate, i64 n, i64 base) {
  i64 i = static_cast<i64>(blockIdx.x) * THREADS_ELEMENTS + threadIdx.x;
  if (i >= n) return;
  i64 pass = key[i] / base, position = key[i] - pass * base, own = pass_pair[pass];
  i64 wanted = position * n_instants[own] + instant[pass] - 1;
  i64 found = place(row_key, begin[own], end[own], wanted, true) - begin[own] - 1 + row_at[own];
  i64 where = found + to_table[own];
  scan_pass[i] = pass;
  pair[i] = own;
  row[i] = found;
  table_row[i] = where;
  passes_gate[i] = !(busy[where] && (gate[own] == 2 || (gate[own] == 1 && gmem[where])));
}
