"""``gmemgpu doctor``: versions, engines, cores, memory; what is missing, and the cure."""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from importlib import metadata
from typing import Any

__all__ = ["add_arguments", "memory_bytes", "run"]

_PACKAGES = ("gmemgpu", "numpy", "dask", "distributed", "pyarrow", "pydantic", "rich", "pandas")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``gmemgpu doctor``."""
    parser.add_argument("--json", action="store_true", help="write JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print what was found; 0 if an engine runs and scratch files can be written, else 1."""
    found = _examine()
    if arguments.json:
        print(json.dumps(found, indent=1, ensure_ascii=False))
    else:
        from gmemgpu.cli.terminal import print_table

        print_table([], _lines(found))
    return 0 if found["engines"] and found["scratch"]["writable"] else 1


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def memory_bytes() -> int:
    """Give the machine's memory, or a container's share of it."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        with open("/sys/fs/cgroup/memory.max") as file:  # noqa: PTH123  # a kernel file, read once
            limit = file.read().strip()
    except OSError:
        return physical
    return physical if limit == "max" else min(physical, int(limit))


def _scratch() -> dict[str, Any]:
    folder = tempfile.gettempdir()
    try:
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            file.write(b"gmemgpu")
            file.flush()
    except OSError as error:
        cure = "set TMPDIR to a folder that you may write to and that has room"
        return {"folder": folder, "writable": False, "reason": f"{error.strerror}; {cure}"}
    return {"folder": folder, "writable": True, "reason": None}


def _examine() -> dict[str, Any]:
    from dask.system import CPU_COUNT

    from gmemgpu.engine.registry import available_engines, missing_engines

    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": {package: _version(package) for package in _PACKAGES},
        "engines": [engine.name for engine in available_engines()],
        "engines_missing": missing_engines(),
        "cores": int(CPU_COUNT),
        "memory_bytes": memory_bytes(),
        "scratch": _scratch(),
    }


def _lines(found: dict[str, Any]) -> list[tuple[str, str]]:
    scratch = found["scratch"]
    return [
        ("python", f"{found['python']} on {found['system']}"),
        *((package, version or "not installed") for package, version in found["packages"].items()),
        *((f"engine {name}", "runs") for name in found["engines"]),
        *((f"engine {name}", f"missing: {reason}") for name, reason in found["engines_missing"].items()),
        ("cores", f"{found['cores']} for this process"),
        ("memory", f"{found['memory_bytes'] / 2**30:.1f} GiB"),
        ("scratch", f"{scratch['folder']}: {'writable' if scratch['writable'] else scratch['reason']}"),
    ]
