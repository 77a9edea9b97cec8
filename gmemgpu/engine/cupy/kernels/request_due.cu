// When the pass of each request would start if a batch began with it, given the passes of the last round; `due_times` of
// engine/array/due.py is the same text in array operations.
//
// in    at ... following0   the requests of all pairs, as `RequestTimes` describes them
//       drop, debounce_ns   of each pair: whether requests that come while a pass runs are lost; the delay of debounce, or -1
//       pass_at             i64[n_pairs + 1]: passes of each pair
//       start_ns, end_ns    of each pass; starts ascend within a pair
//       latest_end_ns       of each pass: the latest end up to it within its pair
//       boot_at             i64[n_pairs + 1]: boot passes of each pair
//       boot_ns, boot_end_ns  when each falls due, and when it ends
//       known, length_ns    i64[n_known]: requests that passes begin with, ascending, and what those passes last
//       origin              i64[n]: the number of each request among all of them, which `known` and `all_at` count; empty if
//                           `n_origin` is 0: its own
//       all_at              i64[n_pairs + 1]: where all requests of each pair begin
// out   start, due          i64[n]: of the pass that the request begins
//       following           i64[n]: the first request that belongs to it no more
// grid  ceil(n / THREADS_ELEMENTS)
//
// One thread a request: two bisections, of which the threads of a warp take nearly the same path; more where a pass is in its
// way. Deterministic. Reads and writes some 60 bytes a request.

#include "place.cuh"

typedef unsigned char u8;

extern "C" __global__ void __launch_bounds__(THREADS_ELEMENTS)
request_due(const i64* at, const i64* t_ns, const i64* quiet, const i64* due_ns, const i64* past, const i64* latest_ns,
            const i64* past_latest, const i64* alone_ns, const i64* following0, const u8* drop, const i64* debounce_ns,
            const i64* pass_at, const i64* start_ns, const i64* end_ns, const i64* latest_end_ns, const i64* boot_at,
            const i64* boot_ns, const i64* boot_end_ns, const i64* known, const i64* length_ns, const i64* origin,
            const i64* all_at, i64* start, i64* due, i64* following, i64 n, i64 n_pairs, i64 n_known, i64 n_origin) {
  i64 i = static_cast<i64>(blockIdx.x) * THREADS_ELEMENTS + threadIdx.x;
  if (i >= n) return;
  i64 pair = place(at + 1, 0, n_pairs, i, true), begin = at[pair], end = at[pair + 1];
  i64 due_of = alone_ns[i], start_of = due_of, next = following0[i];
  bool drops = drop[pair];

  // A pass that is held up by another starts at its end, and what comes until then belongs to it.
  auto hold = [&](i64 free_ns) {
    i64 before = place(t_ns, begin, end, free_ns, false), after = place(t_ns, before, end, free_ns, true);
    i64 joins = quiet[debounce_ns[pair] >= 0 && before - 1 > i ? before - 1 : i];
    bool sooner = latest_ns[i] < due_ns[joins];
    due_of = sooner ? latest_ns[i] : due_ns[joins];
    start_of = max(due_of, free_ns);
    next = max(sooner ? past_latest[i] : past[joins], after);
  };

  i64 passes = pass_at[pair], k = drops ? passes : place(start_ns, passes, pass_at[pair + 1], t_ns[i], false);
  if (k > passes && latest_end_ns[k - 1] > t_ns[i]) {
    // Of several that run then, the last.
    while (end_ns[k - 1] <= t_ns[i]) k--;
    hold(end_ns[k - 1]);
  }
  // By rising due times, so that a pass held up into the next boot pass waits for that one, too.
  for (i64 boot = boot_at[pair]; boot < boot_at[pair + 1]; boot++)
    if (start_of < boot_end_ns[boot] && start_of >= boot_ns[boot]) hold(boot_end_ns[boot]);

  if (drops && n_known && next < end) {
    // What its own pass loses begins no other: that lasts as in the last round, or like the one before it then.
    i64 own = n_origin ? origin[i] : i, count = place(known, 0, n_known, own, true);
    i64 free_ns = start_of + (count && known[count - 1] >= all_at[pair] ? length_ns[count - 1] : 0);
    if (free_ns > t_ns[next]) next = max(next, place(t_ns, begin, end, free_ns, false));
  }
  start[i] = start_of;
  due[i] = due_of;
  following[i] = next;
}
