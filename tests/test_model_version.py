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
    "iaas-mixed": "2e17acd7e001bd4e8351251fe331bd984030ac9d58aa6b8d415b828138d4d363",
    "idle-snp": "03c0c276606f598e90c7a2159c52a3ad9433c288ddc1108dde061b1426a7b505",
    "iaas-2019-large": "8dcb773fb855a74d4825004f977ef618ecd834b963b4ce63adf5c83beb807286",
    "confidential-only": "497da2602a2c4125be4835921fafb76606ccb121501b664c469331975e87e2f0",
    "coco-pods": "b47fa0f34d692fece7e8cb990478388dea9505e43e37044f9325687a66c83119",
    "mixed-pods": "72a8b727d59bca95602bc65275acafda26ba8e1d339407aa9ec64fc5c87107a7",
    "faas-stress": "d47e067dc9f1d321a4ac47ae7efb91a04aa3e6bcf17bfc77c055cbfe8f7e7857",
    "batch-night": "096ab93de44520c145397ad7777f0d28c59c274548a5ad46a5d947baacded640",
    "spot-evict": "257c6b9f58e62f42f84d12225e73d91a94656a9c4d75cab5d372eefb7f49b8a2",
    "maintenance": "3d74e2f6ca8dde7aebb4fe7ea70cd5dc484e40201be48033314d20f67ebdc113",
    "rolling-autoscale": "8ede5062fc94b4df17eefe68f8e52d58631f35340a085f7991ecb6bca7ea5dd1",
    "last-big-VM": "0886d7f3a921f022c9dce3ebd4f86e7a24acbda7861132bebe89eefdb62dfc6f",
    "fragment-age": "131419b5a8f0360c4700189377bc9bc67848846b9faa66af3fc484fb49f6e203",
    "leak-fault": "a13ce2d1d49913c23c23380835102677c367ad9fea73f6fcfc2463724893151d",
    "hugetlb-1g": "b5f9096d69ee35e1e8267fcd780e4a7885ca5404883efb381e31f1eb9bc1aafd",
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
    numbers = {policy.name: row for policy, row in zip(policies, rows, strict=True)}
    facts = [len(made.trace), made.admitted, made.rejected, made.trace.horizon_ns, made.trace.warmup_ns]
    return hashlib.sha256(json.dumps([facts, numbers], sort_keys=True).encode()).hexdigest()


def test_the_fingerprints_are_of_this_version_and_of_every_preset() -> None:
    assert MODEL_VERSION == VERSION, "record the fingerprints of this version"
    assert set(FINGERPRINTS) == set(preset_names()), "record the fingerprint of each preset, and of no other"


@pytest.mark.parametrize("name", preset_names())
def test_the_same_version_has_the_same_integers(name: str) -> None:
    assert fingerprint(name) == FINGERPRINTS.get(name), REMEDY
