"""Times in a table: ISO 8601, seconds and other units since the epoch or since the start, or typed; which, is said."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gmemgpu.columns.cell import DECIMAL, integer_of
from gmemgpu.columns.distinct import is_empty, plain_type
from gmemgpu.columns.message import shown
from gmemgpu.columns.table import Columns
from gmemgpu.model.trace import BoolArray, Int64Array
from gmemgpu.units import NS_PER_S, parse_duration_ns
from gmemgpu.vmtable.iso_time import iso_ns

__all__ = ["Times", "read_times"]

_ISO = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?)?"
_ZONED = r"^[0-9-]{10}[T ][0-9]{2}:[0-9:.]+ ?(Z|UTC|[+-][0-9]{2}(:?[0-9]{2})?)$"
_EPOCH_FROM_NS = 10**18
"""September 2001. A table that starts later counts from its start; none lasts 31 years."""
_EPOCH_UNITS = ((NS_PER_S, "s"), (1_000_000, "ms"), (1_000, "µs"), (1, "ns"))
"""Each a thousandth of the one before: a time of this century shows by its digits which it is counted in."""
_EPOCH_FROM = (10**9, 10**11, 10**14, 10**17)
_UNIT_NAMES = {1: "ns", 1_000: "µs", 1_000_000: "ms", NS_PER_S: "s", 60 * NS_PER_S: "min", 3600 * NS_PER_S: "h"}
_OUTSIDE = "is outside 1970 to 2262; if it stands for an end that never comes, leave the cell empty"
_WRITE = "write ISO 8601, as in 2024-05-01T12:00:00Z, or a number"


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """
    A column of times or durations.

    Parameters
    ----------
    ns : (n,) int64
        Since 1970 if `absolute`, else since the start; refused and empty cells are 0.
    empty : (n,) bool
        Where nothing is said.
    absolute : bool
        Whether they are points in time.
    form : str
        How they were read, for people.
    """

    ns: Int64Array
    empty: BoolArray
    absolute: bool
    form: str


def read_times(columns: Columns, name: str, unit: int | None, *, duration: bool = False) -> Times:
    """
    Read a column of times.

    Parameters
    ----------
    columns : Columns
        The table.
    name : str
        The column.
    unit : int or None
        Of its numbers, in ns; None tells it by their size: seconds, or what the epoch is counted in.
    duration : bool
        Whether they are lengths of time.

    Returns
    -------
    Times
        All points in time or none: the others of a column are refused.
    """
    cells = columns.cells(name)
    kind = cells.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_duration(kind):
        return _typed(columns, name, cells, duration)
    if not plain_type(kind) or pa.types.is_boolean(kind):
        columns.refuse_column(name, f"holds {shown(str(kind))[1:-1]}; {_WRITE}")
        nothing = np.zeros(len(columns), np.int64)
        return Times(ns=nothing, empty=nothing == 0, absolute=False, form="")
    empty = is_empty(cells)
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return _numbers(columns, name, cells, empty, ~empty, unit, duration)
    number = _matches(cells, DECIMAL) & ~empty
    hexadecimal = np.zeros(len(columns), bool)
    if not (number | empty).all():
        hexadecimal = _matches(cells, r"^0[xX][0-9a-fA-F]{1,16}$")
        number |= hexadecimal
    iso = np.zeros(len(columns), bool) if duration else _matches(cells, _ISO) & ~empty
    if iso.sum() > number.sum():
        return _iso(columns, name, cells, empty, iso)
    worded = ~(number | empty | iso)
    spelled: dict[int, int] = {}
    if duration:
        for i in np.flatnonzero(worded).tolist():
            try:
                spelled[i] = parse_duration_ns(cells[i].as_py())
            except ValueError:
                continue
        worded[list(spelled)] = False
    write = 'write a number, or a time as in "2 h"' if duration else _WRITE

    def message(i: int) -> str:
        cell = shown(cells[i].as_py())
        if iso[i]:
            return f"{cell} is a date, but other cells of the column are numbers; write all alike"
        return f"{cell} is not a time; {write}"

    columns.refuse_cells(name, worded | iso, message)
    plain = pc.if_else(pa.array(number & ~hexadecimal), cells, "0")
    for i in np.flatnonzero(hexadecimal).tolist():
        spelled[i] = (integer_of(cells[i].as_py()) or 0) * (unit or NS_PER_S)
    times = _numbers(columns, name, plain, empty, number & ~hexadecimal, unit, duration)
    for i, value in spelled.items():
        times.ns[i] = min(value, _EPOCH_FROM_NS)
    return times


def _matches(cells: pa.ChunkedArray, pattern: str) -> BoolArray:
    found = pc.fill_null(pc.match_substring_regex(cells, pattern), False)
    mask: BoolArray = np.array(found.to_pylist(), bool)
    return mask


def _typed(columns: Columns, name: str, cells: pa.ChunkedArray, duration: bool) -> Times:
    empty = is_empty(cells)
    is_duration = pa.types.is_duration(cells.type)
    ns = np.zeros(len(columns), np.int64)
    if is_duration is not duration:
        wanted = "lengths of time" if duration else "points in time"
        columns.refuse_column(name, f"holds {cells.type}, not {wanted}; {_WRITE}")
        return Times(ns=ns, empty=empty, absolute=not duration, form="")
    target = pa.duration("ns") if is_duration else pa.timestamp("ns", getattr(cells.type, "tz", None))
    try:
        values = cells.cast(target).cast(pa.int64()).fill_null(0)
        ns = np.array(values.to_pylist(), np.int64)
    except pa.ArrowInvalid:
        columns.refuse_column(name, f"holds a time that {_OUTSIDE}")
    if not is_duration:
        columns.refuse_cells(name, (ns < 0) & ~empty, lambda _: _OUTSIDE)
    zone = "" if is_duration or getattr(cells.type, "tz", None) else " without a zone, taken as UTC"
    return Times(ns=ns, empty=empty, absolute=not duration, form=f"{cells.type}{zone}")


def _iso(columns: Columns, name: str, cells: pa.ChunkedArray, empty: BoolArray, iso: BoolArray) -> Times:
    zoned = _matches(cells, _ZONED) & iso
    ns = np.zeros(len(columns), np.int64)
    wrong = ~(iso | empty)
    for mask, kind in ((zoned, pa.timestamp("ns", "UTC")), (iso & ~zoned, pa.timestamp("ns"))):
        rows = np.flatnonzero(mask)
        if not len(rows):
            continue
        some = cells.filter(pa.array(mask))
        try:
            # As Arrow wants it.
            some = pc.replace_substring_regex(some, r" ?UTC$", "Z")
            some = pc.replace_substring_regex(some, r" ([+-][0-9:]+)$", r"\1")
            ns[rows] = np.array(some.cast(kind).cast(pa.int64()).to_pylist(), np.int64)
        except pa.ArrowInvalid:
            for row, cell in zip(rows.tolist(), some.to_pylist(), strict=True):
                try:
                    ns[row] = iso_ns(cell)
                except OverflowError:
                    ns[row] = -1
                except ValueError:
                    wrong[row] = True
    outside = (ns < 0) & iso

    def message(i: int) -> str:
        return f"{shown(cells[i].as_py())} {_OUTSIDE if outside[i] else f'is not a time; {_WRITE}'}"

    columns.refuse_cells(name, wrong | outside, message)
    ns[wrong | outside] = 0
    n_local = int((iso & ~zoned).sum())
    local = "" if not n_local else f", {'' if n_local == iso.sum() else f'{n_local:,} '}without a zone taken as UTC"
    return Times(ns=ns, empty=empty, absolute=True, form=f"ISO 8601{local}")


def _numbers(
    columns: Columns,
    name: str,
    cells: pa.ChunkedArray,
    empty: BoolArray,
    number: BoolArray,
    unit: int | None,
    duration: bool,
) -> Times:
    whole, fraction = _whole_and_fraction(cells)
    whole[~number], fraction[~number] = 0, 0.0
    form = _UNIT_NAMES.get(unit or NS_PER_S, "d")
    absolute = False
    if not duration:
        # What most cells are, the column is; one slip must not change what the others mean.
        bounds = _EPOCH_FROM if unit is None else (_EPOCH_FROM_NS // unit,)
        which = np.searchsorted(np.array(bounds), np.abs(whole[number]), side="right")
        most = int(np.bincount(which).argmax()) if len(which) else 0
        absolute = most > 0
        if unit is None and absolute:
            unit, form = _EPOCH_UNITS[most - 1]
    unit = unit or NS_PER_S
    form = f"epoch in {form}" if absolute else f"{form} since the start" if not duration else form
    # Past this it is some other unit than the column's, or no time; as floats, for the product may pass 64 bits.
    size = (whole.astype(np.float64) + fraction) * unit
    low, high = (_EPOCH_FROM_NS, 9.2e18) if absolute else (-_EPOCH_FROM_NS, _EPOCH_FROM_NS)
    wrong = number & ~((size >= low) & (size <= high))

    def message(i: int) -> str:
        cell = shown(cells[i].as_py())
        if absolute:
            return f"{cell} is no {form}, as other cells of the column are; write all alike"
        return f"{cell} is more than 31 years; write seconds, or a unit in the column's name, as in {name}_ms"

    columns.refuse_cells(name, wrong, message)
    whole[wrong], fraction[wrong] = 0, 0.0
    ns = whole * unit + np.rint(fraction * unit).astype(np.int64)
    return Times(ns=ns, empty=empty, absolute=absolute, form=form)


def _whole_and_fraction(cells: pa.ChunkedArray) -> tuple[Int64Array, np.ndarray]:
    # Integers exactly, others to what a double holds; what no 64 bits hold is the largest that they do.
    if pa.types.is_null(cells.type):
        return np.zeros(len(cells), np.int64), np.zeros(len(cells))
    if pa.types.is_string(cells.type) or pa.types.is_large_string(cells.type) or pa.types.is_integer(cells.type):
        try:
            whole = np.array(pc.fill_null(cells, _zero(cells)).cast(pa.int64()).to_pylist(), np.int64)
            return whole, np.zeros(len(whole))
        except pa.ArrowInvalid:
            pass
    values = np.array(pc.fill_null(cells, _zero(cells)).cast(pa.float64()).to_pylist(), np.float64)
    # Past the last point in time that is taken for one.
    values = np.clip(np.nan_to_num(values, nan=0.0), -9.22e18, 9.22e18)
    floor = np.floor(values)
    return floor.astype(np.int64), values - floor


def _zero(cells: pa.ChunkedArray) -> pa.Scalar:
    return pa.scalar("0", cells.type) if "string" in str(cells.type) else pa.scalar(0).cast(cells.type)
