"""``gmemgpu presets NAME`` and messages on missing keys say what a field means: every field must."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel

from gmemgpu.workload.process.autoscale import Autoscale
from gmemgpu.workload.spec import Workload


def models_in(annotation: Any) -> set[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        found = {annotation}
        for field in annotation.model_fields.values():
            found |= models_in(field.annotation)
        return found
    return {model for argument in get_args(annotation) for model in models_in(argument)}


def test_every_field_of_a_workload_has_a_description() -> None:
    models = models_in(Workload)
    # Unions are looked into, or this test would pass on nothing.
    assert Autoscale in models
    assert len(models) > 20
    silent = [f"{m.__name__}.{key}" for m in models for key, field in m.model_fields.items() if not field.description]
    assert sorted(silent) == []
