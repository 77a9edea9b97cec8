"""Rows of a results directory, finished or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gmemgpu.columns.file_form import open_for_arrow
from gmemgpu.errors import StoreError
from gmemgpu.sweeping.store.files import PARTS, RESULTS
from gmemgpu.sweeping.store.manifest import Manifest, read_manifest
from gmemgpu.sweeping.store.part import PartFile, part_files, schema_of
from gmemgpu.sweeping.store.part_reader import DamagedPart, ForeignPart, Found, read_blocks, rows_of, whole
from gmemgpu.sweeping.store.results import results_are_whole

__all__ = ["StoredRows", "RunReader", "read_rows", "pieces_of_results"]

_GROUPS_AT_ONCE = 8
"""Row groups that are read by one call: of all at once Arrow holds each column twice."""

_LISTS_AT_ONCE = 512
"""Lists that are read by one call: what they hold stays in the cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRows:
    """
    What is there of a sweep.

    Parameters
    ----------
    name : str
        The sweep's.
    table : pyarrow.Table
        Rows in the order of scenario, seed, policy; text columns are dictionaries.
    axes : tuple of str
        Columns that tell scenarios apart.
    n_parts, n_parts_done : int
        Planned ones, and those that `table` holds.
    sweep_id : str
        Of the sweep, as its manifest has it.
    version : str
        Of what began the sweep.
    names : tuple of str
        Columns of the store, whether or not `table` has them; empty if it has all.
    source : callable or None
        From the name of a column that `table` lacks, and a row, to its values from that row on, piece by piece.
    """

    name: str
    table: pa.Table
    axes: tuple[str, ...]
    n_parts: int
    n_parts_done: int
    sweep_id: str = ""
    version: str = ""
    names: tuple[str, ...] = ()
    source: Callable[[str, int], Iterator[pa.Array]] | None = None

    def pieces(self, name: str, first: int = 0) -> Iterator[pa.Array]:
        """
        Yield a column piece by piece: a list of counts a row takes more memory than all other columns together.

        Parameters
        ----------
        name : str
            Of a column.
        first : int
            Row to begin with.

        Yields
        ------
        pyarrow.Array
            Together a value a row of `table`, from that row on.

        Raises
        ------
        StoreError
            If a file has gone or is damaged meanwhile.
        """
        if self.source is None or name in self.table.column_names:
            yield from self.table[name].slice(first).chunks
        else:
            yield from self.source(name, first)


class RunReader:
    """
    Reads columns of a store by runs of rows: of runs that follow each other each value is read once, and few are held.

    Parameters
    ----------
    stored : StoredRows
        What to read.
    """

    def __init__(self, stored: StoredRows) -> None:
        self._stored = stored
        # Of each column the row that is next, what is left of a piece, and the pieces after it.
        self._open: dict[str, tuple[int, pa.Array | None, Iterator[pa.Array]]] = {}

    def pieces(self, name: str, start: int, stop: int) -> Iterator[pa.Array]:
        """
        Yield a column of a run of rows.

        Parameters
        ----------
        name : str
            Of a column.
        start, stop : int
            First row, and the one after the last.

        Yields
        ------
        pyarrow.Array
            Together a value a row; none is empty.

        Raises
        ------
        StoreError
            If a file has gone or is damaged meanwhile, or has fewer rows.
        """
        at, rest, more = self._open.pop(name, (-1, None, iter(())))
        if at != start:
            rest, more = None, self._stored.pieces(name, start)
        while start < stop:
            piece = next(more, None) if rest is None else rest
            if piece is None:
                raise StoreError("rows changed while they were read; try again")
            n = min(len(piece), stop - start)
            rest = piece.slice(n) if n < len(piece) else None
            start += n
            if n:
                yield piece.slice(0, n)
        self._open[name] = (stop, rest, more)

    def column(self, name: str, start: int, stop: int) -> pa.ChunkedArray:
        """
        Return a column of a run of rows.

        Parameters
        ----------
        name, start, stop : str, int, int
            As for `pieces`; at least one row.

        Returns
        -------
        pyarrow.ChunkedArray
            A value a row.

        Raises
        ------
        StoreError
            As `pieces` does.
        """
        return pa.chunked_array(list(self.pieces(name, start, stop)))


