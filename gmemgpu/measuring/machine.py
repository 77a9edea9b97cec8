"""The machine that figures hold for: processor, cores, memory and versions."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gmemgpu
from gmemgpu.engine.crossover import core_count, cpu_model

__all__ = ["describe_machine", "memory_bytes"]

_CGROUPS = Path("/sys/fs/cgroup")
"""Where cgroups are mounted: version 2 itself, the memory controller of version 1 in a folder of its name."""
_OWN_CGROUPS = Path("/proc/self/cgroup")


def memory_bytes() -> int:
    """Return the bytes of memory that this process may use: the machine's, or less where a cgroup limits it."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([physical, *_cgroup_limits()])


def _cgroup_limits() -> Iterator[int]:
    try:
        lines = _OWN_CGROUPS.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            root, name = _CGROUPS, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = _CGROUPS / "memory", "memory.limit_in_bytes"
        else:
            continue
        # Any group above this process's own limits it as well: a batch system sets the job's, not the task's. Inside a
        # container the path may be the host's, or lead out by "..", and only its top is to be seen.
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for depth in range(len(parts) + 1):
            # "max" is no number, and no limit.
            with suppress(OSError, ValueError):
                yield int(root.joinpath(*parts[:depth], name).read_text(encoding="ascii"))


def describe_machine() -> dict[str, Any]:
    """
    Describe this machine, Python and the libraries that matter for speed.

    Returns
    -------
    dict
        Values of JSON; memory in GiB.
    """
    return {
        "cpu": cpu_model(),
        "cores": core_count(),
        "memory_gib": round(memory_bytes() / 2**30, 1),
        "python": platform.python_version(),
        "numpy": version("numpy"),
        "gmemgpu": gmemgpu.__version__,
    }
