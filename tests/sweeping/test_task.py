from __future__ import annotations

import pytest

from gmemgpu.sweeping import task
from gmemgpu.sweeping.plan import make_plan
from gmemgpu.sweeping.shard import Shard
from gmemgpu.sweeping.spec import read_spec
from gmemgpu.sweeping.task import cut_tasks


@pytest.fixture(scope="module")
def shards() -> tuple[Shard, ...]:
    shares = [round(0.01 * (i + 1), 2) for i in range(40)]
    spec = {"seeds": 3, "policies": ["v10"], "workload": {"preset": "idle-snp", "snp": {"share": shares}}}
    plan = make_plan(read_spec(spec), "numpy")
    assert [shard.n_rows for shard in plan.shards] == [6] * 40
    return plan.shards


def test_on_cores_each_shard_is_a_task(shards: tuple[Shard, ...]) -> None:
    assert cut_tasks(shards, workers=2, on_device=False) == [(shard,) for shard in shards]


@pytest.mark.parametrize(
    ("workers", "pairs", "lengths"),
    [
        (1, 4096, [20, 20]),
        (1, 60, [10] * 4),
        (1, 59, [10] * 4),
        (1, 61, [11, 11, 11, 7]),
        (1, 1, [1] * 40),
        (3, 4096, [6] * 6 + [4]),
        (40, 4096, [1] * 40),
    ],
)
def test_on_a_device_they_go_together(
    shards: tuple[Shard, ...], monkeypatch: pytest.MonkeyPatch, workers: int, pairs: int, lengths: list[int]
) -> None:
    monkeypatch.setattr(task, "DEVICE_PAIRS", pairs)
    tasks = cut_tasks(shards, workers=workers, on_device=True)
    assert [len(of) for of in tasks] == lengths
    assert [shard for of in tasks for shard in of] == list(shards)


def test_nothing_to_do_is_no_task() -> None:
    assert cut_tasks([], workers=1, on_device=True) == cut_tasks([], workers=1, on_device=False) == []
