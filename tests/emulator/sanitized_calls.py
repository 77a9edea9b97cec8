"""
Calls that together launch every kernel, for a process under the sanitizers; a report ends it with an error.

``python sanitized_calls.py`` makes all of `CALLS` and prints the kernels that they launched, with line numbers of the
kernel files in any report.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import strict_cupy
from hypothesis import given, settings
from strict_cupy import device

from gmemgpu.catalogue import named_policies
from gmemgpu.engine.cupy import CupyEngine
from gmemgpu.engine.cupy.rmp_images import scan_images
from gmemgpu.engine.cupy.rmp_scan import scan_on_device, scan_through_device
from gmemgpu.engine.registry import engine
from gmemgpu.generator import generate
from gmemgpu.model.cost import Costs
from gmemgpu.model.trace import Trace
from gmemgpu.rmp.image import WORDS_PER_REGION
from gmemgpu.rmp.scan import scan_regions
from gmemgpu.rmp.timed_scan import scan_at
from gmemgpu.testing.strategies import traces
from gmemgpu.workload.preset import preset, small_variant

__all__ = ["CALLS", "main"]

ORDERS = range(3)


def scan() -> None:
    """Scan whole allocations, so that what is read or written too much is seen, at both alignments."""
    import cupy

    words = np.random.default_rng(0).integers(0, 2**64, (3, WORDS_PER_REGION), np.uint64)
    words[1] = 0
    expected = scan_regions(words)
    stream = cupy.cuda.Stream(non_blocking=True)
    for offset_words in (0, 1):
        flat = cupy.empty(words.size + offset_words, np.uint64)
        image = flat[offset_words:].reshape(words.shape)
        image.set(words)
        assigned, first = cupy.empty(3, np.int32), cupy.empty(3, np.int16)
        device.synchronize()
        scan_on_device(image, assigned, first, stream)
        assert (assigned.get(stream=stream) == expected.assigned).all()
        assert (first.get(stream=stream) == expected.first).all()
    assert (scan_through_device(words, budget=140_000).first == expected.first).all()


def images() -> None:
    """Scan images of a trace's RMP, two at a time, from a device that has no room for more."""
    trace = generate(small_variant(preset("mixed-pods")), 5).trace
    times = [trace.horizon_ns * i // 6 for i in range(1, 6)]
    expected = scan_at(trace, times)
    found = scan_images(trace, times, budget=16 * (2 * trace.host.n_regions + 1) * 32774)
    assert (found.assigned == expected.assigned).all()
    assert (found.first == expected.first).all()


def workload() -> None:
    """Evaluate all named policies on a generated trace."""
    trace = generate(small_variant(preset("mixed-pods")), 5).trace
    rows = CupyEngine().evaluate([trace], named_policies(), Costs())
    assert rows == engine("numpy").evaluate([trace], named_policies(), Costs())


@settings(max_examples=4, derandomize=True, database=None, deadline=None)
@given(trace=traces())
def corners(trace: Trace) -> None:
    """Evaluate all named policies on traces at the limits of the model."""
    rows = CupyEngine().evaluate([trace, trace], named_policies(), Costs())
    assert rows == engine("numpy").evaluate([trace, trace], named_policies(), Costs())


CALLS: tuple[Callable[[], None], ...] = (scan, images, workload, corners)


def main() -> None:
    """Make all calls in several thread orders."""
    strict_cupy.install()
    for order in ORDERS:
        device.order = order
        for call in CALLS:
            call()
    sys.stdout.write(" ".join(sorted(set(device.launches))))


if __name__ == "__main__":
    main()
