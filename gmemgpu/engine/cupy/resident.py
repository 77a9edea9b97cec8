"""One trace on the device: the columns that stay there, and the row that tells the kernels where they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gmemgpu.engine.cupy.defines import TotalField, TraceField
from gmemgpu.engine.cupy.request_input import RequestInput, request_input, request_key
from gmemgpu.engine.cupy.trace_input import Columns, TraceInput
from gmemgpu.engine.cupy.transfer import DeviceColumns, aligned, packed_bytes
from gmemgpu.errors import BackendError
from gmemgpu.model.policy import Hook, Policy
from gmemgpu.model.trace import Int64Array

__all__ = ["Resident", "RequestKey"]

RequestKey = tuple[Hook, str]

_CLASS_ROW: dict[str, type[np.generic]] = {"CLASS_NS": np.int64, "CLASS_CODE": np.uint16}
_USED_ROW: dict[str, type[np.generic]] = {
    "USED_NS": np.int64,
    "USED_PAGES": np.int32,
    "USED_HIGH": np.int64,
    "USED_LOW": np.int64,
}
_FALL_ROW: dict[str, type[np.generic]] = {"FALL_NS": np.int64, "FALL_POSITION": np.int64}
_MOST_CLASS_ROWS = (1 << 31) - 1
"""Kernels note the row that a visit saw in 32 bits, since they keep one for each region and pair."""
_OFFSETS = ("CLASS_OFFSET", "USED_OFFSET", "FALL_OFFSET")


class Resident:
    """
    One trace on the device.

    Parameters
    ----------
    trace_input : TraceInput
    policies : sequence of Policy
        Their requests are laid out too; without the oracle.

    Attributes
    ----------
    fields : (len(TraceField),) int64
        The trace's row of the table that kernels get.
    requests : dict
        By `request_key`, as far as they are known before the timelines are.
    n_falls : int
        How often a covered region became free; known after `count_rows`. No more episodes can be counted.
    rows_bytes : int
        Device memory of the rows, known likewise.
    rows : dict of str to cupy.ndarray
        Class rows, rows of used pages, falls, by `TraceField`; there after `allocate_rows`.
    offsets : dict of str to (n_regions + 1,) int64
        CLASS_OFFSET, USED_OFFSET, FALL_OFFSET: which of the rows are whose.
    """

    def __init__(self, trace_input: TraceInput, policies: Sequence[Policy]) -> None:
        self.input = trace_input
        self.fields: Int64Array = np.zeros(len(TraceField), np.int64)
        self.requests: dict[RequestKey, RequestInput] = {}
        for policy in policies:
            key = request_key(policy)
            if policy.hook != "region_free" and key not in self.requests:
                self.requests[key] = request_input(policy, trace_input)
        self.needs_clearings = any(policy.scope in ("dirty", "dirty_retry") for policy in policies)
        self._columns = self._kept_columns()
        self.request_columns: dict[RequestKey, DeviceColumns] = {}
        self.n_falls = 0
        self.rows_bytes = 0
        self._kept: list[DeviceColumns] = []
        self.rows: dict[str, Any] = {}
        self.offsets: dict[str, Int64Array] = {}
        self._n_rows = [0, 0, 0]
        self._counts: Any = None
        self._totals: Any = None

    def _kept_columns(self) -> Columns:
        found = self.input
        snp = found.snp
        columns: Columns = {
            "EPOCHS": np.array(snp.epochs, np.int64),
            "INITS": np.array(snp.inits, np.int64),
            "SHUTDOWNS": np.array(snp.shutdowns, np.int64),
            "HAZARDS": np.array(snp.shutdowns + snp.unloads, np.int64),
            "REGION_GROUP": found.region_group,
            "REGION_COVERED": found.covered.astype(np.uint8),
            "REGION_OF": found.region_of,
            "PIECE_OFFSET": found.pieces.offset,
        }
        if self.needs_clearings:
            columns |= found.clearings()
        return columns

    @property
    def kept_bytes(self) -> int:
        """Device memory of what is known before the timelines: columns, requests, counts, totals."""
        n = packed_bytes(self._columns) + sum(packed_bytes(found.columns) for found in self.requests.values())
        return n + aligned(24 * self.input.n_regions) + aligned(8 * len(self.input.core_counts) * len(TotalField))

    def upload(self, stream: Any) -> None:
        """Queue the transfer of all that is known before the timelines."""
        import cupy

        found, trace, snp = self.input, self.input.trace, self.input.snp
        kept = DeviceColumns(self._columns, stream)
        self._kept.append(kept)
        self.request_columns = {key: DeviceColumns(item.columns, stream) for key, item in self.requests.items()}
        with stream:
            self._counts = cupy.zeros(3 * found.n_regions, np.int64)
            self._totals = cupy.zeros(len(found.core_counts) * len(TotalField), np.int64)
        self._set(
            {
                "HORIZON_NS": trace.horizon_ns,
                "WARMUP_NS": trace.warmup_ns,
                "N_REGIONS": found.n_regions,
                "N_POSITIONS": found.n_positions,
                "N_GROUPS": len(found.core_counts),
                "N_EPOCHS": len(snp.epochs),
                "N_INITS": len(snp.inits),
                "N_SHUTDOWNS": len(snp.shutdowns),
                "N_HAZARDS": len(snp.shutdowns) + len(snp.unloads),
                "HAS_USED": found.has_used,
                "N_CLEARINGS": len(self._columns.get("CLEARING_NS", ())),
                "COUNTS": self._counts.data.ptr,
                "TOTALS": self._totals.data.ptr,
                **kept.addresses(),
            }
        )
        # The device has them now; the host's copies would only fill memory.
        self._columns = {}

    def _set(self, values: Mapping[str, int]) -> None:
        for name, value in values.items():
            self.fields[TraceField[name]] = value

    def row_bytes(self, n_class: int, n_used: int, n_falls: int) -> int:
        """Return the device memory of so many rows, and of the offsets that say whose they are."""
        rows = sum(
            aligned(n * np.dtype(dtype).itemsize)
            for n, columns in ((n_class, _CLASS_ROW), (n_used, _USED_ROW), (n_falls, _FALL_ROW))
            for dtype in columns.values()
        )
        return rows + len(_OFFSETS) * aligned(8 * (self.input.n_regions + 1))

    def count_rows(self, stream: Any) -> None:
        """
        Wait for the counts of rows.

        Raises
        ------
        BackendError
            If there are more than the kernels can number.
        """
        with stream:
            counts = self._counts.get().reshape(-1, 3)
        offsets = np.zeros((3, self.input.n_regions + 1), np.int64)
        np.cumsum(counts.T, axis=1, out=offsets[:, 1:])
        self.offsets = dict(zip(_OFFSETS, offsets, strict=True))
        self._n_rows = [int(offset[-1]) for offset in offsets]
        if self._n_rows[0] > _MOST_CLASS_ROWS:
            raise BackendError(
                f'backend "cupy" counts rows in 31 bits, and the timelines of this trace have {self._n_rows[0]}; '
                "cut the trace, or take numpy"
            )
        self.n_falls = self._n_rows[2]
        self.rows_bytes = self.row_bytes(*self._n_rows)

    def allocate_rows(self, stream: Any) -> None:
        """Reserve room for the rows that were counted."""
        import cupy

        placed = DeviceColumns(self.offsets, stream)
        self._kept.append(placed)
        self._set(placed.addresses())
        with stream:
            for n, rows in zip(self._n_rows, (_CLASS_ROW, _USED_ROW, _FALL_ROW), strict=True):
                for name, dtype in rows.items():
                    array = cupy.empty(max(n, 1), dtype)
                    self.rows[name] = array
                    self._set({name: array.data.ptr})

    def falls(self, stream: Any) -> tuple[Int64Array, Int64Array]:
        """Fetch when covered regions became free, and which positions, (n,) int64 each."""
        with stream:
            ns, position = (self.rows[name].get()[: self.n_falls] for name in ("FALL_NS", "FALL_POSITION"))
        return ns, position

    def totals(self, stream: Any) -> Int64Array:
        """Fetch what the timelines say of each group, (n_groups, len(TotalField)) int64."""
        with stream:
            fetched: Int64Array = self._totals.get().reshape(-1, len(TotalField))
        return fetched
