// When passes start (MODEL.md section 5, Timer). All threads follow the schedule alike, so that it needs no barrier.

__device__ Schedule begin_schedule() {
  Schedule s = {};
  s.tick = 1;
  return s;
}

// The first request at or after the warm-up.
__device__ i64 first_counted(const Pair& pair) {
  u64 warmup = pair.trace[T_WARMUP_NS];
  if (!warmup) return 0;
  return after(FIELD(pair.job, J_REQUEST_NS, const i64*), 0, pair.job[J_N_REQUESTS], warmup - 1);
}

// Requests [s.next, stop) come while a pass runs and are dropped.
__device__ void lose(Schedule& s, Counts& counts, const Pair& pair, i64 stop) {
  i64 warm = first_counted(pair), counted = s.next > warm ? s.next : warm;
  if (threadIdx.x == 0 && stop > counted) counts.lost += stop - counted;
  u32* lost = FIELD(pair.job, J_LOST, u32*);
  if (lost) {
    for (i64 i = s.next + threadIdx.x; i < stop; i += blockDim.x) atomicOr(&lost[i >> 5], 1u << (i & 31));
  }
  s.next = stop;
}

// Of the requests from s.next on, the last that moves the pending `debounce` timer before its pass starts. A warp looks at
// 32 of them at a time: each lane asks whether the pass that its request would bring starts before the next request.
__device__ i64 last_mover(
    const Schedule& s, const i64* request_ns, i64 n, u64 delay, i64 max_wait, u64 boot_start) {
  for (i64 first = s.next;; first += 32) {
    i64 mine = first + (threadIdx.x & 31);
    bool last = mine + 1 >= n;
    if (!last) {
      u64 due = request_ns[mine] + delay;
      if (max_wait >= 0) due = sooner(due, request_ns[s.armed_by] + max_wait);
      last = static_cast<u64>(request_ns[mine + 1]) >= sooner(boot_start, later(due, s.free_at));
    }
    u32 found = __ballot_sync(FULL, last);
    if (found) return first + __ffs(found) - 1;
  }
}

__device__ int next_pass(Schedule& s, Counts& counts, const Pair& pair, u64* start_at) {
  const i64* request_ns = FIELD(pair.job, J_REQUEST_NS, const i64*);
  const i64* inits = FIELD(pair.trace, T_INITS, const i64*);
  i64 n = pair.job[J_N_REQUESTS];
  int timer = pair.policy[P_TIMER];
  u64 delay = pair.policy[P_DELAY_NS];
  i64 max_wait = pair.policy[P_MAX_WAIT_NS];
  bool drop = pair.policy[P_DROP];
  int n_boots = pair.policy[P_BOOT] ? static_cast<int>(pair.trace[T_N_INITS]) + 1 : 0;
  for (;;) {
    u64 boot_start = FOREVER, timer_start = FOREVER;
    if (s.boot < n_boots) boot_start = later(s.boot ? inits[s.boot - 1] : 0, s.free_at);
    if (s.armed) {
      timer_start = later(s.due, s.free_at);
    } else if (timer == TIMER_PERIODIC) {
      if (s.tick * delay < s.free_at) s.tick = (s.free_at + delay - 1) / delay;  // ticks during a pass are skipped
      timer_start = s.tick * delay;
    }
    u64 start = sooner(boot_start, timer_start);
    // Requests strictly before the next pass come first: they may arm or move the timer, or be lost.
    if (s.next < n && static_cast<u64>(request_ns[s.next]) < start) {
      u64 t = request_ns[s.next];
      if (drop && s.started < t && t < s.free_at) {
        lose(s, counts, pair, after(request_ns, s.next, n, s.free_at - 1));
      } else if (!s.armed) {
        s.armed = true;
        s.armed_by = s.next++;
        s.due = t + delay;
        if (max_wait >= 0) s.due = sooner(s.due, t + max_wait);
      } else if (timer == TIMER_DEBOUNCE) {
        // With `drop` one of those that follow may be lost; they are rare, and taken one by one.
        i64 last = drop ? s.next : last_mover(s, request_ns, n, delay, max_wait, boot_start);
        s.due = request_ns[last] + delay;
        if (max_wait >= 0) s.due = sooner(s.due, request_ns[s.armed_by] + max_wait);
        s.next = last + 1;
      } else if (drop && s.free_at > t) {
        s.next++;
      } else {
        s.next = after(request_ns, s.next, n, start - 1);
      }
      continue;
    }
    if (start >= pair.trace[T_HORIZON_NS]) return NO_PASS;
    *start_at = start;
    if (boot_start <= timer_start) {
      s.boot++;
      s.first = s.stop = s.next;
      return BOOT_PASS;
    }
    // Those at exactly the start still belong to the pass, and no longer move its timer.
    s.stop = after(request_ns, s.next, n, start);
    s.first = s.armed ? s.armed_by : s.stop;
    s.next = s.stop;
    s.armed = false;
    if (timer == TIMER_PERIODIC) s.tick++;
    return TIMER_PASS;
  }
}
