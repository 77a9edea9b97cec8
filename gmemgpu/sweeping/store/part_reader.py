"""Parts read in full, and held against their names and their sweep's columns."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import pyarrow as pa

from gmemgpu.errors import StoreError
from gmemgpu.sweeping.store.files import read_regular
from gmemgpu.sweeping.store.part import METADATA_KEY, SHA_DIGITS, PartFile

__all__ = ["Part", "DamagedPart", "ForeignPart", "Found", "read_blocks", "whole", "rows_of"]

_MAGIC = b"ARROW1\0\0"
_HEAD = len(_MAGIC) + 8
"""Where the first message begins, after four bytes that are the same in each and four that are its length."""
_THREADS = 4
_AHEAD = 8
_MOST_PARTS = 64
_BLOCK_BYTES = 2 << 20
"""Of a block of parts, if they are as large as the first; at least one part."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A part that was read."""

    file: PartFile  # its name
    batch: pa.RecordBatch  # the rows
    about: dict[str, Any]  # what `write_part` stored beside the rows


class DamagedPart(StoreError):
    """A file is not what its name says: it goes, and its shard is computed anew."""


class ForeignPart(DamagedPart):
    """A part is of another sweep: one of more scenarios may have computed the same shard, in another place."""


class _Reader:
    def __init__(self, folder: Path, schema: pa.Schema | None, sweep_id: str | None) -> None:
        # As text: to join paths costs as much as to read a small part.
        self._folder = str(folder)
        self._schema = schema
        self._sweep_id = sweep_id
        # Heads of files, without what each says of itself, whose columns are those of the schema: to parse and compare
        # these costs more than all else of a small part.
        self._known: set[bytes] = set()

    def read(self, file: PartFile) -> Part:
        path = f"{self._folder}/{file.name}"
        try:
            content = read_regular(path)
        except FileNotFoundError:
            raise DamagedPart(f"{path}: is gone") from None
        if hashlib.sha256(content).hexdigest()[:SHA_DIGITS] != file.sha:
            raise DamagedPart(f"{path}: is damaged: its bytes are not those that its name tells of")
        try:
            about, batch = self._parse(content)
        except (pa.ArrowException, TypeError, KeyError, ValueError, RecursionError) as error:
            raise DamagedPart(f"{path}: is no part of a sweep ({error})") from None
        if about.get("part") != file.part_id:
            raise DamagedPart(f"{path}: holds the rows of another shard")
        if batch is None:
            raise DamagedPart(f"{path}: has other columns than its sweep")
        if self._sweep_id not in (None, about.get("sweep")):
            raise ForeignPart(f"{path}: belongs to another sweep")
        return Part(file, batch, about)

    def read_some(self, files: Sequence[PartFile]) -> list[Found]:
        found: list[Found] = []
        for file in files:
            try:
                found.append((file, self.read(file)))
            except StoreError as error:
                found.append((file, error))
        return found

    def _parse(self, content: bytes) -> tuple[dict[str, Any], pa.RecordBatch | None]:
        # No batch if its columns are others. An Arrow file is a stream of messages between two words and an index; each
        # message begins with its length.
        if content[: len(_MAGIC)] != _MAGIC:
            raise ValueError("not an Arrow file")
        end = _HEAD + int.from_bytes(content[_HEAD - 4 : _HEAD], "little")
        head = content[_HEAD:end]
        start = head.index(b'{"')
        stop = head.index(b"}", start) + 1
        columns = head[:start] + head[stop:]
        if self._schema is not None and columns in self._known:
            batch = pa.ipc.read_record_batch(pa.py_buffer(content).slice(end), self._schema)
            return dict(json.loads(head[start:stop].decode())), batch
        batch = pa.ipc.open_file(content).get_batch(0)  # one, as it was written
        about = json.loads(batch.schema.metadata[METADATA_KEY])
        if self._schema is not None and not batch.schema.equals(self._schema):
            return about, None
        # Where other text of the head was taken for what it says of itself, it is parsed each time.
        if head[start:stop] == batch.schema.metadata[METADATA_KEY]:
            self._known.add(columns)
        return about, batch


Found: TypeAlias = tuple[PartFile, "Part | StoreError"]
"""A part's name, and what it holds or why that cannot be told."""

_T = TypeVar("_T")


def read_blocks(
    folder: Path,
    files: Sequence[PartFile],
    use: Callable[[list[Found]], _T],
    schema: pa.Schema | None = None,
    sweep_id: str | None = None,
) -> Iterator[_T]:
    """
    Read parts in full, and hold them against their names and, if told, columns and sweep.

    In threads, some ahead of whoever takes them: a network file system answers each after a while. `use` gets some that
    follow each other, in a thread; what it returns comes in the order of `files`.
    """
    reader = _Reader(folder, schema, sweep_id)

    def read(some: Sequence[PartFile]) -> _T:
        return use(reader.read_some(some))

    # Several a task: to hand over one costs more than to read a small part.
    at_once = _parts_of_a_block(folder, files)
    rest = (files[i : i + at_once] for i in range(0, len(files), at_once))
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="gmemgpu-read") as pool:
        held = deque(pool.submit(read, some) for some in islice(rest, _AHEAD))
        try:
            while held:
                found = held.popleft().result()
                held.extend(pool.submit(read, some) for some in islice(rest, 1))
                yield found
        finally:
            for future in held:
                future.cancel()


def _parts_of_a_block(folder: Path, files: Sequence[PartFile]) -> int:
    # Parts of a sweep are about equally large.
    n_bytes = 0
    if files:
        with suppress(OSError):
            n_bytes = (folder / files[0].name).lstat().st_size
    return max(1, min(_MOST_PARTS, _BLOCK_BYTES // max(1, n_bytes)))


def whole(found: Iterable[Found]) -> list[Part]:
    """Return parts if all of them could be read; else raise the first error."""
    parts = []
    for _, part in found:
        if isinstance(part, StoreError):
            raise part
        parts.append(part)
    return parts


def rows_of(parts: Sequence[Part], columns: Sequence[str] | None = None) -> pa.Table:
    """Return the rows of parts as one table, each column in one piece."""
    batches = [part.batch if columns is None else part.batch.select(columns) for part in parts]
    return pa.Table.from_batches(batches).replace_schema_metadata(None).combine_chunks()
