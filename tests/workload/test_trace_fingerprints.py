"""The same seed gives the same trace: every preset's small variant, down to the last integer, on any machine."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from gmemgpu.generator import generate
from gmemgpu.model.trace import COLUMNS, Trace
from gmemgpu.workload.preset import preset, preset_names, small_variant

FINGERPRINTS = {
    "iaas-mixed": "57ee4e5fa01d2ade",
    "idle-snp": "066758addbae8919",
    "iaas-2019-large": "4254db8b54684a16",
    "confidential-only": "a0a4178d51274259",
    "coco-pods": "9a75545fe35ee681",
    "mixed-pods": "e166d9890c163c62",
    "faas-stress": "031fd61b3fab6740",
    "batch-night": "475b3ff7470e4a0e",
    "spot-evict": "8ac1baa12e882702",
    "maintenance": "b666e65414be5703",
    "rolling-autoscale": "f57a98332a276461",
    "last-big-VM": "f004061c36dcb522",
    "fragment-age": "9ca9cbc38476ce1f",
    "leak-fault": "93d6d9f18ddeec6b",
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
