"""A part: the rows of one shard in one Arrow file, whose name says what was computed and what the bytes are."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from gmemgpu.atomic import written_whole
from gmemgpu.metrics.table import metric_arrow_type
from gmemgpu.model.metric import METRIC_NAMES
from gmemgpu.model.rmp_figure import RMP_FIGURE_NAMES
from gmemgpu.sweeping.store.files import open_unfollowed, unreadable

if TYPE_CHECKING:
    from gmemgpu.sweeping.spec import AxisValue

__all__ = [
    "TRACE_COLUMNS",
    "rows_schema",
    "schema_of",
    "rows_to_arrow",
    "PartFile",
    "listed_parts",
    "part_files",
    "part_bytes",
    "write_part",
    "parts_of_sweep",
]

_WIDE_TRACE_COLUMNS = ("running_vm_ns", "running_snp_vm_ns")
TRACE_COLUMNS = (
    *("cores", "present_bytes", "horizon_ns", "warmup_ns", "events", "admitted", "rejected"),
    *_WIDE_TRACE_COLUMNS,
)
"""What a row says of its trace: the host's cores and its memory without holes; VMs admitted and rejected over the whole
trace; times that VMs, and SNP guests among them, ran from the warm-up on. All int64 but these times, which are wide as
those of metrics."""

_WIDE = pa.decimal128(38, 0)
METADATA_KEY = b"gmemgpu"
_NAME = re.compile(r"([0-9a-f]{32})-([0-9a-f]{16})\.arrow")
SHA_DIGITS = 16
_HEAD_BYTES = 65_536


def _axis_type(values: Iterable[AxisValue]) -> pa.DataType:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return pa.bool_()
    if kinds == {int}:
        return pa.int64()
    if kinds and kinds <= {int, float}:
        return pa.float64()
    return pa.string()


def rows_schema(axes: Mapping[str, Sequence[AxisValue]], *, with_images: bool = False) -> pa.Schema:
    """Return the columns of a sweep: those that tell rows apart, `TRACE_COLUMNS`, figures of images, the metrics."""
    return pa.schema(
        [
            ("label", pa.string()),
            ("preset", pa.string()),
            *((name, _axis_type(values)) for name, values in axes.items()),
            ("seed", pa.int64()),
            ("policy", pa.string()),
            *((name, _WIDE if name in _WIDE_TRACE_COLUMNS else pa.int64()) for name in TRACE_COLUMNS),
            *((name, pa.int64()) for name in (RMP_FIGURE_NAMES if with_images else ())),
            *((name, metric_arrow_type(name)) for name in METRIC_NAMES),
        ]
    )


def schema_of(columns: Sequence[Sequence[str]]) -> pa.Schema:
    """Return the columns that a manifest names."""
    # Arrow reads no decimals and no lists from their names.
    of_metrics = {str(kind): kind for kind in map(metric_arrow_type, METRIC_NAMES)}
    return pa.schema([(name, of_metrics.get(kind) or pa.type_for_alias(kind)) for name, kind in columns])


def rows_to_arrow(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Build an Arrow table of a sweep's columns; on an axis that mixes kinds, numbers become text."""
    columns = []
    for field in schema:
        values = [row[field.name] for row in rows]
        if pa.types.is_string(field.type):
            values = [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]
        columns.append(pa.array(values, field.type))
    return pa.Table.from_arrays(columns, schema=schema)


@dataclass(frozen=True, slots=True, order=True)
class PartFile:
    """A file that by its name is a part."""

    part_id: str  # hash of everything that its rows depend on, 32 hexadecimal digits
    sha: str  # the first 16 digits of the SHA-256 of its bytes

    @property
    def name(self) -> str:
        """Name of the file."""
        return f"{self.part_id}-{self.sha}.arrow"


def listed_parts(folder: Path) -> tuple[list[PartFile], list[str]]:
    """
    List a folder of parts, by one look at its names.

    First the parts, two of one shard if there are; then the names of everything else, links among them, but for those
    that begin with a dot.
    """
    files, others = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                found = _NAME.fullmatch(entry.name)
                if found is not None and entry.is_file(follow_symlinks=False):
                    files.append(PartFile(*found.groups()))
                elif not entry.name.startswith("."):
                    # What a sweep writes has a dot in front until it is whole.
                    others.append(entry.name)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise unreadable(folder, error) from error
    return files, sorted(others)


def part_files(folder: Path) -> dict[str, PartFile]:
    """List the parts of a folder by their ids; of two with one id (by two versions of Arrow, say) the first by name."""
    found: dict[str, PartFile] = {}
    for file in listed_parts(folder)[0]:
        found[file.part_id] = min(file, found.get(file.part_id, file))
    return found


def part_bytes(table: pa.Table, about: Mapping[str, Any]) -> bytes:
    """Build the bytes of a part; equal rows give equal bytes."""
    sink = pa.BufferOutputStream()
    schema = table.schema.with_metadata({METADATA_KEY: json.dumps(about, sort_keys=True).encode()})
    with pa.ipc.new_file(sink, schema) as writer:
        writer.write_table(table.combine_chunks().replace_schema_metadata(schema.metadata))
    return bytes(memoryview(sink.getvalue()))


def write_part(folder: Path, part_id: str, table: pa.Table, about: Mapping[str, Any]) -> PartFile:
    """Write the rows of a shard, and whose they are: whole and on disk, or not at all."""
    content = part_bytes(table, {**about, "part": part_id})
    file = PartFile(part_id, hashlib.sha256(content).hexdigest()[:SHA_DIGITS])
    with written_whole(folder / file.name) as target:
        target.write(content)
    return file


def parts_of_sweep(folder: Path, files: Mapping[str, PartFile], sweep_id: str) -> dict[str, PartFile]:
    """Return those parts that say that they are of a sweep, by their heads alone: the rest is not looked at."""
    wanted = json.dumps({"sweep": sweep_id})[1:-1].encode()
    found = {}
    for part_id, file in files.items():
        # The metadata come first, as they were written.
        with suppress(OSError), open_unfollowed(f"{folder}/{file.name}") as content:
            if wanted in content.read(_HEAD_BYTES):
                found[part_id] = file
    return found
