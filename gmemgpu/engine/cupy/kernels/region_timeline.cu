// The state of every region after each of its pieces: A, G, E, U and the first assigned block (MODEL.md section 4), page-exact.
//
// One thread block plays one region at a time. Bitmaps of its 262,144 pages, 32 KiB each, lie in shared memory: assigned, of
// a guest_memfd and, where something is evicted, of an inode under eviction. What is in use is played by another launch, with
// bitmaps of what is assigned and of what is in use: three would leave room for fewer blocks, four do not fit every device.
//
// Which inode owns a page is asked only when an eviction begins or ends. It is noted for 32 pages at a time, in global memory;
// only where inodes share such a word, for each page. Notes are valid only where the guest_memfd bit is set.
//
// in       order                         i64[n_jobs]: the regions to play; longest first, since blocks take them in turn
//          piece_at                      i64[n_regions + 1]: first piece of each region
//          pieces                        int4[]: pages of the region, half open; inode; OP_* of defines.py; in event order
//          play                          PLAY_* of defines.py: what to play
// scratch  owners                        i32[gridDim.x][PAGES_PER_REGION + WORDS], any content; read with PLAY_EVICTIONS only
// out      assigned, gmem, evicting,     after each piece of these regions; with PLAY_USES only `used`, else all others
//          used, first
// grid     up to n_jobs; shared memory PAGES_PER_REGION / 8 bytes a bitmap
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
#define WORDS_PER_BLOCK (PAGES_PER_BLOCK / 32)
#define SHARED_WORD -2

enum { COLUMNS = 3 };  // assigned, gmem, evicting; with PLAY_USES the first is what is in use

// The pages of [lo, hi) that lie in word w.
__device__ __forceinline__ u32 pages_of(int w, int lo, int hi) {
  int first = lo - 32 * w, stop = hi - 32 * w;
  u32 from = first <= 0 ? FULL : FULL << first;
  u32 below = stop >= 32 ? FULL : (1u << stop) - 1;
  return from & below;
}

__device__ __forceinline__ int change(u32 before, u32 now) { return __popc(now) - __popc(before); }

// Note an inode for some pages of a word, of which `others` belong to guests already.
__device__ __forceinline__ void note(int* page_owner, int* word_owner, int w, u32 pages, u32 others, int inode) {
  int known = others ? word_owner[w] : inode;
  if (known == inode) {
    if (!others) word_owner[w] = inode;
    return;
  }
  for (int bit = 0; bit < 32; bit++) {
    if (pages >> bit & 1) page_owner[32 * w + bit] = inode;
    else if (known != SHARED_WORD && (others >> bit & 1)) page_owner[32 * w + bit] = known;
  }
  word_owner[w] = SHARED_WORD;
}

// Those of a guest's pages in a word that an inode owns.
__device__ __forceinline__ u32 owned_by(const int* page_owner, const int* word_owner, int w, u32 pages, int inode) {
  int known = word_owner[w];
  if (known != SHARED_WORD) return known == inode ? pages : 0;
  u32 owned = 0;
  for (int bit = 0; bit < 32; bit++) {
    if ((pages >> bit & 1) && page_owner[32 * w + bit] == inode) owned |= 1u << bit;
  }
  return owned;
}