def read_rows(directory: str | Path, columns: Sequence[str] = ()) -> StoredRows:
    """
    Read the rows of a results directory, and hold every byte that is read against its digest.

    Parameters
    ----------
    directory : str or Path
        Of a sweep.
    columns : sequence of str
        What to read; everything if empty.

    Returns
    -------
    StoredRows
        The merged rows, or those of the parts that are there.

    Raises
    ------
    DirectoryError
        If the directory holds no sweep.
    StoreError
        If no part is finished yet, or a file in it is damaged.
    """
    directory = Path(directory)
    manifest = read_manifest(directory)
    names = [name for name, _ in manifest.columns]
    chosen = [name for name in names if name in columns] if columns else names
    text = [name for name, kind in manifest.columns if kind == "string"]
    if results_are_whole(directory, manifest):
        # Open as long as somebody may read on: what follows is of the same file, whatever a sweep puts in its place.
        file = pq.ParquetFile(open_for_arrow(directory / RESULTS), read_dictionary=text)
        groups = range(file.num_row_groups)
        pieces = [
            file.read_row_groups(groups[i : i + _GROUPS_AT_ONCE], chosen)
            for i in range(0, len(groups), _GROUPS_AT_ONCE)
        ]
        table = pa.concat_tables(pieces).replace_schema_metadata(None)
        n_done = manifest.n_parts
        source = partial(pieces_of_results, file)
    elif manifest.results_sha256 is not None and (directory / RESULTS).exists():
        raise StoreError(
            f"{directory / RESULTS}: is damaged: its bytes are not those that were written; run the sweep again, or "
            f"`gmemgpu check {directory} --repair`"
        )
    else:
        table, found = _of_parts(directory, manifest, chosen, [name for name in text if name in chosen])
        n_done = len(found)
        source = partial(_pieces_of_parts, directory / PARTS, found, schema_of(manifest.columns))
    return StoredRows(
        name=manifest.name,
        table=table,
        axes=tuple(manifest.axes),
        n_parts=manifest.n_parts,
        n_parts_done=n_done,
        sweep_id=manifest.sweep_id,
        version=manifest.versions.get("gmemgpu", ""),
        names=tuple(names),
        source=source,
    )


def pieces_of_results(file: pq.ParquetFile, name: str, first: int) -> Iterator[pa.Array]:
    """
    Yield a column of merged rows piece by piece.

    Parameters
    ----------
    file : pyarrow.parquet.ParquetFile
        Open.
    name : str
        Of a column.
    first : int
        Row to begin with.

    Yields
    ------
    pyarrow.Array
        Together a value a row, from that row on.
    """
    has_lists = pa.types.is_list(file.schema_arrow.field(name).type)
    for i in range(file.num_row_groups):
        n_rows = file.metadata.row_group(i).num_rows
        if first < n_rows:
            if has_lists:
                # Not over all row groups, which would stay in memory.
                batches = file.iter_batches(_LISTS_AT_ONCE, row_groups=[i], columns=[name], use_threads=False)
                pieces = (batch.column(0) for batch in batches)
            else:
                pieces = iter(file.read_row_group(i, [name], use_threads=False).column(0).chunks)
            yield from _from_row(first, pieces)
        first = max(0, first - n_rows)


def _pieces_of_parts(
    folder: Path, files: Sequence[PartFile], schema: pa.Schema, name: str, first: int
) -> Iterator[pa.Array]:
    blocks = read_blocks(folder, files, lambda found: rows_of(whole(found), [name]).column(0).chunk(0), schema)
    yield from _from_row(first, blocks)


def _from_row(first: int, pieces: Iterator[pa.Array]) -> Iterator[pa.Array]:
    for piece in pieces:
        if first < len(piece):
            yield piece.slice(first)
        first = max(0, first - len(piece))


def _of_parts(
    directory: Path, manifest: Manifest, columns: Sequence[str], text: Sequence[str]
) -> tuple[pa.Table, list[PartFile]]:
    # The rows, and their files in the order of the plan.
    folder = directory / PARTS
    files = list(part_files(folder).values())

    def ours(found: list[Found]) -> tuple[list[tuple[int, int, PartFile]], pa.Table | None]:
        try:
            parts = whole(one for one in found if not isinstance(one[1], ForeignPart))
        except DamagedPart as error:
            raise StoreError(f"{error}; run the sweep again, or `gmemgpu check {directory} --repair`") from None
        places = [(part.about["index"], part.batch.num_rows, part.file) for part in parts]
        return places, rows_of(parts, columns) if parts else None

    blocks = list(read_blocks(folder, files, ours, schema_of(manifest.columns), manifest.sweep_id))
    places = [place for places, _ in blocks for place in places]
    tables = [table for _, table in blocks if table is not None]
    if not tables:
        raise StoreError(f"{directory}: no part is finished yet (0 of {manifest.n_parts:,}); run the sweep first")
    found = pa.concat_tables(tables)
    for name in text:
        i = found.schema.get_field_index(name)
        found = found.set_column(i, name, found[name].dictionary_encode())
    # Files come in the order of their names, which are hashes; each knows its place in the plan.
    index_of_row = np.repeat([index for index, _, _ in places], [n_rows for _, n_rows, _ in places])
    return found.take(np.argsort(index_of_row, kind="stable")), [file for _, _, file in sorted(places)]
