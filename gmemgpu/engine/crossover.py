"""From how many evaluations at once a GPU beats this machine's cores: what `gmemgpu bench` found and stored."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import gmemgpu

__all__ = [
    "Crossover",
    "StoredCrossovers",
    "cpu_model",
    "core_count",
    "gpu_key",
    "store_file",
    "document",
    "read_crossovers",
]

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossover:
    """
    What was measured with one GPU.

    Parameters
    ----------
    n_pairs : int or None
        Smallest measured number of (trace, policy) pairs in a batch from which the GPU was faster than all cores
        together, in this batch and in all larger ones; None if it never was.
    date : str
        Day of the measurement, as in ``2026-12-01``.
    """

    n_pairs: int | None
    date: str


@dataclass(frozen=True, slots=True)
class StoredCrossovers:
    """
    What a machine's file holds.

    Parameters
    ----------
    by_gpu : dict of str to Crossover
        Measurements by `gpu_key`.
    problem : str or None
        Why the file was ignored; None if it was read, or if there is none.
    """

    by_gpu: dict[str, Crossover]
    problem: str | None = None


def cpu_model() -> str:
    """Return the name of this machine's processor, "unknown" if the kernel does not list it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def core_count() -> int:
    """Return the number of cores that this process may run on."""
    return len(os.sched_getaffinity(0))


def gpu_key() -> str:
    """Return the name of the first GPU and its driver's version; the CuPy engine must be able to run here."""
    from gmemgpu.engine.cupy.device import devices, driver_version

    return f"{devices()[0].name}, driver {driver_version()}"


@cache
def _source_hash() -> str:
    # Another version of an engine has another speed.
    package = Path(gmemgpu.__file__).parent
    total = hashlib.sha256()
    for path in sorted((*(package / "engine").rglob("*"), *(package / "timeline").rglob("*"))):
        if path.suffix in (".py", ".cu", ".cuh"):
            total.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def _identity() -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "gmemgpu": gmemgpu.__version__,
        "source": _source_hash(),
        "cpu": cpu_model(),
        "cores": core_count(),
    }


def store_file() -> Path:
    """Return the path of the measurements of this machine, version and source, in the user's cache folder."""
    # The convention ignores relative paths.
    home = Path(os.environ.get("XDG_CACHE_HOME", ""))
    folder = home if home.is_absolute() else Path.home() / ".cache"
    name = hashlib.sha256(json.dumps(_identity(), sort_keys=True).encode()).hexdigest()[:16]
    return folder / "gmemgpu" / f"crossover-{name}.json"


def document(by_gpu: dict[str, Crossover]) -> dict[str, Any]:
    """
    Build the JSON document that `read_crossovers` reads back.

    Parameters
    ----------
    by_gpu : dict of str to Crossover
        Measurements by `gpu_key`.

    Returns
    -------
    dict
        Machine, version and source that they hold for, and the measurements.
    """
    gpus = {name: {"n_pairs": found.n_pairs, "date": found.date} for name, found in by_gpu.items()}
    return {**_identity(), "gpus": gpus}


def read_crossovers() -> StoredCrossovers:
    """
    Read what was measured on this machine with this version and source.

    Returns
    -------
    StoredCrossovers
        Empty if there is no file; empty with a problem if it is damaged.
    """
    path = store_file()
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        if {key: held[key] for key in _identity()} != _identity():
            raise ValueError("it is of another machine")
        by_gpu = {str(name): _crossover(found) for name, found in held["gpus"].items()}
    except FileNotFoundError:
        return StoredCrossovers({})
    except OSError as error:
        return StoredCrossovers({}, f"{path}: cannot be read: {error.strerror}")
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError) as error:
        return StoredCrossovers({}, f"{path}: is damaged ({type(error).__name__}: {error})")
    return StoredCrossovers(by_gpu)


def _crossover(found: Any) -> Crossover:
    n_pairs = found["n_pairs"]
    if n_pairs is not None and (not isinstance(n_pairs, int) or isinstance(n_pairs, bool) or n_pairs < 1):
        raise ValueError(f"n_pairs {n_pairs!r}")
    return Crossover(n_pairs=n_pairs, date=str(found["date"]))