extern "C" __global__ void __launch_bounds__(THREADS_TIMELINE, 3)
region_timeline(const i64* order, int n_jobs, const i64* piece_at, const int4* pieces, int play, int* owners,
                int* assigned_pages, int* gmem_pages, int* evicting_pages, int* used_pages, short* first_block) {
  DYN_SHARED(u32, words);
  // Two of each: thread 0 reads and clears one while the next piece adds to the other, so that one barrier a piece does.
  __shared__ int deltas[2][COLUMNS];
  __shared__ int lowest[2];
  // `second` is what a guest_memfd has, or what is in use.
  u32 *assigned = words, *second = words + WORDS, *evicting = words + 2 * WORDS;
  int* page_owner = owners + static_cast<i64>(blockIdx.x) * (PAGES_PER_REGION + WORDS);
  int* word_owner = page_owner + PAGES_PER_REGION;
  int n_columns = play == PLAY_USES ? 1 : play == PLAY_EVICTIONS ? 3 : 2;
  int n_words = (play == PLAY_EVICTIONS ? 3 : 2) * WORDS;
  int lane = threadIdx.x & 31;
  for (int job = blockIdx.x; job < n_jobs; job += gridDim.x) {
    i64 region = order[job], begin = piece_at[region], end = piece_at[region + 1];
    __syncthreads();  // the region before is done with
    for (int w = threadIdx.x; w < n_words; w += blockDim.x) words[w] = 0;
    if (threadIdx.x < 2 * COLUMNS) deltas[threadIdx.x / COLUMNS][threadIdx.x % COLUMNS] = 0;
    if (threadIdx.x < 2) lowest[threadIdx.x] = WORDS;
    __syncthreads();
    int totals[COLUMNS] = {0, 0, 0};  // of thread 0
    int first = -1, top = 0, turn = 0;  // first assigned block; no guest ever had a page from `top` on
    int4 following = pieces[begin];
    for (i64 piece = begin; piece < end; piece++) {
      int lo = following.x, hi = following.y, inode = following.z, op = following.w;
      if (piece + 1 < end) following = pieces[piece + 1];
      bool evicts = op == OP_EVICT_BEGIN || op == OP_EVICT_END, uses = op == OP_USE || op == OP_UNUSE;
      bool acts = !(play == PLAY_USES ? evicts : uses);
      if (acts) {
        int own[COLUMNS] = {0, 0, 0};  // this thread's changes
        int first_word = lo >> 5, last_word = (hi - 1) >> 5;
        if (evicts) {
          last_word = (top - 1) >> 5;
          for (int w = (first < 0 ? WORDS : first * WORDS_PER_BLOCK) + threadIdx.x; w <= last_word; w += blockDim.x) {
            u32 guests = second[w], before = evicting[w];
            u32 mine = guests ? owned_by(page_owner, word_owner, w, guests, inode) : 0;
            u32 now = op == OP_EVICT_BEGIN ? before | mine : before & ~mine;
            evicting[w] = now;
            own[2] += change(before, now);
          }
        } else if (uses) {
          for (int w = first_word + threadIdx.x; w <= last_word; w += blockDim.x) {
            u32 pages = pages_of(w, lo, hi), before = second[w], visible = ~assigned[w];
            u32 now = op == OP_USE ? before | pages : before & ~pages;
            second[w] = now;
            own[0] += change(before & visible, now & visible);
          }
        } else if (play == PLAY_USES) {
          for (int w = first_word + threadIdx.x; w <= last_word; w += blockDim.x) {
            u32 pages = pages_of(w, lo, hi), before = assigned[w], used = second[w];
            u32 now = op == OP_CLEAR ? before & ~pages : before | pages;
            assigned[w] = now;
            own[0] += change(used & ~before, used & ~now);
          }
        } else {
          bool to_guest = op == OP_ASSIGN || op == OP_ASSIGN_EVICTING;
          if (to_guest && hi > top) top = hi;
          for (int w = first_word + threadIdx.x; w <= last_word; w += blockDim.x) {
            u32 pages = pages_of(w, lo, hi), a = assigned[w], g = second[w];
            u32 a_now = op == OP_CLEAR ? a & ~pages : a | pages;
            u32 g_now = to_guest ? g | pages : g & ~pages;
            assigned[w] = a_now;
            second[w] = g_now;
            own[0] += change(a, a_now);
            own[1] += change(g, g_now);
            if (play == PLAY_EVICTIONS) {
              u32 e = evicting[w], e_now = op == OP_ASSIGN_EVICTING ? e | pages : e & ~pages;
              evicting[w] = e_now;
              own[2] += change(e, e_now);
              if (to_guest) note(page_owner, word_owner, w, pages, g & ~pages, inode);
            }
          }
        }
        for (int column = 0; column < COLUMNS; column++) {
          if (column < n_columns) {
            int sum = __reduce_add_sync(FULL, own[column]);
            if (lane == 0 && sum) atomicAdd(&deltas[turn][column], sum);
          }
        }
        __syncthreads();
        if (play != PLAY_USES) {
          // All threads know the piece, so all follow `first` alike; only a loss at its front makes them search.
          bool search = op == OP_CLEAR && first >= 0 && lo < (first + 1) * PAGES_PER_BLOCK && hi > first * PAGES_PER_BLOCK;
          if (op <= OP_ASSIGN_OTHER && (first < 0 || lo / PAGES_PER_BLOCK < first)) first = lo / PAGES_PER_BLOCK;
          if (search) {
            int w = first * WORDS_PER_BLOCK + threadIdx.x;
            while (w < WORDS && !assigned[w]) w += blockDim.x;
            int least = __reduce_min_sync(FULL, w);
            if (lane == 0 && least < WORDS) atomicMin(&lowest[turn], least);
            __syncthreads();
            first = lowest[turn] < WORDS ? lowest[turn] / WORDS_PER_BLOCK : -1;
          }
        }
      }
      if (threadIdx.x == 0) {
        if (acts) {
          for (int column = 0; column < COLUMNS; column++) {
            totals[column] += deltas[turn][column];
            deltas[turn][column] = 0;
          }
          lowest[turn ^ 1] = WORDS;
        }
        if (play == PLAY_USES) {
          used_pages[piece] = totals[0];
        } else {
          assigned_pages[piece] = totals[0];
          gmem_pages[piece] = totals[1];
          evicting_pages[piece] = totals[2];
          first_block[piece] = first;
        }
      }
      if (acts) turn ^= 1;
    }
  }
}
