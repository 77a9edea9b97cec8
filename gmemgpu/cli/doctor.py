"""``gmemgpu doctor``: versions, engines, cores, memory, GPUs and kernels; what is missing, and the cure."""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from dataclasses import asdict
from importlib import metadata
from typing import Any

from gmemgpu.cli.main import dask_problem

__all__ = ["add_arguments", "run"]

_PACKAGES = ("gmemgpu", "numpy", "dask", "distributed", "pyarrow", "pydantic", "rich", "pandas", "numba")
_CUPY_PACKAGES = ("cupy", "cupy-cuda12x", "cupy-cuda13x")
"""One module by three names: only those that are installed are listed, and two of them would be a mistake."""


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
    from gmemgpu.engine.kernel_runs import has_changed, kernel_runs
    from gmemgpu.engine.registry import available_engines, missing_engines
    from gmemgpu.measuring.machine import memory_bytes

    missing = missing_engines()
    cupy = {package: found for package in _CUPY_PACKAGES if (found := _version(package)) is not None}
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": {package: _version(package) for package in _PACKAGES} | cupy,
        "engines": [engine.name for engine in available_engines()],
        "engines_missing": missing,
        "compiled": _compiled() if "numba" not in missing else None,
        "gpus": _gpus() if "cupy" not in missing else None,
        "kernels": {
            name: None if run is None else {**asdict(run), "has_changed": has_changed(name, run)}
            for name, run in kernel_runs().items()
        },
        **_cores(),
        "memory_bytes": memory_bytes(),
        "scratch": _scratch(),
    }


def _cores() -> dict[str, Any]:
    # Dask knows the limits of containers, and reads its configuration as it is imported.
    try:
        from dask.system import CPU_COUNT
    except ValueError as error:
        return {"cores": os.cpu_count(), "dask_problem": dask_problem(error) or str(error)}
    return {"cores": int(CPU_COUNT), "dask_problem": None}


def _compiled() -> dict[str, Any]:
    from gmemgpu.compiled import cache_folder, cache_problem
    from gmemgpu.sweeping.compile_once import compile_once

    took_s = compile_once("numba")
    folder = cache_folder()
    return {
        "folder": None if folder is None else str(folder),
        "reason": cache_problem(),
        "compiled_s": None if took_s is None else round(took_s, 1),
    }


def _compiled_lines(compiled: dict[str, Any] | None) -> list[tuple[str, str]]:
    if compiled is None:
        return []
    if compiled["folder"] is None:
        cure = "set NUMBA_CACHE_DIR to a folder that you may write to"
        return [("compiled", f"by each process anew, in memory ({compiled['reason']}); {cure}")]
    took_s = compiled["compiled_s"]
    when = "before" if took_s is None else f"just now, in {took_s:.1f} s"
    return [("compiled", f"{when}, for all processes: {compiled['folder']}")]


def _gpus() -> dict[str, Any]:
    from gmemgpu.engine.crossover import gpu_key, read_crossovers
    from gmemgpu.engine.cupy.device import cuda_versions, devices, driver_version

    stored = read_crossovers()
    crossover = stored.by_gpu.get(gpu_key())
    return {
        "driver": driver_version(),
        **cuda_versions(),
        "devices": [asdict(device) for device in devices()],
        "crossover": None if crossover is None else asdict(crossover),
        "crossover_problem": stored.problem,
    }


def _gpu_lines(gpus: dict[str, Any] | None) -> list[tuple[str, str]]:
    if gpus is None:
        return []
    lines = [
        (
            f"gpu {device['ordinal']}",
            f"{device['name']}, compute capability {device['compute_capability']}, "
            f"{device['multiprocessors']} multiprocessors, {device['memory_bytes'] / 2**30:.1f} GiB",
        )
        for device in gpus["devices"]
    ]
    lines.append(
        ("driver", f"{gpus['driver']}, for CUDA up to {gpus['cuda_driver']}; CuPy runs on {gpus['cuda_runtime']}")
    )
    found = gpus["crossover"]
    if found is None:
        pays = f"not measured; run gmemgpu bench{'' if gpus['crossover_problem'] is None else ' anew'}"
        pays = "; ".join(filter(None, (gpus["crossover_problem"], pays)))
    elif found["n_pairs"] is None:
        pays = f"a GPU never paid (measured {found['date']})"
    else:
        pays = f"a GPU pays from {found['n_pairs']:,} evaluations at once (measured {found['date']})"
    return [*lines, ("backend auto", pays)]


def _lines(found: dict[str, Any]) -> list[tuple[str, str]]:
    from gmemgpu.engine.kernel_runs import describe_run, kernel_runs

    scratch, problem = found["scratch"], found["dask_problem"]
    return [
        ("python", f"{found['python']} on {found['system']}"),
        *((package, version or "not installed") for package, version in found["packages"].items()),
        *((f"engine {name}", "runs") for name in found["engines"]),
        *((f"engine {name}", f"missing: {reason}") for name, reason in found["engines_missing"].items()),
        *_compiled_lines(found["compiled"]),
        *_gpu_lines(found["gpus"]),
        *((f"kernel {name}", describe_run(name, run)) for name, run in kernel_runs().items()),
        *([] if problem is None else [("dask", f"sweeps cannot run: {problem}")]),
        ("cores", f"{found['cores']} for this process"),
        ("memory", f"{found['memory_bytes'] / 2**30:.1f} GiB"),
        ("scratch", f"{scratch['folder']}: {'writable' if scratch['writable'] else scratch['reason']}"),
    ]
