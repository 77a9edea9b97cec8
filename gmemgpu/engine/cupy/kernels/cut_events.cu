// Events cut at region borders: how many pieces each event has, or, in a second launch, a key for each of them.
//
// in    kind, pfn, npages, inode      of all events of a batch, trace after trace
//       id                            the inode or the VM of each
//       event_at, region_at           i64[n_traces + 1]: first event and first region of each trace
//       owned                         i64[n_owned], ascending, each once: inode << 32 | region, where inodes ever had pages
//       region_begin, region_end      only pieces in these regions count
//       owners_only                   1: `assign` events with an inode and an id; 0: all that changes a region
//       writes                        0: count; 1: write keys
//       at                            i64[n]: pieces up to and with each event (not read when counting)
// out   out                           counting: i64[n], the pieces of each event; writing: i64[at[n - 1]], their keys in event
//                                     order: region << 32 | event, or with owners_only id << 32 | region
// grid  ceil(n / THREADS_EVENTS)
//
// One thread an event. An extent has a piece in each region that it touches; an eviction has one in each region in which its
// inode ever had pages. No event has two pieces in one region, so keys are unique and order pieces by region, then event.

typedef long long i64;

// How many of n ascending values lie before x, or at it as well.
__device__ __forceinline__ i64 place(const i64* values, i64 n, i64 x, bool right) {
  i64 low = 0, high = n;
  while (low < high) {
    i64 middle = (low + high) >> 1, value = values[middle];
    if (value < x || (right && value == x)) low = middle + 1; else high = middle;
  }
  return low;
}

extern "C" __global__ void __launch_bounds__(THREADS_EVENTS)
cut_events(const signed char* kind, const i64* pfn, const i64* npages, const int* inode, const i64* event_at,
           const i64* region_at, int n_traces, const int* id, const i64* owned, i64 n_owned, i64 region_begin, i64 region_end,
           int owners_only, int writes, const i64* at, i64* out, i64 n) {
  i64 event = static_cast<i64>(blockIdx.x) * THREADS_EVENTS + threadIdx.x;
  if (event >= n) return;
  int what = kind[event];
  i64 owner = id[event], first = 0, count = 0;
  bool evicts = !owners_only && owner >= 0 && (what == KIND_EVICT_BEGIN || what == KIND_EVICT_END);
  bool changes = what == KIND_ASSIGN;
  if (owners_only) changes = changes && owner >= 0 && inode[event] >= 0;
  else changes = changes || what == KIND_RELEASE || what == KIND_SHARE || what == KIND_USE || what == KIND_UNUSE;
  if (changes || evicts) {
    i64 trace = place(event_at + 1, n_traces, event, true), base = region_at[trace];
    i64 begin = base, end = region_at[trace + 1];
    if (changes) {
      i64 pages = npages[event], page = pfn[event];
      begin = base + page / PAGES_PER_REGION;
      end = pages > 0 ? base + (page + pages - 1) / PAGES_PER_REGION + 1 : begin;
    }
    if (begin < region_begin) begin = region_begin;
    if (end > region_end) end = region_end;
    if (begin < end) {
      first = changes ? begin : place(owned, n_owned, owner << 32 | begin, false);
      count = (changes ? end : place(owned, n_owned, owner << 32 | end, false)) - first;
    }
  }
  if (!writes) {
    out[event] = count;
    return;
  }
  i64* keys = out + (at[event] - count);
  for (i64 i = 0; i < count; i++) {
    i64 region = changes ? first + i : owned[first + i] & 0xffffffffll;
    keys[i] = owners_only ? owner << 32 | region : region << 32 | event;
  }
}
