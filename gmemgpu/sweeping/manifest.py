"""The manifest: what a results directory says of itself, and why another sweep is refused there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gmemgpu.atomic import is_wrong_path
from gmemgpu.errors import DirectoryError, StoreError
from gmemgpu.sweeping.identity import SCHEMA_VERSION, code_hash, differences, versions

if TYPE_CHECKING:
    from gmemgpu.sweeping.plan import Plan
    from gmemgpu.sweeping.spec import SweepSpec

__all__ = ["MANIFEST", "read_manifest", "manifest_of", "manifest_bytes", "refuse_other_sweep"]

MANIFEST = "manifest.json"
_KEYS = ("name", "backend", "versions", "code", "spec", "axes", "results", "parts")
_KEYS_OF = {"results": ("id", "rows"), "parts": ("id", "label", "seeds", "rows")}
_MAX_DIFFERENCES = 12
_GIVE = "give the directory of `gmemgpu sweep … -o DIR`"


def read_manifest(directory: str | Path) -> dict[str, Any]:
    """
    Read what a results directory says of itself.

    Raises
    ------
    DirectoryError
        If there is no sweep in it, or it cannot be read.
    StoreError
        If its manifest is damaged, or another version wrote it.
    """
    path = Path(directory) / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DirectoryError(f"{directory}: holds no sweep ({MANIFEST} is missing); {_GIVE}") from None
    except OSError as error:
        kind = DirectoryError if is_wrong_path(error) else StoreError
        raise kind(f"{path}: cannot be read: {error.strerror}; {_GIVE}") from None
    except ValueError as error:
        raise StoreError(f"{path}: is damaged ({error}); delete it and run the sweep again: parts are kept") from None
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA_VERSION:
        found = manifest.get("schema") if isinstance(manifest, dict) else None
        raise StoreError(f"{path}: is of schema {found}, and this version reads schema {SCHEMA_VERSION}")
    lacking = [key for key in _KEYS if key not in manifest] or _lacking_in_parts(manifest)
    if lacking:
        raise StoreError(
            f"{path}: is damaged ({', '.join(lacking)} missing); delete it and run the sweep again: parts are kept"
        )
    return manifest


def _lacking_in_parts(manifest: dict[str, Any]) -> list[str]:
    tables = {"results": [manifest["results"]], "parts": manifest["parts"]}
    if not isinstance(manifest["parts"], list) or not isinstance(manifest["spec"], dict):
        return ["list of parts or table of the spec"]
    return [
        f"{name}[{i}].{key}"
        for name, keys in _KEYS_OF.items()
        for i, table in enumerate(tables[name])
        for key in keys
        if not isinstance(table, dict) or key not in table
    ][:_MAX_DIFFERENCES] or [f"spec.{key}" for key in ("policies",) if key not in manifest["spec"]]


def manifest_of(spec: SweepSpec, plan: Plan) -> dict[str, Any]:
    """Say what a directory holds: JSON-ready."""
    return {
        "schema": SCHEMA_VERSION,
        "name": spec.name,
        "backend": plan.setting.backend,
        "versions": versions(),
        "code": code_hash(),
        "spec": spec.canonical,
        "axes": list(spec.axes),
        "results": {"id": plan.results_id, "rows": plan.n_rows},
        "parts": [
            {"id": shard.part_id, "label": shard.label, "seeds": list(shard.seeds), "rows": shard.n_rows}
            for shard in plan.shards
        ],
    }


def manifest_bytes(manifest: dict[str, Any]) -> bytes:
    """Write a manifest as it is stored: for people too, a line for each value."""
    return json.dumps(manifest, sort_keys=True, indent=1, ensure_ascii=False).encode() + b"\n"


def refuse_other_sweep(directory: Path, theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    """
    Compare the manifest that a directory has with the one that it should have.

    Raises
    ------
    DirectoryError
        If they differ in anything that results depend on; names what, there and here.
    """
    found: list[str] = []
    for key in ("spec", "code", "versions", "backend"):
        prefix = "" if key == "spec" else key
        found.extend(differences(theirs.get(key), ours[key], prefix))
    if not found and theirs.get("results") != ours["results"]:
        found.append("parts: cut in another way")
    if not found:
        return
    shown = "".join(f"\n  {difference}" for difference in found[:_MAX_DIFFERENCES])
    if len(found) > _MAX_DIFFERENCES:
        shown += f"\n  … and {len(found) - _MAX_DIFFERENCES} more"
    raise DirectoryError(
        f"{directory}: holds another sweep; choose another directory, or delete this one. What differs:{shown}"
    )
