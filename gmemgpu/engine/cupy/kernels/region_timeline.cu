// The state of every region after each of its pieces: A, G, E, U and the first assigned block (MODEL.md section 4), page-exact.
//
// One thread block plays one region at a time. Four bitmaps of its 262,144 pages lie in shared memory (128 KiB): assigned,
// of a guest_memfd, of an inode under eviction, in use. Which inode owns a page is needed only when an eviction begins or
// ends; it lies in global memory, 4 bytes a page, and is valid only where the guest_memfd bit is set.
//
// in       jobs                          i64[n_jobs][2]: first piece of a region, and one past its last; in event order;
//                                        longest first, since blocks take them in turn
//          piece_lo, _hi, _inode, _op    of each piece: pages of the region, half open (of an eviction, where its inode
//                                        ever lay); inode; OP_* of defines.py
// scratch  owners                        i32[gridDim.x][PAGES_PER_REGION], any content
// out      assigned, gmem, evicting,     after each piece, every element written
//          used, first
// grid     up to n_jobs; shared memory 4 * PAGES_PER_REGION / 8 bytes
//
// Deterministic: the only atomics are integer sums and minima. Bound by the latency of a piece's barrier, not by bandwidth.

typedef long long i64;
typedef unsigned int u32;

#ifndef DYN_SHARED
#define DYN_SHARED(T, name)                                    \
  extern __shared__ __align__(16) unsigned char name##_raw[];  \
  T* name = reinterpret_cast<T*>(name##_raw)
#endif
#define FULL 0xffffffffu
#define WORDS (PAGES_PER_REGION / 32)

enum { ASSIGNED, GMEM, EVICTING, USED, COLUMNS };

// The pages of [lo, hi) that lie in word w.
__device__ __forceinline__ u32 pages_of(int w, int lo, int hi) {
  int first = lo - 32 * w, stop = hi - 32 * w;
  u32 from = first <= 0 ? FULL : FULL << first;
  u32 below = stop >= 32 ? FULL : (1u << stop) - 1;
  return from & below;
}

__device__ __forceinline__ int change(u32 before, u32 now) { return __popc(now) - __popc(before); }

extern "C" __global__ void __launch_bounds__(THREADS_TIMELINE)
region_timeline(const i64* jobs, int n_jobs, const int* piece_lo, const int* piece_hi, const int* piece_inode,
                const unsigned char* piece_op, int* owners, int* assigned_pages, int* gmem_pages, int* evicting_pages,
                int* used_pages, short* first_block) {
  DYN_SHARED(u32, words);
  // Two of each: thread 0 reads and clears one while the next piece adds to the other, so that one barrier a piece does.
  __shared__ int deltas[2][COLUMNS];
  __shared__ int lowest[2];
  u32 *assigned = words, *gmem = words + WORDS, *evicting = words + 2 * WORDS, *used = words + 3 * WORDS;
  int* owner = owners + static_cast<i64>(blockIdx.x) * PAGES_PER_REGION;
  int lane = threadIdx.x & 31;
  for (int job = blockIdx.x; job < n_jobs; job += gridDim.x) {
    i64 begin = jobs[2 * job], end = jobs[2 * job + 1];
    __syncthreads();  // the region before is done with
    for (int w = threadIdx.x; w < COLUMNS * WORDS; w += blockDim.x) words[w] = 0;
    if (threadIdx.x < 2 * COLUMNS) deltas[threadIdx.x / COLUMNS][threadIdx.x % COLUMNS] = 0;
    if (threadIdx.x < 2) lowest[threadIdx.x] = WORDS;
    __syncthreads();
    int totals[COLUMNS] = {0, 0, 0, 0};  // of thread 0
    int first = -1;
    for (i64 piece = begin; piece < end; piece++) {
      int turn = (piece - begin) & 1;
      int op = piece_op[piece], lo = piece_lo[piece], hi = piece_hi[piece], inode = piece_inode[piece];
      int own[COLUMNS] = {0, 0, 0, 0};  // this thread's changes
      int first_word = lo >> 5, last_word = (hi - 1) >> 5;
      if (op == OP_EVICT_BEGIN || op == OP_EVICT_END) {
        // A warp looks at 32 pages at a time, so that owners are read in whole lines.
        for (int w = first_word + (threadIdx.x >> 5); w <= last_word; w += blockDim.x >> 5) {
          u32 before = evicting[w];
          bool mine = (gmem[w] >> lane & 1) && owner[32 * w + lane] == inode;
          u32 pages = __ballot_sync(FULL, mine);
          if (lane == 0) {
            u32 now = op == OP_EVICT_BEGIN ? before | pages : before & ~pages;
            evicting[w] = now;
            own[EVICTING] += change(before, now);
          }
          __syncwarp();
        }
      } else if (op == OP_USE || op == OP_UNUSE) {
        for (int w = first_word + threadIdx.x; w <= last_word; w += blockDim.x) {
          u32 pages = pages_of(w, lo, hi), before = used[w], visible = ~assigned[w];
          u32 now = op == OP_USE ? before | pages : before & ~pages;
          used[w] = now;
          own[USED] += change(before & visible, now & visible);
        }
      } else {
        bool to_guest = op == OP_ASSIGN || op == OP_ASSIGN_EVICTING;
        for (int w = first_word + threadIdx.x; w <= last_word; w += blockDim.x) {
          u32 pages = pages_of(w, lo, hi), a = assigned[w], g = gmem[w], e = evicting[w], u = used[w];
          u32 a_now = op == OP_CLEAR ? a & ~pages : a | pages;
          u32 g_now = to_guest ? g | pages : g & ~pages;
          u32 e_now = op == OP_ASSIGN_EVICTING ? e | pages : e & ~pages;
          assigned[w] = a_now;
          gmem[w] = g_now;
          evicting[w] = e_now;
          own[ASSIGNED] += change(a, a_now);
          own[GMEM] += change(g, g_now);
          own[EVICTING] += change(e, e_now);
          own[USED] += change(u & ~a, u & ~a_now);
        }
        if (to_guest) {
          for (int page = lo + threadIdx.x; page < hi; page += blockDim.x) owner[page] = inode;
        }
      }
      for (int column = 0; column < COLUMNS; column++) {
        int sum = __reduce_add_sync(FULL, own[column]);
        if (lane == 0 && sum) atomicAdd(&deltas[turn][column], sum);
      }
      __syncthreads();
      // All threads know the piece, so all follow `first` alike; only a loss at its front makes them search.
      bool search = op == OP_CLEAR && first >= 0 && lo < (first + 1) * PAGES_PER_BLOCK && hi > first * PAGES_PER_BLOCK;
      if (op <= OP_ASSIGN_OTHER && (first < 0 || lo / PAGES_PER_BLOCK < first)) first = lo / PAGES_PER_BLOCK;
      if (search) {
        int w = first * (PAGES_PER_BLOCK / 32) + threadIdx.x;
        while (w < WORDS && !assigned[w]) w += blockDim.x;
        int least = __reduce_min_sync(FULL, w);
        if (lane == 0 && least < WORDS) atomicMin(&lowest[turn], least);
        __syncthreads();
        first = lowest[turn] < WORDS ? lowest[turn] / (PAGES_PER_BLOCK / 32) : -1;
      }
      if (threadIdx.x == 0) {
        for (int column = 0; column < COLUMNS; column++) {
          totals[column] += deltas[turn][column];
          deltas[turn][column] = 0;
        }
        lowest[turn ^ 1] = WORDS;
        assigned_pages[piece] = totals[ASSIGNED];
        gmem_pages[piece] = totals[GMEM];
        evicting_pages[piece] = totals[EVICTING];
        used_pages[piece] = totals[USED];
        first_block[piece] = first;
      }
    }
  }
}
