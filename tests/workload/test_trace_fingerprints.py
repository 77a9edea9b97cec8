"""The same seed gives the same trace: every preset's small variant, down to the last integer, on any machine."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from gmemgpu.generator import generate
from gmemgpu.model.trace import COLUMNS, Trace
from gmemgpu.workload.preset import preset, preset_names, small_variant

FINGERPRINTS = {
    "iaas-mixed": "1622aff32634d54f",
    "idle-snp": "a4c7892939d097fb",
    "iaas-2019-large": "20c661a0a6fe8dd9",
    "confidential-only": "96063f85b412624c",
    "coco-pods": "9a75545fe35ee681",
    "mixed-pods": "e166d9890c163c62",
    "faas-stress": "031fd61b3fab6740",
    "batch-night": "6e0971c7071142b0",
    "spot-evict": "8ac1baa12e882702",
    "maintenance": "b666e65414be5703",
    "rolling-autoscale": "a2de68e0cc420ec9",
    "last-big-VM": "adef4376f1aeb693",
    "fragment-age": "f8c28e27730901fd",
    "leak-fault": "639bfc84966bec26",
    "hugetlb-1g": "bc53f7b55d0f5dea",
}
"""First 16 hex digits of SHA-256 over all columns as int64. A change here changes every published result: say so."""


def fingerprint(trace: Trace) -> str:
    digest = hashlib.sha256()
    for column in COLUMNS:
        digest.update(getattr(trace, column).astype(np.int64).tobytes())
    return digest.hexdigest()[:16]


@pytest.mark.parametrize("name", preset_names())
@pytest.mark.parametrize("compiled", [False, True], ids=["plain", "compiled"])
def test_a_preset_gives_the_same_trace_for_ever(name: str, compiled: bool) -> None:
    if compiled:
        pytest.importorskip("numba")
    assert fingerprint(generate(small_variant(preset(name)), 7, compiled=compiled).trace) == FINGERPRINTS[name]
