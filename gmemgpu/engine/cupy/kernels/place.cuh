// Where a value belongs among ascending ones. Kernels that include this file get its text from `kernel_source`.

typedef long long i64;

// How many of the ascending values first to stop lie before x, or at it as well, counted from 0.
__device__ __forceinline__ i64 place(const i64* values, i64 first, i64 stop, i64 x, bool right) {
  while (first < stop) {
    i64 middle = (first + stop) >> 1, value = values[middle];
    if (value < x || (right && value == x)) first = middle + 1; else stop = middle;
  }
  return first;
}
