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
    "iaas-mixed": "8cbfc2745521146dffb06b16fbce5cb37cc0528a09f04a5602a80af9a21a0f79",
    "idle-snp": "d4581fea71b3adcc94e462d85268d585fc0f787d741751e31f68ba7dda7cac66",
    "iaas-2019-large": "5ab37febdc667ece695d52cc815319173800672cc4ff39be12c6381695fda812",
    "confidential-only": "ea01d3b4db95c9ef238a09f85a0e29c13a181879f6725ff835cc3bcb2c1a7b97",
    "coco-pods": "be56972bb98d6c22403233df1d860b34a5424c51ca3da12a164f1f386cb0e7f2",
    "mixed-pods": "d37ea716d4bfeec751ac716955274a0796df9398311c15927fcb7900a026a6b5",
    "faas-stress": "3cc491b7edb8dc9827fcd145b89c6c520c0495254696f818bebbb3fe25472ec6",
    "batch-night": "614bed86b6e6302f74b1149b3e616d3309adad01496d1789471d9c75ce5c85f0",
    "spot-evict": "4dadcb2d1d1aacb8e98590367acb8bb01597fc1c283fd02f618778345924843c",
    "maintenance": "8d6a3aa64ff2e9e1506c7c6bd6bd7406b1d5f3be1d2088c3e63681ab7c2a2515",
    "rolling-autoscale": "414a5ce4e339bb4d5af06baf7fa41d35aa9f9fdd3a5534fc099626c9623e15d8",
    "last-big-VM": "54b539a3eb33163a583f1644b311e4671d84ce51fd7798edbca664cc930c582a",
    "fragment-age": "00f178c4f8f22d5128841e4f9bb3a2e8222b00d32ac77f51889c772da2408346",
    "leak-fault": "9da224241224f053410178605733adba4ced3b8265c7c3666b34084b3576fee9",
    "hugetlb-1g": "ac7492bde3335a211172ff68b1268596462c6c841ac7aaea05255913e1c8bd18",
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
    facts += [made.running_vm_ns, made.running_snp_vm_ns]
    return hashlib.sha256(json.dumps([facts, numbers], sort_keys=True).encode()).hexdigest()


def test_the_fingerprints_are_of_this_version_and_of_every_preset() -> None:
    assert MODEL_VERSION == VERSION, "record the fingerprints of this version"
    assert set(FINGERPRINTS) == set(preset_names()), "record the fingerprint of each preset, and of no other"


@pytest.mark.parametrize("name", preset_names())
def test_the_same_version_has_the_same_integers(name: str) -> None:
    assert fingerprint(name) == FINGERPRINTS.get(name), REMEDY
