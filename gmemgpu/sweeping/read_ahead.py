"""Very many small files: read by a few threads, had in order, gathered into few large tables."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

import pyarrow as pa

__all__ = ["read_ahead", "gathered"]

_THREADS = 4
_AHEAD = 32
_MOST_SMALL = 64

Item = TypeVar("Item")
Read = TypeVar("Read")


def read_ahead(read: Callable[[Item], Read], items: Iterable[Item]) -> Iterator[Read]:
    """
    Read items in threads, a few ahead of whoever takes them: a network file system answers each after a while.

    Parameters
    ----------
    read : callable
        Of one item; safe to call from several threads.
    items : iterable

    Yields
    ------
    object
        What `read` returned, in the order of `items`.

    Raises
    ------
    Exception
        What `read` raised, in the item's turn.
    """
    rest = iter(items)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="gmemgpu-read") as pool:
        held: deque[Future[Read]] = deque(pool.submit(read, item) for item in islice(rest, _AHEAD))
        try:
            while held:
                found = held.popleft().result()
                held.extend(pool.submit(read, item) for item in islice(rest, 1))
                yield found
        finally:
            for future in held:
                future.cancel()


def gathered(tables: Iterable[pa.Table], n_rows: int) -> Iterator[pa.Table]:
    """
    Gather small tables into large ones.

    Parameters
    ----------
    tables : iterable of pyarrow.Table
        Of the same columns.
    n_rows : int
        At least so many rows go into each, but for the last.

    Yields
    ------
    pyarrow.Table
        Together the rows of `tables`, in order; none without rows.
    """
    # A table of ten rows costs far more than its numbers: of such, few are held at a time.
    large: list[pa.Table] = []
    small: list[pa.Table] = []
    n_held = 0
    for table in tables:
        small.append(table)
        n_held += table.num_rows
        if n_held >= n_rows or len(small) >= _MOST_SMALL:
            large.append(pa.concat_tables(small).combine_chunks())
            small = []
        if n_held >= n_rows:
            yield pa.concat_tables(large)
            large, n_held = [], 0
    if n_held:
        yield pa.concat_tables([*large, *small])
