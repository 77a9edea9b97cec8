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
    "iaas-mixed": "a1a1451ee264ad1a1990e755cc6eed980f9102a21a6836ae339a79c495cdd3e5",
    "idle-snp": "8f67772429990a8515b98c77a834161373e3a00e03ae10601a967965562e4a33",
    "iaas-2019-large": "448f6b574458dea9332d9630962c300e8f45d8da1fbf9c5666ff5f28c68bfa8a",
    "confidential-only": "7ca8ca2a10364e607468067021afaa75e6cdecac1ead4f1843574dbca26f5883",
    "coco-pods": "b47fa0f34d692fece7e8cb990478388dea9505e43e37044f9325687a66c83119",
    "mixed-pods": "72a8b727d59bca95602bc65275acafda26ba8e1d339407aa9ec64fc5c87107a7",
    "faas-stress": "d47e067dc9f1d321a4ac47ae7efb91a04aa3e6bcf17bfc77c055cbfe8f7e7857",
    "batch-night": "b46aa76b632e8778ee6302917ba08dd1808d797b4b39c8f17e79c53d5759ca39",
    "spot-evict": "257c6b9f58e62f42f84d12225e73d91a94656a9c4d75cab5d372eefb7f49b8a2",
    "maintenance": "a0c0a8c408ddf43bf09662d8ea0cb2a9ba53467080415afa3c3a366f6ce6fe93",
    "rolling-autoscale": "724fd63be6cf6c2d73e789df8d98657fcfa8314274d85d70f2aa61e81bd7827c",
    "last-big-VM": "8505459346252fa4d2442825268195b773b348e21925a0bb908a63bfd964af29",
    "fragment-age": "a0b9136d296a04c58ab81109d920c77a7a77f97c123af5319392cd2d71d5e870",
    "leak-fault": "858c04f63e19657c85400635c5f98f90a5c33ea27d5b3f7574cf025e866b8618",
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
