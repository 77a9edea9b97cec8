"""What makes two sweeps the same: canonical JSON, hashes of parameters and of files, and the versions at work."""

from __future__ import annotations

import hashlib
import json
import platform
import secrets
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any

import gmemgpu
from gmemgpu.model import MODEL_VERSION

__all__ = ["canonical_json", "digest", "digester", "versions", "differences"]


def canonical_json(value: Any, default: Callable[[Any], Any] | None = None) -> str:
    """Return the one JSON text that a value always has: keys sorted, no blanks."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=default
    )


def digest(value: Any) -> str:
    """Return the SHA-256 of a value's canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def digester(shared: Mapping[str, Any], key: str, default: Callable[[Any], Any] | None = None) -> Callable[[Any], str]:
    """Return a function from a value v to ``digest({**shared, key: v})``, for which what is shared is written once."""
    place = secrets.token_hex(16)
    before, _, after = canonical_json({**shared, key: place}, default).partition(f'"{place}"')
    head = hashlib.sha256(before.encode())

    def digest_of(value: Any) -> str:
        total = head.copy()
        total.update((canonical_json(value) + after).encode())
        return total.hexdigest()

    return digest_of


def versions() -> dict[str, str]:
    """
    Return the versions that compute rows, for people who look into a manifest, and for workers elsewhere.

    Rows depend on the model's version alone. The others are compared between the workers of one sweep: whoever
    installed another gmemgpu, NumPy or Arrow there did not mean to.
    """
    return {
        "model": str(MODEL_VERSION),
        "gmemgpu": gmemgpu.__version__,
        "python": ".".join(platform.python_version_tuple()[:2]),
        **{package: metadata.version(package) for package in ("numpy", "pyarrow")},
    }


def differences(there: Any, here: Any, path: str = "") -> list[str]:
    """Return where two JSON values differ, as ``key: old there, new here``."""
    if isinstance(there, dict) and isinstance(here, dict):
        found: list[str] = []
        for key in sorted({*there, *here}):
            found.extend(differences(there.get(key), here.get(key), f"{path}.{key}" if path else key))
        return found
    return [] if there == here else [f"{path}: {_brief(there)} there, {_brief(here)} here"]


def _brief(value: Any) -> str:
    text = "nothing" if value is None else canonical_json(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
