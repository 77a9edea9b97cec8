"""A patient reader of CSV traces that Arrow refuses: says what is wrong in which row, and keeps the sound rows."""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa

from gmemgpu.errors import Problem
from gmemgpu.model.trace import COLUMNS, Int64Array
from gmemgpu.trace.check import list_rows
from gmemgpu.units import INT64_MAX

__all__ = ["read_csv_rows"]

_INTEGER = re.compile(r"\s*[+-]?[0-9]+\s*", re.ASCII)


def _open_text(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _lines(path: Path, where: str, problems: list[Problem]) -> Iterator[list[str]]:
    """Give the lines that are not blank, up to where the file breaks off."""
    n = -1
    try:
        with _open_text(path) as file:
            for n, line in enumerate(filter(None, csv.reader(file))):  # noqa: B007  # n is where it broke
                yield line
    except UnicodeDecodeError:
        place = f"after about row {n}" if n > 0 else "from its first lines on"
        problems.append(Problem(where, f"is not UTF-8 text {place}; save it as UTF-8"))
    except (EOFError, zlib.error, gzip.BadGzipFile):
        problems.append(Problem(where, f"is no complete gzip file; it breaks off after row {max(n, 0)}, copy it again"))
    except csv.Error as error:
        problems.append(Problem(f"{where}: row {n + 1}", f"is no CSV: {error}"))


def _fault(name: str, text: str) -> str | None:
    if not text.strip():
        return "is empty; every row has every column"
    if name == "kind":
        return None
    if not _INTEGER.fullmatch(text):
        return f'"{text}" is not an integer'
    # Longer than any 63-bit number: not even turned into one, since Python refuses thousands of digits.
    if len(text.strip()) > 32 or not -INT64_MAX <= int(text) <= INT64_MAX:
        return f"{text.strip()[:32]} does not fit 63 bits; the largest is {INT64_MAX}"
    return None


def read_csv_rows(path: Path, where: str, problems: list[Problem]) -> tuple[pa.Table, Int64Array]:
    """
    Read a CSV row by row in Python.

    Parameters
    ----------
    path : Path
        Plain or gzipped, with or without a byte-order mark.
    where : str
        The file, for messages.
    problems : list of Problem
        Every unreadable row is named here, and left out of the result.

    Returns
    -------
    pyarrow.Table
        The trace columns that the header line names; all int64 but ``kind``.
    (n,) int64
        1-based data row of each row of the table.
    """
    lines = _lines(path, where, problems)
    header = next(lines, None)
    if header is None:
        return pa.table({}), np.zeros(0, np.int64)
    names = [name.strip() for name in header]
    places = {name: names.index(name) for name in COLUMNS if name in names}
    kinds: list[str] = []
    integers = {name: array("q") for name in places if name != "kind"}
    rows = array("q")
    faults: dict[str, tuple[list[int], list[str]]] = {}  # by column; "" is the whole row
    for row, line in enumerate(lines, 1):
        if len(line) != len(names):
            found = {"": f"has {len(line)} fields, not {len(names)} as the first line"}
        else:
            found = {name: fault for name, i in places.items() if (fault := _fault(name, line[i]))}
        for name, fault in found.items():
            blamed, texts = faults.setdefault(name, ([], []))
            blamed.append(row)
            texts.append(fault)
        if not found:
            rows.append(row)
            for name, column in integers.items():
                column.append(int(line[places[name]]))
            if "kind" in places:
                kinds.append(line[places["kind"]])
    for name, (blamed, texts) in faults.items():
        list_rows(where, name or None, np.array(blamed), texts.__getitem__, "it cannot be read", problems)
    columns = {name: pa.array(np.frombuffer(column, np.int64)) for name, column in integers.items()}
    if "kind" in places:
        columns["kind"] = pa.array(kinds, pa.string())
    # Names that are not ours go along, empty, so that they are refused in one place.
    extra = {name: pa.nulls(len(rows)) for name in names if name not in places}
    return pa.table({**columns, **extra}), np.frombuffer(rows, np.int64)
