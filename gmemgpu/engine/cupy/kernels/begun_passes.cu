// The passes that start before the horizon, and which pairs have others than in the last round. The second half of `begun` of
// engine/array/begun.py is the same text in array operations.
//
// in    from_at                     i64[n_pairs + 1]: where the passes of each pair begin that might start
//       start, length, first        i64[from_at[n_pairs]]; and is_boot, u8
//       at                          i64[n_pairs + 1]: where those begin that do start: the first ones of each pair
//       old_at, old_start, old_first  the passes of the last round
// out   pair, start_ns, end_ns, begun_first   i64[at[n_pairs]]; and boot, u8
//       differs                     i32[n_pairs]: set to 1 where passes differ
// grid  ceil(n / THREADS_ELEMENTS), n at least n_pairs and at[n_pairs]
//
// One thread a pass, and one a pair. Deterministic: the only atomics set bits.

#include "place.cuh"

typedef unsigned char u8;

extern "C" __global__ void __launch_bounds__(THREADS_ELEMENTS)
begun_passes(const i64* from_at, const i64* start, const i64* length, const i64* first, const u8* is_boot, const i64* at,
             const i64* old_at, const i64* old_start, const i64* old_first, i64* pair, i64* start_ns, i64* end_ns,
             i64* begun_first, u8* boot, int* differs, i64 n, i64 n_pairs) {
  i64 i = static_cast<i64>(blockIdx.x) * THREADS_ELEMENTS + threadIdx.x;
  if (i < n_pairs && at[i + 1] - at[i] != old_at[i + 1] - old_at[i]) atomicOr(&differs[i], 1);
  if (i >= n || i >= at[n_pairs]) return;
  i64 own = place(at + 1, 0, n_pairs, i, true);
  i64 ordinal = i - at[own], from = from_at[own] + ordinal, old = old_at[own] + ordinal;
  pair[i] = own;
  start_ns[i] = start[from];
  end_ns[i] = start[from] + length[from];
  begun_first[i] = first[from];
  boot[i] = is_boot[from];
  bool same = old < old_at[own + 1] && old_start[old] == start[from] && old_first[old] == first[from];
  if (!same) atomicOr(&differs[own], 1);
}
