"""The device's scan equals NumPy's, wherever the words lie and however they are cut into parts."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gmemgpu.engine.cupy.rmp_scan import LARGEST_PART_REGIONS, scan_on_device, scan_through_device
from gmemgpu.errors import BackendError
from gmemgpu.model.trace import Trace
from gmemgpu.rmp.image import WORDS_PER_REGION, Words, rmp_image
from gmemgpu.rmp.scan import RegionScan, scan_regions
from gmemgpu.testing.strategies import traces
from gmemgpu.units import PAGES_PER_REGION

LAST = PAGES_PER_REGION - 1


def equal(a: RegionScan, b: RegionScan) -> bool:
    return all(x.dtype == y.dtype and np.array_equal(x, y) for x, y in ((a.assigned, b.assigned), (a.first, b.first)))


def scan_at(cupy: Any, words: Words, offset_words: int) -> RegionScan:
    """Scan images that begin some words after the start of an allocation."""
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        flat = cupy.full(words.size + offset_words, 2**64 - 1, np.uint64)  # what is read too much would count
        image = flat[offset_words:].reshape(words.shape)
        image.set(words)
        assigned, first = cupy.full(len(words), -7, np.int32), cupy.full(len(words), -7, np.int16)
    scan_on_device(image, assigned, first, stream)
    return RegionScan(assigned.get(stream=stream), first.get(stream=stream))


def image_of(regions: list[set[int]]) -> Words:
    bits = np.zeros((len(regions), PAGES_PER_REGION), bool)
    for row, pages in zip(bits, regions, strict=True):
        row[list(pages)] = True
    return np.packbits(bits, axis=1, bitorder="little").view(np.uint64)


@pytest.mark.parametrize("offset_words", range(4))
@settings(max_examples=settings.default.max_examples * 3 // 5)  # each runs in four thread orders
@given(regions=st.lists(st.sets(st.integers(0, LAST), max_size=4), min_size=1, max_size=3))
@example(regions=[{LAST}, set(), {0}])
@example(regions=[set(range(PAGES_PER_REGION)), {0, LAST}, {LAST - 64}])
def test_sets_of_pages(device_cupy: Any, offset_words: int, regions: list[set[int]]) -> None:
    words = image_of(regions)
    assert equal(scan_at(device_cupy, words, offset_words), scan_regions(words))


@pytest.mark.parametrize("offset_words", [0, 1])
def test_every_word_counts_for_its_block(device_cupy: Any, offset_words: int) -> None:
    # One bit a region, in the words beside borders of blocks, of pairs, and of the region.
    at = sorted({0, 1, 2, 4092, 4093, 4094, 4095, *range(7, 4096, 248), *range(8, 4096, 504)})
    words = np.zeros((len(at), WORDS_PER_REGION), np.uint64)
    words[np.arange(len(at)), at] = np.uint64(1) << (np.arange(len(at)) % 64).astype(np.uint64)
    found = scan_at(device_cupy, words, offset_words)
    assert found.assigned.tolist() == [1] * len(at)
    assert found.first.tolist() == [word // 8 for word in at]


@pytest.mark.parametrize("offset_words", [0, 1])
def test_dense_images(device_cupy: Any, offset_words: int) -> None:
    rng = np.random.default_rng(1)
    words = rng.integers(0, 2**64, (9, WORDS_PER_REGION), np.uint64)
    words[3, : 8 * 300] = 0
    words[4] = 0
    words[5] = 2**64 - 1
    assert equal(scan_at(device_cupy, words, offset_words), scan_regions(words))


@settings(max_examples=settings.default.max_examples // 5)
@given(found=st.lists(traces(), min_size=2, max_size=3))
def test_many_hosts_in_one_launch(device_cupy: Any, found: list[Trace]) -> None:
    images = [rmp_image(trace, trace.horizon_ns // 2) for trace in found]
    words = np.concatenate(images)
    scan = scan_at(device_cupy, words, 0)
    each = [scan_regions(image) for image in images]
    assert np.array_equal(scan.assigned, np.concatenate([one.assigned for one in each]))
    assert np.array_equal(scan.first, np.concatenate([one.first for one in each]))


@pytest.mark.parametrize(("n_regions", "part_regions"), [(0, 1), (1, 1), (5, 1), (7, 2), (7, 3), (6, 3), (7, 100)])
def test_host_memory_goes_part_after_part(device_cupy: Any, n_regions: int, part_regions: int) -> None:
    words = np.random.default_rng(n_regions).integers(0, 2**64, (n_regions, WORDS_PER_REGION), np.uint64)
    words[::3, :64] = 0
    budget = 2 * (part_regions * (32768 + 6) + 3 * 512)
    assert equal(scan_through_device(words, budget=budget), scan_regions(words))


def test_views_of_host_memory(device_cupy: Any) -> None:
    words = np.random.default_rng(0).integers(0, 2**64, (9, 2 * WORDS_PER_REGION), np.uint64)
    view = words[::2, :WORDS_PER_REGION]
    assert equal(scan_through_device(view), scan_regions(np.ascontiguousarray(view)))


def test_without_room_for_a_region_the_message_says_so(device_cupy: Any) -> None:
    words = np.zeros((1, WORDS_PER_REGION), np.uint64)
    needed = 2 * (32768 + 6 + 3 * 512)
    scan_through_device(words, budget=needed)
    with pytest.raises(BackendError, match=f"needs {needed} bytes on the device, and {needed - 1} are free"):
        scan_through_device(words, budget=needed - 1)


def test_the_budget_is_kept_and_used(device_cupy: Any) -> None:
    if not hasattr(device_cupy, "is_emulated"):
        pytest.skip("memory is counted by the emulator")
    from strict_cupy import device, installed

    words = np.zeros((64, WORDS_PER_REGION), np.uint64)
    gc.collect()
    held = device.used_bytes  # by errors of other tests, whose tracebacks live on
    with installed(device_bytes=held + (1 << 20)):
        scan_through_device(words)
        taken = device.peak_bytes - held
    assert 0.8 * (1 << 20) < taken <= 0.9 * (1 << 20)
    assert LARGEST_PART_REGIONS > 64  # else the limit would have been tested, not the budget
