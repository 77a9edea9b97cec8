"""What the device does by itself, timed by CUDA events: copies, the RMP scan, and every kernel launch of a batch."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np

from gmemgpu.engine.cupy import kernel
from gmemgpu.engine.cupy.rmp_scan import scan_on_device, scan_through_device
from gmemgpu.rmp.image import REGION_IMAGE_BYTES, WORDS_PER_REGION, Words
from gmemgpu.rmp.scan import scan_regions

__all__ = ["Launches", "WrongAnswer", "copy_bandwidth", "launched_kernels", "rmp_scan_rates", "transfer_and_scan"]
__all__ += ["watched_launches"]

_PATTERN_REGIONS = 512
_REST_REGIONS = 3
"""Images end with these, so that the last launch is not a round number."""


class WrongAnswer(AssertionError):
    """A figure would have been about something else than what the model asks for."""


def rounded(rate: float) -> float:
    # To digits, not places: what a slow machine does is small, and not 0.
    return float(f"{rate:.3g}")


def _median_s(work: Callable[[Any], None], repeats: int) -> float:
    import cupy

    stream = cupy.cuda.Stream(non_blocking=True)
    cupy.cuda.Device().synchronize()  # inputs were written on another stream
    work(stream)  # compiles, fills pools, raises clocks
    stream.synchronize()
    times = []
    for _ in range(repeats):
        start, end = cupy.cuda.Event(), cupy.cuda.Event()
        start.record(stream)
        work(stream)
        end.record(stream)
        end.synchronize()
        times.append(cupy.cuda.get_elapsed_time(start, end) / 1e3)
    return statistics.median(times)


def copy_bandwidth(n_bytes: int, repeats: int) -> dict[str, Any]:
    """Copy device memory to device memory; bytes read and bytes written both count. The better of two ways."""
    import cupy

    source, target = cupy.arange(n_bytes // 8, dtype=cupy.uint64), cupy.zeros(n_bytes // 8, cupy.uint64)

    def by_kernel(stream: Any) -> None:
        with stream:
            target[...] = source

    ways = {"kernel": by_kernel}
    if hasattr(target.data, "copy_from_device_async"):
        ways["memcpy"] = lambda stream: target.data.copy_from_device_async(source.data, source.nbytes, stream)
    found = {name: 2 * source.nbytes / _median_s(work, repeats) / 1e9 for name, work in ways.items()}
    if int(target[-1]) != n_bytes // 8 - 1:
        raise WrongAnswer("the copy differs from its source")
    return {
        "bytes": n_bytes,
        "GB_per_s": rounded(max(found.values())),
        "ways": {k: rounded(v) for k, v in found.items()},
    }


def _pattern(random: np.random.Generator) -> Words:
    # Free regions, full ones, single pages at either end, and everything in between.
    words = random.integers(0, 1 << 64, (_PATTERN_REGIONS, WORDS_PER_REGION), np.uint64)
    for i in range(_PATTERN_REGIONS):
        if i % 4 == 1:
            words[i] = 0
        elif i % 4 == 2:
            words[i] = 0
            words[i, random.integers(WORDS_PER_REGION)] = np.uint64(1) << np.uint64(random.integers(64))
        elif i % 4 == 3:
            words[i, : random.integers(WORDS_PER_REGION)] = 0
    return words


def rmp_scan_rates(n_bytes: int, repeats: int, copy_rate: float) -> dict[str, Any]:
    """
    Scan images of regions that lie on the device, at both alignments; `copy_rate` in GB/s.

    Each answer is compared with the CPU's before a figure is given.
    """
    import cupy

    n_regions = max(n_bytes // REGION_IMAGE_BYTES, 1) + _REST_REGIONS
    pattern = _pattern(np.random.default_rng(7))
    right = scan_regions(pattern)
    of = np.arange(n_regions) % _PATTERN_REGIONS
    # One word more than the images take: they may begin at any word.
    room = cupy.empty(n_regions * WORDS_PER_REGION + 1, np.uint64)
    assigned, first = cupy.zeros(n_regions, np.int32), cupy.zeros(n_regions, np.int16)
    flat = cupy.asarray(pattern.reshape(-1))
    figures: dict[str, Any] = {"bytes": n_regions * REGION_IMAGE_BYTES, "regions": n_regions}
    for shift, name in (0, "aligned"), (1, "shifted by 8 bytes"):
        images = room[shift : shift + n_regions * WORDS_PER_REGION]
        for begin in range(0, len(images), len(flat)):
            n = min(len(flat), len(images) - begin)
            images[begin : begin + n] = flat[:n]
        words = images.reshape(n_regions, WORDS_PER_REGION)
        assigned.fill(-1)
        first.fill(-2)
        seconds = _median_s(lambda stream, words=words: scan_on_device(words, assigned, first, stream), repeats)
        if not (np.array_equal(assigned.get(), right.assigned[of]) and np.array_equal(first.get(), right.first[of])):
            raise WrongAnswer(f"rmp_scan, {name}: not what the CPU finds")
        rate = words.nbytes / seconds / 1e9
        figures[name] = {"GB_per_s": rounded(rate), "share_of_copy": rounded(rate / copy_rate)}
    return figures


def transfer_and_scan(n_bytes: int, repeats: int) -> dict[str, Any]:
    """Scan images in host memory through the device, transfers included, and with the CPU on one core."""
    n_regions = max(n_bytes // REGION_IMAGE_BYTES, 1) + _REST_REGIONS
    words = np.tile(_pattern(np.random.default_rng(7)), (-(-n_regions // _PATTERN_REGIONS), 1))[:n_regions]
    right = scan_regions(words)
    seconds: dict[str, list[float]] = {"through_device": [], "one_core": []}
    for _ in range(repeats + 1):
        begin = time.perf_counter()
        found = scan_through_device(words)
        middle = time.perf_counter()
        scan_regions(words)
        seconds["through_device"].append(middle - begin)
        seconds["one_core"].append(time.perf_counter() - middle)
    if not (np.array_equal(found.assigned, right.assigned) and np.array_equal(found.first, right.first)):
        raise WrongAnswer("rmp_scan through the device: not what the CPU finds")
    rates = {f"{name}_GB_per_s": words.nbytes / statistics.median(of[1:]) / 1e9 for name, of in seconds.items()}
    return {"bytes": words.nbytes, **{name: rounded(rate) for name, rate in rates.items()}}


class Launches:
    """Every kernel launch while it is watched, with its time on the device."""

    def __init__(self) -> None:
        self._events: dict[str, list[tuple[Any, Any]]] = defaultdict(list)

    def wrap(self, name: str, function: Any) -> Any:
        """Give a kernel that notes when it runs."""
        return _Watched(function, self._events[name])

    def seconds(self) -> dict[str, float]:
        """Give the device time of each kernel that was launched, by name; waits for them."""
        import cupy

        total: dict[str, float] = {}
        for name, pairs in self._events.items():
            for _, end in pairs:
                end.synchronize()
            total[name] = sum(cupy.cuda.get_elapsed_time(start, end) for start, end in pairs) / 1e3
        return total


class _Watched:
    # Between two events on the stream that it is launched on.

    def __init__(self, function: Any, events: list[tuple[Any, Any]]) -> None:
        object.__setattr__(self, "_function", function)
        object.__setattr__(self, "_events", events)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._function, name, value)

    def __call__(self, *arguments: Any, **options: Any) -> None:
        import cupy

        start, end = cupy.cuda.Event(), cupy.cuda.Event()
        start.record()
        self._function(*arguments, **options)
        end.record()
        self._events.append((start, end))


@contextmanager
def watched_launches() -> Iterator[Launches]:
    """Watch all launches of the engine meanwhile."""
    launches = Launches()
    find = kernel._function

    def found(cupy: Any, name: str) -> Any:
        return launches.wrap(name, find(cupy, name))

    with patch.object(kernel, "_function", found):
        yield launches


@contextmanager
def launched_kernels() -> Iterator[set[str]]:
    """Collect the names of the kernels that are launched meanwhile, which costs next to nothing."""
    names: set[str] = set()
    find = kernel._function

    def found(cupy: Any, name: str) -> Any:
        names.add(name)
        return find(cupy, name)

    with patch.object(kernel, "_function", found):
        yield names
