"""``gmemgpu sweep --dry-run``: what a sweep would take, and nothing of it done."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from gmemgpu.sweeping.estimate import estimate

if TYPE_CHECKING:
    from gmemgpu.sweeping.estimate import Estimate

__all__ = ["run_dry"]

_H = 3600.0


def run_dry(spec: str, *, backend: str | None, workers: int, worker_bytes: int | None, as_json: bool) -> int:
    """
    Measure a little of a sweep and print what all of it would take.

    Parameters
    ----------
    spec : str
        A TOML file.
    backend : str or None
    workers : int
    worker_bytes : int or None
        Memory of each; None for no limit.
    as_json : bool

    Returns
    -------
    int
        0; a sweep that does not fit is an exception.
    """
    found = estimate(spec, backend=backend, workers=workers, worker_bytes=worker_bytes)
    if as_json:
        json.dump(asdict(found), sys.stdout, indent=1, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        sys.stdout.writelines(f"{name:<12}{value}\n" for name, value in _lines(found))
    return 0


def _lines(found: Estimate) -> list[tuple[str, str]]:
    unit = "GPU" if found.on_device else "core"
    return [
        ("evaluations", f"{found.n_rows:,} in {found.n_shards:,} parts, on {found.backend}"),
        (
            "wall time",
            f"about {_time(found.wall_s)} on {found.workers:,} {'worker' if found.workers == 1 else 'workers'}",
        ),
        (f"{unit}-hours", f"about {found.busy_s / _H:,.2f}"),
        ("memory", f'about {_size(found.worker_bytes)} for a worker with the longest trace, of "{found.largest}"'),
        ("results", f"about {_size(found.result_bytes)}"),
        (
            "certainty",
            f"times are good to a factor of {found.factor:.1f}: {found.n_traces_measured:,} traces, some cut short, "
            f"measured in {_time(found.measured_s)} on one {unit} of this machine; those of workers may be slower",
        ),
    ]


def _time(time_s: float) -> str:
    for unit, in_s in (("d", 24 * _H), ("h", _H), ("min", 60.0)):
        if time_s >= 2 * in_s:
            return f"{time_s / in_s:,.1f} {unit}"
    return f"{time_s:,.1f} s"


def _size(n_bytes: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if n_bytes < 1024:
            return f"{n_bytes:,.0f} {unit}"
        n_bytes /= 1024
    return f"{n_bytes:,.1f} GiB"
