// From states after pieces to the rows that engines read: which pieces make a row, or, in a second launch, those rows.
//
// in    keys                          i64[n]: region << 32 | event, ascending
//       region_begin                  the first region of these pieces
//       piece_at                      i64[n_regions + 1]: first piece of each region
//       t_ns                          of all events of a batch
//       assigned, gmem, evicting,     after each piece
//       used, first
//       writes                        0: say which pieces make rows; 1: write rows
//       class_at, used_at             i64[n + 1]: rows of pieces before each (not read when saying)
// out   class_row, used_row           saying: whether each piece makes a row of either table
//       class_t, ..., class_first     writing: the rows with another class than the one before: another first block, or
//                                     guest_memfd pages or pages under eviction come or go
//       used_t, used_pages            the rows with another number of pages in use
// grid  ceil(n / THREADS_ROWS)
//
// The state at t is the one after every event at t, so of each instant the last piece counts. In both tables each region
// begins with a row at 0, with the state of an untouched region before; a piece at 0 is that row. One thread a piece.

typedef long long i64;

__device__ __forceinline__ i64 time_of(const i64* keys, const i64* t_ns, i64 piece) {
  return t_ns[keys[piece] & 0xffffffffll];
}

extern "C" __global__ void __launch_bounds__(THREADS_ROWS)
timeline_rows(const i64* keys, i64 n, i64 region_begin, const i64* piece_at, const i64* t_ns, const int* assigned,
              const int* gmem, const int* evicting, const int* used, const short* first, int writes,
              const i64* class_at, const i64* used_at, unsigned char* class_row, unsigned char* used_row, i64* class_t,
              int* class_assigned, int* class_gmem, int* class_evicting, int* class_used, short* class_first,
              i64* used_t, int* used_pages) {
  i64 piece = static_cast<i64>(blockIdx.x) * THREADS_ROWS + threadIdx.x;
  if (piece >= n) return;
  i64 region = (keys[piece] >> 32) - region_begin, t = time_of(keys, t_ns, piece);
  bool last = piece + 1 == piece_at[region + 1] || time_of(keys, t_ns, piece + 1) != t;
  bool head = last && t == 0, changes_class = false, changes_use = false;
  if (last && !head) {
    // The last piece of the instant before, if there is one.
    i64 begin = piece_at[region], before = piece - 1;
    if (before >= begin && time_of(keys, t_ns, before) == t) {
      i64 low = begin, high = before;
      while (low < high) {
        i64 middle = (low + high) >> 1;
        if (time_of(keys, t_ns, middle) < t) low = middle + 1; else high = middle;
      }
      before = low - 1;
    }
    bool any = before >= begin;
    changes_class = first[piece] != (any ? first[before] : -1);
    changes_class = changes_class || (gmem[piece] > 0) != (any && gmem[before] > 0);
    changes_class = changes_class || (evicting[piece] > 0) != (any && evicting[before] > 0);
    changes_use = used[piece] != (any ? used[before] : 0);
  }
  if (!writes) {
    class_row[piece] = changes_class;
    used_row[piece] = changes_use;
    return;
  }
  if (changes_class || head) {
    i64 row = class_at[piece + 1] + region;
    class_t[row] = t;
    class_assigned[row] = assigned[piece];
    class_gmem[row] = gmem[piece];
    class_evicting[row] = evicting[piece];
    class_used[row] = used[piece];
    class_first[row] = first[piece];
  }
  if (changes_use || head) {
    i64 row = used_at[piece + 1] + region;
    used_t[row] = t;
    used_pages[row] = used[piece];
  }
}
