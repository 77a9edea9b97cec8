// When boot passes start: when they fall due, after what the timer runs then, and after the boot pass before them.
// `boot_passes` of engine/array/begun.py is the same text in array operations.
//
// in    boot_at     i64[n + 1]      boot passes of each pair
//       due_ns      i64[]           when each falls due, ascending within a pair
//       timer, timer_at   i64[], i64[n + 1]   passes of timers in the last round, ascending; those of each pair
//       old, old_at       i64[], i64[n + 1]   boot passes in the last round: the first one is the first that falls due
//       start_ns, end_ns  i64[]     of each pass of the last round; starts ascend within a pair
// out   start, end, length_ns   i64[]   of each boot pass; a new one has no length yet
// grid  ceil(n / THREADS_ELEMENTS)
//
// One thread a pair: it has few. Where lengths of a pair sum up to more than 2^62, none pushes another. Deterministic.

#include "place.cuh"

#define SAFE (1ll << 62)

extern "C" __global__ void __launch_bounds__(THREADS_ELEMENTS)
boot_passes(const i64* boot_at, const i64* due_ns, const i64* timer, const i64* timer_at, const i64* old, const i64* old_at,
            const i64* start_ns, const i64* end_ns, i64* start, i64* end, i64* length_ns, i64 n) {
  i64 pair = static_cast<i64>(blockIdx.x) * THREADS_ELEMENTS + threadIdx.x;
  if (pair >= n) return;
  // Every pass is of a timer or a boot pass.
  i64 first = timer_at[pair] + old_at[pair], last = timer_at[pair + 1] + old_at[pair + 1], total = 0;
  for (i64 boot = boot_at[pair]; boot < boot_at[pair + 1]; boot++) {
    i64 own = due_ns[boot], before = place(start_ns, first, last, own, false);
    i64 count = place(timer, timer_at[pair], timer_at[pair + 1], before, false);
    if (count > timer_at[pair]) own = max(own, end_ns[timer[count - 1]]);
    i64 was = old_at[pair] + boot - boot_at[pair];
    i64 length = was < old_at[pair + 1] ? end_ns[old[was]] - start_ns[old[was]] : 0;
    total = total > SAFE || length > SAFE - total ? SAFE + 1 : total + length;
    start[boot] = own;
    length_ns[boot] = length;
  }
  for (i64 boot = boot_at[pair], before = 0; boot < boot_at[pair + 1]; boot++) {
    i64 own = max(start[boot], before);
    start[boot] = own;
    end[boot] = own + length_ns[boot];
    before = total > SAFE ? own : end[boot];
  }
}
