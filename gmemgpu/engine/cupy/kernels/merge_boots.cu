// All passes of each pair in order: boot passes before those of the timer that could not start earlier. `merged` of
// engine/array/begun.py is the same text in array operations.
//
// in    start, due, length, first   i64[n_met]: passes of the timers; starts ascend within a pair
//       met_at                      i64[n_pairs + 1]: those of each pair
//       boot_start, boot_due, boot_length   i64[n - n_met]: boot passes; starts ascend within a pair
//       boot_at                     i64[n_pairs + 1]: those of each pair
// out   all_start, all_due, all_length, all_first   i64[n], -1 for the request that a boot pass begins with
//       is_boot                     u8[n]
// grid  ceil(n / THREADS_ELEMENTS)
//
// One thread a pass: it finds how many of the others of its pair go before it. Deterministic.

#include "place.cuh"

typedef unsigned char u8;

extern "C" __global__ void __launch_bounds__(THREADS_ELEMENTS)
merge_boots(const i64* start, const i64* due, const i64* length, const i64* first, const i64* met_at, const i64* boot_start,
            const i64* boot_due, const i64* boot_length, const i64* boot_at, i64* all_start, i64* all_due, i64* all_length,
            i64* all_first, u8* is_boot, i64 n, i64 n_pairs, i64 n_met) {
  i64 i = static_cast<i64>(blockIdx.x) * THREADS_ELEMENTS + threadIdx.x;
  if (i >= n) return;
  bool boots = i >= n_met;
  i64 own = boots ? i - n_met : i;
  i64 pair = place((boots ? boot_at : met_at) + 1, 0, n_pairs, own, true);
  i64 time = boots ? boot_start[own] : start[own];
  const i64* others = boots ? start : boot_start;
  const i64* at = boots ? met_at : boot_at;
  i64 to = own + place(others, at[pair], at[pair + 1], time, !boots);
  all_start[to] = time;
  all_due[to] = boots ? boot_due[own] : due[own];
  all_length[to] = boots ? boot_length[own] : length[own];
  all_first[to] = boots ? -1 : first[own];
  is_boot[to] = boots;
}
