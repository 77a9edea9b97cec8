// What each attempt finds, as a class code, where its costs stand, and how long it takes. `attempt_costs` of
// engine/array/visits.py is the same text in array operations.
//
// in    row, table_row, pair   i64[n]    row of the pair's region in which the pass starts, where its columns stand, the pair
//       caught                 u8[]      of each row: whether a pass finds the bit set that started before
//       visited                u8[n]     whether an earlier attempt met the row
//       free, code, group      of each row of the tables: u8, i64, i64
//       cost_at                i64[n_pairs]   where the costs of each pair begin
//       length_ns              i64[]     by cost
// out   found, cost, lasts     i64[n]
// grid  ceil(n / THREADS_ELEMENTS)
//
// One thread an attempt. Deterministic. Memory-bound, mostly by what it gathers.

typedef long long i64;
typedef unsigned char u8;

extern "C" __global__ void __launch_bounds__(THREADS_ELEMENTS)
attempt_costs(const i64* row, const i64* table_row, const i64* pair, const u8* caught, const u8* visited, const u8* free,
              const i64* code, const i64* group, const i64* cost_at, const i64* length_ns, i64* found, i64* cost, i64* lasts,
              i64 n) {
  i64 i = static_cast<i64>(blockIdx.x) * THREADS_ELEMENTS + threadIdx.x;
  if (i >= n) return;
  i64 where = table_row[i];
  i64 what = free[where] && (visited[i] || caught[row[i]]) ? CODE_CACHED : code[where];
  i64 to = what + group[where] + cost_at[pair[i]];
  found[i] = what;
  cost[i] = to;
  lasts[i] = length_ns[to];
}
