"""What kind of VM table a file is, by what it holds: never by what fails."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from gmemgpu.columns.file_form import file_form
from gmemgpu.columns.text_file import read_first_lines
from gmemgpu.columns.typed_file import column_names
from gmemgpu.errors import Problem, TraceError
from gmemgpu.vmtable import azure_vmtable, event_table
from gmemgpu.vmtable.column_names import find_columns, known_names, squashed

__all__ = ["TableKind", "table_kind"]

TableKind = Literal["native", "own", "events", "azure_vmtable", "azure_packing"]

_PLACES = {name: azure_vmtable.COLUMNS.index(name) for name in ("vmcreated", "vmdeleted", "vmcorecount", "vmmemory")}
_NUMBER = re.compile(r">?[0-9]+(\.[0-9]*)?", re.ASCII)


def table_kind(path: Path, mapped: bool = False) -> TableKind:
    """
    Return what kind of VM table a file is.

    Parameters
    ----------
    path : Path
        Any file.
    mapped : bool
        Whether its user says which column is which: then it is a table of one's own.

    Returns
    -------
    TableKind
        SQLite is Azure's packing trace. What names its columns is told by these names; what names none is Azure's VM
        table if its first lines look like one.

    Raises
    ------
    TraceError
        If the file cannot be read, or is none of these: one problem, which says what it was seen to be.
    """
    form = file_form(path, [])
    if form.content == "sqlite" and form.packing is None:
        return "azure_packing"
    names = column_names(path)
    rows: Sequence[Sequence[str]] = [names] if names is not None else read_first_lines(path, [], form).rows
    if mapped:
        return "own"
    plain = [squashed(name) for name in rows[0]]
    if "lifelos" in plain:
        return "native"
    if set(event_table.COLUMNS) <= set(plain):
        return "events"
    if set(_PLACES) <= set(plain):
        return "azure_vmtable"
    if sum(map(_is_azure_row, rows)) * 2 > len(rows):
        return "azure_vmtable"
    if len(known_names(rows[0]) & {"arrival", "departure", "lifetime", "vcpus", "memory"}) >= 2:
        return "own"
    fault = find_columns(rows[0], {}).problems[0]
    raise TraceError(Problem(str(path), fault))


def _is_azure_row(cells: Sequence[str]) -> bool:
    if len(cells) != len(azure_vmtable.COLUMNS):
        return False
    return sum(bool(_NUMBER.fullmatch(cells[place])) for place in _PLACES.values()) >= 3
