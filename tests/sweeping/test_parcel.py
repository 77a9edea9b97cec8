"""What goes to workers: packed once, unpacked there, many tasks in one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from gmemgpu.sweeping.cluster.workers import Workers
from gmemgpu.sweeping.dispatch import Dispatch
from gmemgpu.sweeping.parcel import Packer, Parcel, compute_parcel
from gmemgpu.sweeping.plan import Plan, make_plan
from gmemgpu.sweeping.shard import Setting, Shard
from gmemgpu.sweeping.spec import read_spec
from gmemgpu.sweeping.store import open_store

N_SHARDS = 60
N_SLOTS = 8
SPEC: dict[str, Any] = {
    "policies": ["v10"],
    "workload": {
        "preset": "idle-snp",
        "horizon_ns": "1 min",
        "warmup_ns": "1 s",
        "snp": {"share": [round(0.01 * (i + 1), 2) for i in range(N_SHARDS)]},
    },
}


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(read_spec(SPEC), "numpy")


def test_a_worker_gets_what_was_packed_and_opens_the_setting_once(plan: Plan) -> None:
    seen: list[tuple[Sequence[Shard], Setting, str]] = []
    for i in range(2):
        # As from the wire: equal bytes that are another object.
        shards, setting = Packer(plan.setting).pack(plan.shards[i : i + 2])
        compute_parcel((shards, bytes(bytearray(setting))), lambda *given: seen.append(given), "there")
    assert [given[0] for given in seen] == [plan.shards[0:2], plan.shards[1:3]]
    assert seen[0][1] == plan.setting
    assert seen[0][1] is seen[1][1]
    assert seen[0][2] == "there"


class Ended:
    status = "finished"

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        callback(self)


class Immediate:
    """A client whose tasks are done when they are submitted."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def map(self, function: Any, parcels: list[Parcel], key: list[str], **rest: Any) -> list[Ended]:
        assert len(parcels) == len(key)
        self.calls.append(key)
        return [Ended() for _ in parcels]


def test_tasks_are_submitted_in_batches_and_in_order(plan: Plan, tmp_path: Path) -> None:
    store = open_store(tmp_path / "out", read_spec(SPEC), plan)
    client = Immediate()
    workers = Workers(
        client=client,  # type: ignore[arg-type]
        n_expected=N_SLOTS,
        n_slots=lambda: N_SLOTS,
        resources={},
        dashboard=None,
    )
    with store.claims() as claims:
        loop = Dispatch(store, workers, None, claims, lambda event: None, on_error="stop", retries=0)
        loop.run((shard,) for shard in plan.shards)
    sizes = [len(keys) for keys in client.calls]
    assert sizes[:4] == [N_SLOTS] * 4, "the first tasks wait for the claims of no more than a round"
    assert sum(sizes) == N_SHARDS
    assert min(sizes[:-1]) > N_SLOTS // 2
    keys = [key for call in client.calls for key in call]
    assert keys == sorted(keys)
    assert len(set(keys)) == N_SHARDS
    assert loop.n_computed == plan.n_rows
