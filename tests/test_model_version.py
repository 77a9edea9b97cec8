"""`MODEL_VERSION` against fingerprints of rows: a change of any integer must raise it, or old parts would be kept."""

from __future__ import annotations

import hashlib
import json

import pytest

from gmemgpu.catalogue import named_policies
from gmemgpu.engine.registry import engine
from gmemgpu.generator import generate
from gmemgpu.model import MODEL_VERSION
from gmemgpu.model.cost import Costs
from gmemgpu.workload.preset import preset, preset_names, small_variant

SEED = 1
VERSION = 2
FINGERPRINTS: dict[str, str] = {
    "iaas-mixed": "7fad7783f8429e94a05c23ea38649f561587bce8802ba6ce459339d4d597a298",
    "idle-snp": "b2a097959171819e42b35960816c8c4ad4357c56da3b67c01398e5253ebfd21a",
    "iaas-2019-large": "6bd77f0bc4f518391676ca789463bbfd21f9946b4108d2a53beb606e45e39686",
    "confidential-only": "225a04e7c9870e287400a38505bb2de130d84e386d5135cfc0f68f06ff4435b6",
    "coco-pods": "7d4cce2c619d59b16aa3f318730ee92ecf75d0845941f8539a7fc3d5c848b9a4",
    "mixed-pods": "aa63e7c078e8a86168f67fc342b7866ae71da9324249d7ec968439d11695824e",
    "faas-stress": "e3876cf4ec23315e1563855d10a9213b62fb6ab79c67eb6dc1a6a0239e1a3984",
    "batch-night": "10cc57c1bea8e3b6b34556d2297500ba9cfaf10311433effe8e92cf6f45de419",
    "spot-evict": "fb8653a96c08ab67fbf2a33b1d3c2c55051a48de4d0a4b75d5941fef4c0684ec",
    "maintenance": "10d50c9411a4a79b123b542d7d706d582d676b8b8b395603cbcc994f0bb123bc",
    "rolling-autoscale": "f245073cf084930699f4541756af0854b72ecde0fec4a60ad7a33bfd642ffa6a",
    "last-big-VM": "fbc98cbe1f8bec432096a3095f796f72b707da21604d969e72fc97bc4f3e17da",
    "fragment-age": "45e9d4f0330d67c5cd125ed38aa734039360c3e16911c6aa89c659adfa35df4c",
    "leak-fault": "c443cb212580961e9b588afbe69037f45140884e5a15533ec050bd3e3b74b72e",
    "hugetlb-1g": "325079265f159c5d2950c2eeadd0093044eb11f9dc3a476f234dead565a77765",
}
REMEDY = (
    "rows of this preset have other integers: if the model or a preset's meaning changed, raise MODEL_VERSION in "
    "gmemgpu/model/__init__.py, then record the version and all fingerprints here; if only a named policy came or "
    "went, record the fingerprints alone"
)


def fingerprint(name: str) -> str:
    """Return the SHA-256 of all that a row of each policy says, for one seed of a preset's small variant."""
    made = generate(small_variant(preset(name)), SEED)
    policies = named_policies()
    (rows,) = engine("numpy").evaluate([made.trace], policies, Costs())
    numbers = {policy.name: {key: int(row[key]) for key in row} for policy, row in zip(policies, rows, strict=True)}
    facts = [len(made.trace), made.admitted, made.rejected, made.trace.horizon_ns, made.trace.warmup_ns]
    return hashlib.sha256(json.dumps([facts, numbers], sort_keys=True).encode()).hexdigest()


def test_the_fingerprints_are_of_this_version_and_of_every_preset() -> None:
    assert MODEL_VERSION == VERSION, "record the fingerprints of this version"
    assert set(FINGERPRINTS) == set(preset_names()), "record the fingerprint of each preset, and of no other"


@pytest.mark.parametrize("name", preset_names())
def test_the_same_version_has_the_same_integers(name: str) -> None:
    assert fingerprint(name) == FINGERPRINTS.get(name), REMEDY
