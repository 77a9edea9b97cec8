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
VERSION = 1
FINGERPRINTS: dict[str, str] = {
    "iaas-mixed": "1d544900b244ae63b9665e60474df121b4ec918e638828c87f2400b7571f3987",
    "idle-snp": "4b888dfbb31f25f4dff6968a30b2c9ed88e24d99c2bf5facf84cfad3cd046b95",
    "iaas-2019-large": "3826370562b3ec32f9345b42fe88aa5ff3d57e0d836aae39748e12d4e419beb5",
    "confidential-only": "4ee4d9ee6f5d378d432e77338b564e20213d61f8976b3f665bab128f1c64215d",
    "coco-pods": "7d4cce2c619d59b16aa3f318730ee92ecf75d0845941f8539a7fc3d5c848b9a4",
    "mixed-pods": "aa63e7c078e8a86168f67fc342b7866ae71da9324249d7ec968439d11695824e",
    "faas-stress": "e3876cf4ec23315e1563855d10a9213b62fb6ab79c67eb6dc1a6a0239e1a3984",
    "batch-night": "9e6e1c2626129094922fe1db33323689afe3b0b1da7b3a964dc9d4ca8e633db7",
    "spot-evict": "fb8653a96c08ab67fbf2a33b1d3c2c55051a48de4d0a4b75d5941fef4c0684ec",
    "maintenance": "763e656afc66d7cd7ad12f29c1f2d9aca7fc79e63c52eeeef0e6c083fa0eef1d",
    "rolling-autoscale": "8f5e45df4bdc74bbe086ad9b65f45c8d3dec9550fd48a68e734c70dd0c6b45d5",
    "last-big-VM": "f5e84869147fce620bbc711472cf3dfd870b3a4eabb9924717073c523c47042b",
    "fragment-age": "beb3a30e22bb0f17721b742ddeafa977bcf61faf0421fcc80dba681dd86996e4",
    "leak-fault": "5a765861ab3474b358c5e0f6bdfe0132213d20bbebfe319cd607636d68742fac",
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
