from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from numpy.testing import assert_array_equal

from gmemgpu.errors import StoreError, TraceError
from gmemgpu.model.host import Host
from gmemgpu.model.trace import COLUMNS, Trace
from gmemgpu.testing.strategies import traces
from gmemgpu.trace.check import COLUMN_DTYPES, trace_problems
from gmemgpu.trace.read import read_trace
from gmemgpu.trace.write import write_trace
from gmemgpu.units import GIB

SUFFIXES = (".parquet", ".csv", ".csv.gz")


def small_trace() -> Trace:
    """A VM that comes and goes: assign, vm_destroy, release."""
    return Trace(
        host=Host(memory_bytes=2 * GIB, nodes=1, cores=4, threads_per_core=2),
        horizon_ns=100,
        warmup_ns=7,
        t_ns=np.array([1, 5, 9]),
        kind=np.array([0, 10, 2], np.int8),
        pfn=np.array([512, 0, 512]),
        npages=np.array([1024, 0, 1024]),
        vm=np.array([3, 3, 3], np.int32),
        inode=np.array([8, -1, 8], np.int32),
        folio_pages=np.array([512, 0, 512], np.int32),
    )


def assert_same(left: Trace, right: Trace) -> None:
    assert (left.host, left.horizon_ns, left.warmup_ns) == (right.host, right.horizon_ns, right.warmup_ns)
    for name in COLUMNS:
        assert getattr(right, name).dtype == COLUMN_DTYPES[name]
        assert_array_equal(getattr(left, name), getattr(right, name))


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(trace=traces())
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, suffix: str, trace: Trace) -> None:
    assert trace_problems(trace) == []
    path = tmp_path_factory.mktemp("trace") / f"t{suffix}"
    write_trace(trace, path)
    assert_same(trace, read_trace(path))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_trace_gives_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    write_trace(small_trace(), tmp_path / f"a{suffix}")
    write_trace(small_trace(), tmp_path / f"b{suffix}")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_parquet_carries_the_header_in_its_metadata_and_kinds_as_text(tmp_path: Path) -> None:
    write_trace(small_trace(), tmp_path / "t.parquet")
    with pq.ParquetFile(tmp_path / "t.parquet") as file:
        table = file.read()
        assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    host = {"memory_bytes": 2 * GIB, "nodes": 1, "cores": 4, "threads_per_core": 2}
    window = {"window_bytes": 2 << 40, "window": "global", "holes": []}
    header = json.loads(table.schema.metadata[b"gmemgpu"])
    assert header == {"host": {**host, **window}, "horizon_ns": 100, "warmup_ns": 7}
    assert table.column_names == list(COLUMNS)
    assert table.column("kind").to_pylist() == ["assign", "vm_destroy", "release"]


def test_csv_is_plain_text_with_its_header_beside_it(tmp_path: Path) -> None:
    write_trace(small_trace(), tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == (
        "t_ns,kind,pfn,npages,vm,inode,folio_pages\n"
        "1,assign,512,1024,3,8,512\n"
        "5,vm_destroy,0,0,3,-1,0\n"
        "9,release,512,1024,3,8,512\n"
    )
    assert "horizon_ns = 100\n" in (tmp_path / "t.toml").read_text()


def test_nothing_but_the_files_is_left(tmp_path: Path) -> None:
    write_trace(small_trace(), tmp_path / "t.csv.gz")
    write_trace(small_trace(), tmp_path / "t.parquet")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.csv.gz", "t.parquet", "t.toml"]


def test_an_invalid_trace_is_not_written(tmp_path: Path) -> None:
    trace = small_trace()
    trace.t_ns[0] = 50
    with pytest.raises(TraceError, match=r"row 2, column t_ns: 5 is before 50"):
        write_trace(trace, tmp_path / "t.parquet")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_failed_write_leaves_the_old_file_and_no_part_of_the_new(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"t{suffix}"
    write_trace(small_trace(), path)
    before = {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()}

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        StoreError, match=r"t\.(parquet|csv|csv\.gz): cannot be written: No space left on device; make room"
    ) as caught:
        write_trace(small_trace(), path)
    assert caught.value.exit_code == 1
    assert {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere/t.parquet", "cannot be written: No such file or directory; choose a folder that exists"),
        ("t.txt", r"the name ends in \.parquet, \.csv, \.csv\.gz"),
        ("taken.csv", "cannot be written: Is a directory"),
    ],
)
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "taken.csv").mkdir()
    with pytest.raises(TraceError, match=message) as caught:
        write_trace(small_trace(), tmp_path / name)
    assert name in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["taken.csv"]
