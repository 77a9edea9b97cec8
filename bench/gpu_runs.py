"""
Which kernel ran when and on which GPU: from bench/results/gpu*.json into the package, where `gmemgpu doctor` reads it.

    python -m bench.gpu_runs
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from gmemgpu.engine.kernel_runs import KernelRun

__all__ = ["RESULTS", "SHIPPED", "newest_runs", "toml_text"]

RESULTS = Path(__file__).parent / "results"
SHIPPED = Path(__file__).parents[1] / "gmemgpu" / "data" / "gpu_runs.toml"

_HEAD = """\
# Which CUDA kernel was last really run, when, on which GPU. Written by `python -m bench.gpu_runs` from
# bench/results/gpu*.json, never by hand; a kernel that is not here has never run on a GPU.
"""


def newest_runs(results: Path = RESULTS) -> dict[str, KernelRun]:
    """Give the newest recorded run of each kernel, by name."""
    newest: dict[str, KernelRun] = {}
    for path in sorted(results.glob("gpu*.json")):
        found = json.loads(path.read_text(encoding="utf-8"))
        hardware = found["hardware"]
        for name, source in found["kernels"].items():
            run = KernelRun(
                gpu=hardware["gpu"],
                driver=hardware["driver"],
                date=hardware["date"],
                commit=hardware["commit"],
                source=source,
            )
            if name not in newest or newest[name].date < run.date:
                newest[name] = run
    return newest


def toml_text(runs: dict[str, KernelRun]) -> str:
    """Write runs as the package ships them."""
    tables = []
    for name, run in sorted(runs.items()):
        # JSON's strings are TOML's too.
        lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in asdict(run).items()]
        tables.append("\n".join([f"\n[kernel.{name}]", *lines]) + "\n")
    return _HEAD + "".join(tables)


if __name__ == "__main__":
    SHIPPED.write_text(toml_text(newest_runs()), encoding="utf-8")
