"""A GPU gets thousands of pairs in a task, whatever parts the sweep is cut into; the parts know nothing of it."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmemgpu.sweeping.run.plan import batches, make_plan, pairs_at_once
from gmemgpu.sweeping.run.shard import Shard
from gmemgpu.sweeping.spec import read_spec

LEAST, MOST = 2048, 8192


def shards_of(lengths: list[int]) -> list[Shard]:
    return [Shard(part_id=str(i), index=i, scenario=i, seeds=tuple(range(n))) for i, n in enumerate(lengths)]


@given(
    lengths=st.lists(st.integers(1, 200), min_size=1, max_size=300),
    n_policies=st.integers(1, 40),
    workers=st.integers(1, 16),
)
def test_no_task_starves_a_device(lengths: list[int], n_policies: int, workers: int) -> None:
    shards = shards_of(lengths)
    tasks = batches(shards, n_policies, workers=workers, on_device=True)
    assert list(chain.from_iterable(tasks)) == shards
    pairs = [sum(len(shard.seeds) for shard in task) * n_policies for task in tasks]
    assert len(tasks) == 1 or min(pairs) >= LEAST
    # Of the rest, and of one shard that is over the mark.
    assert max(pairs) < MOST + LEAST + max(lengths) * n_policies
    assert batches(shards, n_policies, workers=workers, on_device=False) == [(shard,) for shard in shards]


@pytest.mark.parametrize(
    ("n_shards", "workers", "sizes"),
    [
        (1, 1, [1]),  # 1,600 pairs: what there is
        (4, 1, [2, 2]),  # 3,200 each
        (16, 1, [6, 6, 4]),  # 8,192 at most, whole parts
        (16, 4, [2] * 8),
    ],
)
def test_two_tasks_a_device_where_that_leaves_enough(n_shards: int, workers: int, sizes: list[int]) -> None:
    tasks = batches(shards_of([50] * n_shards), 32, workers=workers, on_device=True)
    assert list(map(len, tasks)) == sizes


def test_parts_do_not_depend_on_it(tiny_file: Path) -> None:
    spec = read_spec(tiny_file)
    assert make_plan(spec, "cupy").shards == make_plan(spec, "numpy").shards


def test_what_auto_weighs_is_what_a_device_would_get() -> None:
    assert [pairs_at_once(n) for n in (1, 100, 3000, 10_000, 10**6)] == [1, 100, 2048, 5000, MOST]
