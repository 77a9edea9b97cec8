"""What the emulator is too slow for, on a real device: full presets, thousands of pairs at once, large images."""

from __future__ import annotations

import numpy as np
import pytest

from gmemgpu.catalogue import named_policies
from gmemgpu.engine.cupy import CupyEngine
from gmemgpu.engine.cupy.batch import BatchReport, evaluate_batches
from gmemgpu.engine.cupy.rmp_scan import scan_through_device
from gmemgpu.engine.registry import engine, why_missing
from gmemgpu.generator import generate
from gmemgpu.model.cost import Costs
from gmemgpu.rmp.image import WORDS_PER_REGION
from gmemgpu.rmp.scan import scan_regions
from gmemgpu.workload.preset import preset, small_variant


def _without() -> str | None:
    missing = why_missing("cupy")
    if missing is not None:
        return missing
    import cupy

    return "the kernels ran emulated, in the other tests here" if hasattr(cupy, "is_emulated") else None


pytestmark = [pytest.mark.gpu, pytest.mark.skipif(_without() is not None, reason=f"no CUDA device: {_without()}")]

POLICIES = named_policies()


@pytest.mark.parametrize("name", ["iaas-mixed", "mixed-pods", "last-big-VM"])
def test_a_preset_at_full_size(name: str) -> None:
    trace = generate(preset(name), 3).trace
    expected = engine("numpy").evaluate([trace], POLICIES, Costs())
    assert CupyEngine().evaluate([trace], POLICIES, Costs()) == expected


def test_thousands_of_pairs_in_one_batch() -> None:
    traces = [generate(small_variant(preset("mixed-pods")), seed).trace for seed in range(200)]
    reports: list[BatchReport] = []
    found = evaluate_batches(traces, POLICIES, Costs(), observe=reports.append)
    assert found == engine("numpy").evaluate(traces, POLICIES, Costs())
    assert [report.n_pairs for report in reports] == [200 * (len(POLICIES) - 1)]


@pytest.mark.parametrize("n_regions", [1, 131, 40_000])
def test_images_larger_than_the_cache(n_regions: int) -> None:
    words = np.random.default_rng(n_regions).integers(0, 1 << 64, (n_regions, WORDS_PER_REGION), np.uint64)
    words[::3] = 0
    words[::6, -1] = 1
    expected, found = scan_regions(words), scan_through_device(words)
    assert np.array_equal(found.assigned, expected.assigned)
    assert np.array_equal(found.first, expected.first)
