"""``gmemgpu presets``: the workload presets, or every field of one of them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel

    from gmemgpu.workload.spec import Workload

__all__ = ["add_arguments", "run"]

_HEADINGS = ["preset", "host", "stock", "SNP", "arrivals", "lifetime", "memory", "horizon", "what it is"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``gmemgpu presets``."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="show every field of this preset")
    parser.add_argument("--small", action="store_true", help="show the scaled-down variants")
    parser.add_argument("--json", action="store_true", help="write JSON: one object a preset")


def run(arguments: argparse.Namespace) -> int:
    """Print the presets; 0 if the one asked for is known."""
    from gmemgpu.workload.preset import preset, preset_names, preset_summary, small_variant

    names = preset_names() if arguments.name is None else (arguments.name,)
    workloads = [preset(name) for name in names]
    if arguments.small:
        workloads = [small_variant(workload) for workload in workloads]
    if arguments.json:
        rows = [{"summary": preset_summary(w.preset), **w.model_dump(mode="json")} for w in workloads]
        print(json.dumps(rows, indent=1, ensure_ascii=False))
        return 0
    from gmemgpu.cli.terminal import print_table

    if arguments.name is None:
        print_table(_HEADINGS, ([*_cells(w), preset_summary(w.preset)] for w in workloads), right=(2, 3))
    else:
        title = f"{arguments.name}: {preset_summary(arguments.name)}"
        print_table(["key", "value", "meaning"], _fields(workloads[0]), title=title)
    return 0


def _cells(workload: Workload) -> list[str]:
    from gmemgpu.units import format_bytes, format_duration_ns

    host = workload.host.host
    return [
        workload.preset,
        f"{workload.host.name}, {format_bytes(host.memory_bytes)}",
        str(workload.n_stock),
        f"{workload.snp.share:.0%}",
        workload.arrivals.process,
        workload.lifetime.name,
        f"{workload.memory.folio} {workload.memory.placement}",
        f"{format_duration_ns(workload.horizon_ns)} ({format_duration_ns(workload.warmup_ns)} warm-up)",
    ]


def _text(key: str, value: Any) -> str:
    from gmemgpu.units import format_bytes, format_duration_ns

    if value is None:
        return "–"
    if isinstance(value, int) and key.endswith("_ns"):
        return format_duration_ns(value)
    if isinstance(value, int) and key.endswith("_bytes"):
        return format_bytes(value)
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict | tuple) else str(value)


def _fields(section: BaseModel, prefix: str = "") -> Iterator[list[str]]:
    # Every field with its value and meaning, sections opened.
    from pydantic import BaseModel

    for key, field in type(section).model_fields.items():
        value = getattr(section, key)
        if isinstance(value, BaseModel):
            yield from _fields(value, f"{prefix}{key}.")
        else:
            yield [f"{prefix}{key}", _text(key, value), field.description or ""]
