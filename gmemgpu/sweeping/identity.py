"""What makes two sweeps the same: hashes of parameters, of code and of data, and the versions that matter."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import gmemgpu
from gmemgpu.errors import Problem, SpecError

__all__ = [
    "SCHEMA_VERSION",
    "canonical_json",
    "digest",
    "digester",
    "file_hash",
    "code_hash",
    "versions",
    "differences",
]

SCHEMA_VERSION = 1
"""Of the store: its columns, its file names, its metadata. Raise it when an old store can no longer be resumed."""

_NO_EFFECT = (
    "cli/",
    "measuring/",
    "report/",
    "sweeping/",
    "testing/",
    "engine/choice.py",
    "engine/crossover.py",
    "engine/kernel_runs.py",
    "data/gpu_runs.toml",
    "api.py",
    "__main__.py",
)
"""Sources that no result depends on …"""
_EFFECT = ("sweeping/shard.py", "sweeping/part.py")
"""… but for these. Whatever is not named here counts, so that a new folder is never forgotten."""


def canonical_json(value: Any, default: Callable[[Any], Any] | None = None) -> str:
    """
    Write JSON in the one way that the same value always has.

    Parameters
    ----------
    value : JSON-ready, but for what `default` knows
    default : callable, optional
        What to write for anything that JSON has no word for.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=default
    )


def digest(value: Any) -> str:
    """Give the SHA-256 of a value's canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def digester(shared: Mapping[str, Any], key: str, default: Callable[[Any], Any] | None = None) -> Callable[[Any], str]:
    """
    Prepare digests of many values that differ under one key.

    Parameters
    ----------
    shared : mapping of str to value
        What they have in common; written once, whatever its size.
    key : str
        Not among its keys.
    default : callable, optional
        As of `canonical_json`, for what is shared.

    Returns
    -------
    callable
        From a value v to ``digest({**shared, key: v})``.
    """
    before = canonical_json({name: value for name, value in shared.items() if name < key}, default)
    after = canonical_json({name: value for name, value in shared.items() if name > key}, default)
    head = f"{before[:-1]}{',' if before != '{}' else ''}{canonical_json(key)}:".encode()
    tail = f"{',' if after != '{}' else ''}{after[1:]}".encode()
    return lambda value: hashlib.sha256(head + canonical_json(value).encode() + tail).hexdigest()


def file_hash(path: Path) -> str:
    """
    Give the SHA-256 of a file's contents.

    Raises
    ------
    SpecError
        If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SpecError(Problem(str(path), f"cannot be read: {error.strerror}; check the path")) from None


@cache
def code_hash() -> str:
    """Give the SHA-256 over the names and contents of the package's files that results depend on."""
    package = Path(gmemgpu.__file__).parent
    total = hashlib.sha256()
    for path in sorted(package.rglob("*")):
        name = path.relative_to(package).as_posix()
        if path.suffix not in (".py", ".toml", ".cu") or (name.startswith(_NO_EFFECT) and name not in _EFFECT):
            continue
        total.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def versions() -> dict[str, str]:
    """
    Give the versions that a result's bytes may depend on.

    Python counts by its minor version. NumPy counts because it may change how variates are drawn, pyarrow because
    it writes the parts; Dask does not, since it only carries tasks.
    """
    major, minor, _ = platform.python_version_tuple()
    return {
        "gmemgpu": gmemgpu.__version__,
        "python": f"{major}.{minor}",
        **{package: metadata.version(package) for package in ("numpy", "pyarrow")},
    }


def differences(there: Any, here: Any, path: str = "") -> list[str]:
    """
    Say where two JSON values differ.

    Returns
    -------
    list of str
        One ``key: old there, new here`` each; empty if they are equal.
    """
    if isinstance(there, dict) and isinstance(here, dict):
        found: list[str] = []
        for key in sorted({*there, *here}):
            found.extend(differences(there.get(key), here.get(key), f"{path}.{key}" if path else key))
        return found
    return [] if there == here else [f"{path}: {_brief(there)} there, {_brief(here)} here"]


def _brief(value: Any) -> str:
    text = "nothing" if value is None else canonical_json(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
