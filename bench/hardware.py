"""The line that every figure needs: what it was measured on, with which versions, at which commit."""

from __future__ import annotations

import datetime
import json
import subprocess
from pathlib import Path
from typing import Any

from gmemgpu.measuring.machine import describe_machine

__all__ = ["hardware_line", "record"]


def hardware_line() -> dict[str, Any]:
    """Describe this machine, Python, the libraries that matter and the commit."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False, cwd=Path(__file__).parent
    ).stdout.strip()
    return {
        **describe_machine(),
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
