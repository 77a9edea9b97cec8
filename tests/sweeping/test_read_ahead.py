"""Many small files: in order, a few at a time, errors in their turn."""

from __future__ import annotations

import threading
import time

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmemgpu.sweeping import read_ahead as module
from gmemgpu.sweeping.read_ahead import gathered, read_ahead


def test_items_come_in_order_whichever_was_read_first() -> None:
    def read(i: int) -> int:
        time.sleep(0.01 * (i % 3 == 0))
        return i * i

    assert list(read_ahead(read, range(100))) == [i * i for i in range(100)]
    assert list(read_ahead(read, [])) == []


def test_few_are_read_before_they_are_wanted_and_none_after_the_end() -> None:
    begun: list[int] = []
    lock = threading.Lock()

    def read(i: int) -> int:
        with lock:
            begun.append(i)
        return i

    found = read_ahead(read, range(10_000))
    assert [next(found) for _ in range(5)] == [0, 1, 2, 3, 4]
    found.close()  # type: ignore[attr-defined]
    assert len(begun) <= 5 + module._AHEAD


def test_an_error_comes_in_its_turn() -> None:
    def read(i: int) -> int:
        if i == 7:
            raise OSError("the seventh")
        return i

    found = read_ahead(read, range(20))
    assert [next(found) for _ in range(7)] == list(range(7))
    with pytest.raises(OSError, match="the seventh"):
        next(found)


@given(
    sizes=st.lists(st.integers(0, 5), max_size=60),
    n_rows=st.integers(1, 12),
    most=st.sampled_from([1, 2, 64]),
)
def test_gathered_tables_hold_the_same_rows_in_large_pieces(sizes: list[int], n_rows: int, most: int) -> None:
    first = [sum(sizes[:i]) for i in range(len(sizes))]
    tables = [pa.table({"x": pa.array(range(a, a + n), pa.int64())}) for a, n in zip(first, sizes, strict=True)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_MOST_SMALL", most)
        found = list(gathered(tables, n_rows))
    assert [x for table in found for x in table["x"].to_pylist()] == list(range(sum(sizes)))
    assert all(table.num_rows >= n_rows for table in found[:-1])
    assert all(table.num_rows for table in found)
