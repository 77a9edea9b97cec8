"""The line that every figure needs: what it was measured on, with which versions, at which commit."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gmemgpu
from gmemgpu.engine.crossover import core_count, cpu_model

__all__ = ["hardware_line", "record"]


def hardware_line() -> dict[str, Any]:
    """Describe this machine, Python, the libraries that matter and the commit."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False, cwd=Path(__file__).parent
    ).stdout.strip()
    return {
        "cpu": cpu_model(),
        "cores": core_count(),
        "memory_gib": round(memory_gib, 1),
        "python": platform.python_version(),
        "numpy": version("numpy"),
        "gmemgpu": gmemgpu.__version__,
        "commit": commit or "unknown",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "gpu": "none: not run on a GPU",
    }


def record(name: str, command: str, figures: dict[str, Any], *, save: bool) -> None:
    """Print a benchmark's figures with the hardware line, and keep them in ``bench/results`` if asked to."""
    result = {"benchmark": name, "command": command, "hardware": hardware_line(), "figures": figures}
    print(json.dumps(result, indent=1))
    if save:
        folder = Path(__file__).parent / "results"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
