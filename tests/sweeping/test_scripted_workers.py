"""The client's loop on workers that do as a script says: what real ones do once in a thousand hours."""

from __future__ import annotations

import errno
import os
import pickle
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from distributed.scheduler import KilledWorker, NoValidWorkerError, NoWorkerError

from gmemgpu.errors import GmemgpuError, StoreError
from gmemgpu.sweeping import dispatch
from gmemgpu.sweeping.claim import read_claims
from gmemgpu.sweeping.cluster.fitness import LostStorage, UnfitWorker
from gmemgpu.sweeping.cluster.workers import Workers
from gmemgpu.sweeping.dispatch import Dispatch
from gmemgpu.sweeping.layout import CLAIMS
from gmemgpu.sweeping.parcel import compute_parcel
from gmemgpu.sweeping.plan import make_plan
from gmemgpu.sweeping.progress import ShardDone, SweepEvent, WorkersAwaited
from gmemgpu.sweeping.shard import ShardError, compute_shards
from gmemgpu.sweeping.spec import read_spec
from gmemgpu.sweeping.store import Store, open_store

N = 4
SPEC: dict[str, Any] = {
    "policies": ["v10"],
    "workload": {
        "preset": "idle-snp",
        "horizon_ns": "10 min",
        "warmup_ns": "1 s",
        "snp": {"share": [round(0.2 * (i + 1), 1) for i in range(N)]},
    },
}
DONE, LOST, LOST_BEFORE, PENDING = "done", "lost", "lost before it ran", "pending"
BEATEN = "fails, while another client does it"
Outcome = str | Exception


class ScriptedFuture:
    def __init__(self, outcome: Outcome, run: Callable[[], None]) -> None:
        if outcome in (DONE, LOST, BEATEN):
            run()
        self.error = (
            ShardError("too late") if outcome == BEATEN else outcome if isinstance(outcome, Exception) else None
        )
        self.status = "error" if self.error else {DONE: "finished", PENDING: "pending"}.get(str(outcome), "lost")

    def exception(self) -> Exception | None:
        return self.error

    def add_done_callback(self, call: Callable[[Any], None]) -> None:
        if self.status != "pending":
            call(self)


class ScriptedClient:
    """Takes an outcome for each task; when there are no more, tasks are done."""

    def __init__(self, outcomes: Iterable[Outcome]) -> None:
        self.outcomes = list(outcomes)
        self.n_tasks = 0
        self.cancelled: list[Any] = []

    def map(self, function: Any, parcels: Sequence[Any], *, compute: Any, where: Any, **_: Any) -> list[ScriptedFuture]:
        self.n_tasks += len(parcels)
        return [
            ScriptedFuture(
                self.outcomes.pop(0) if self.outcomes else DONE,
                lambda parcel=parcel: compute_parcel(parcel, compute, where),
            )
            for parcel in parcels
        ]

    def cancel(self, futures: Sequence[Any]) -> None:
        self.cancelled.extend(futures)


class Sweep:
    """A store, a client of it, and what it told."""

    def __init__(self, directory: Path) -> None:
        spec = read_spec(SPEC)
        self.store: Store = open_store(directory, spec, make_plan(spec, "numpy"))
        self.events: list[SweepEvent] = []
        self.replaced: list[str] = []

    def run(
        self,
        *outcomes: Outcome,
        retries: int = 2,
        slots: Callable[[], int] = lambda: 1,
        replaces: bool = True,
        listen: Callable[[SweepEvent], None] = lambda event: None,
        patience_s: float | None = None,
    ) -> tuple[Dispatch, ScriptedClient]:
        client = ScriptedClient(outcomes)
        workers = Workers(
            client=client,  # type: ignore[arg-type]
            n_expected=1,
            n_slots=slots,
            resources={},
            dashboard=None,
            whose="2 slurm jobs",
            patience_s=patience_s,
            replace=self.replaced.append if replaces else None,
        )

        def hear(event: SweepEvent) -> None:
            self.events.append(event)
            listen(event)

        with self.store.claims() as claims:
            loop = Dispatch(self.store, workers, None, claims, hear, on_error="continue", retries=retries)
            loop.run([(shard,) for shard in self.store.plan.shards])
            assert not [name for name, claimed in read_claims(self.store.directory / CLAIMS).items() if claimed]
        return loop, client

    def n_done(self) -> int:
        return sum(isinstance(event, ShardDone) for event in self.events)


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    return Sweep(tmp_path / "out")


def killed() -> KilledWorker:
    return KilledWorker("task", SimpleNamespace(address="tcp://10.0.0.7:1"), 2)  # type: ignore[arg-type]


def test_a_worker_that_dies_right_after_a_shard_costs_nothing(sweep: Sweep) -> None:
    loop, client = sweep.run(LOST, DONE)
    assert (client.n_tasks, sweep.n_done(), sweep.store.missing(), loop.failures) == (N, N, [], [])
    assert loop.n_computed == 2 * N


def test_a_task_that_is_lost_before_it_ran_is_given_out_again(sweep: Sweep) -> None:
    # That is no failure of its own.
    loop, client = sweep.run(DONE, LOST_BEFORE, retries=0)
    assert (client.n_tasks, sweep.n_done(), sweep.store.missing()) == (N + 1, N, [])
    assert (loop.n_computed, loop.failures) == (2 * N, [])


def test_what_another_client_did_meanwhile_is_done_whatever_went_wrong_here(sweep: Sweep) -> None:
    # Its clean-up takes our mark away, for one.
    loop, client = sweep.run(DONE, BEATEN)
    assert (client.n_tasks, sweep.n_done(), sweep.store.missing(), loop.failures) == (N, N, [], [])
    # Whoever computed it counts it.
    assert loop.n_computed == 2 * (N - 1)


def test_one_that_looks_like_a_killer_runs_alone_before_it_is_blamed(sweep: Sweep) -> None:
    loop, client = sweep.run(killed(), killed(), retries=0, slots=lambda: 2)
    assert (client.n_tasks, sweep.n_done(), loop.failures) == (N + 2, N, [])
    sweep.events.clear()
    for part in list(sweep.store.parts.iterdir()):
        part.unlink()
    # The first and second die together; alone, the first does so again.
    loop, client = sweep.run(killed(), killed(), DONE, DONE, killed(), retries=0, slots=lambda: 2)
    assert [(failure.label, failure.kind, failure.where) for failure in loop.failures] == [
        (sweep.store.plan.shards[0].label, "killed", "10.0.0.7")
    ]
    assert sweep.n_done() == N - 1


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ESTALE, os.strerror(errno.ESTALE)),
        StoreError("part: cannot be read: Stale file handle"),
        LostStorage("worker on b: Stale file handle", "tcp://b:1"),
    ],
)
def test_what_anothers_workers_cannot_write_is_tried_again_and_then_told(sweep: Sweep, error: Exception) -> None:
    loop, client = sweep.run(error, error, replaces=False)
    assert (client.n_tasks, sweep.n_done(), loop.failures) == (N + 2, N, [])
    for part in list(sweep.store.parts.iterdir()):
        part.unlink()
    with pytest.raises(GmemgpuError, match="Stale file handle"):
        sweep.run(*[error] * 3 * N, replaces=False)
    # It is no shard's failure.
    assert sweep.store.journal.read() == {}


@pytest.mark.parametrize(
    "error", [NoWorkerError("task", 60.0), NoValidWorkerError("task", set(), set(), {"GPU": 1.0}, 60.0)]
)
def test_that_no_worker_comes_up_any_more_is_no_shards_failure(sweep: Sweep, error: Exception) -> None:
    with pytest.raises(GmemgpuError, match=r"no worker is left for scenario .*, nor came up within 60 s; run the same"):
        sweep.run(DONE, error, retries=0)
    assert sweep.store.journal.read() == {}


def test_a_full_disk_is_full_for_all(sweep: Sweep) -> None:
    with pytest.raises(StoreError, match="No space left on device; make room"):
        sweep.run(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))


@pytest.mark.parametrize("kind", [UnfitWorker, LostStorage])
def test_an_unfit_worker_is_replaced(sweep: Sweep, kind: type[UnfitWorker]) -> None:
    def unfit(host: int, port: int = 1) -> UnfitWorker:
        return kind("worker on b: does not see /x", f"tcp://10.0.0.{host}:{port}")

    # A node of many cores is one node.
    of_one = [unfit(1, port) for port in range(2 * dispatch._MOST_UNFIT)]
    loop, client = sweep.run(*of_one, unfit(2), retries=0)
    assert (client.n_tasks, sweep.n_done(), loop.failures) == (N + len(of_one) + 1, N, [])
    assert sweep.replaced == [error.worker for error in (*of_one, unfit(2))]
    for part in list(sweep.store.parts.iterdir()):
        part.unlink()
    with pytest.raises(UnfitWorker, match="does not see"):
        sweep.run(*(unfit(i) for i in range(dispatch._MOST_UNFIT + 1)))
    with pytest.raises(UnfitWorker, match="does not see"):
        sweep.run(kind("worker on b: does not see /x"))
    with pytest.raises(UnfitWorker, match="does not see"):
        sweep.run(unfit(1), replaces=False, retries=0)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_COUNT_EVERY_S", "_LOOK_EVERY_S", "LEASE_S"):
        monkeypatch.setattr(dispatch, name, 0.01)


def test_without_workers_a_client_stands_back_for_those_who_have_some(sweep: Sweep, quick: None) -> None:
    free: list[set[str]] = []
    slots = iter([1, 1, 0, 0])

    def count() -> int:
        # When they are up again, everything that another client left is done here.
        return next(slots, 0 if not free else 1)

    really = Dispatch._stand_back

    def stand_back(loop: Dispatch) -> None:
        really(loop)
        free.append(set(read_claims(sweep.store.directory / CLAIMS)))
        # Another client does one of those that were left.
        compute_shards(sweep.store.plan.shards[:1], sweep.store.plan.setting, str(sweep.store.parts))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Dispatch, "_stand_back", stand_back)
        loop, client = sweep.run(*[PENDING] * N, slots=count)
    assert free == [set()]
    assert len(client.cancelled) == N
    assert [event for event in sweep.events if isinstance(event, WorkersAwaited)] == [
        WorkersAwaited(whose="2 slurm jobs")
    ]
    assert (sweep.n_done(), sweep.store.missing()) == (N, [])
    assert client.n_tasks == N + (N - 1)
    assert loop.n_computed == 2 * (N - 1)


def test_a_shard_that_takes_all_workers_along_is_given_up_in_the_end(sweep: Sweep, quick: None) -> None:
    guilty = sweep.store.plan.shards[0]
    up = True
    really = Dispatch._stand_back

    class Vanishing(ScriptedClient):
        def map(self, function: Any, parcels: Sequence[Any], **named: Any) -> list[ScriptedFuture]:
            nonlocal up
            at_work = {shard.part_id for parcel in parcels for shard in pickle.loads(parcel[0])}
            self.outcomes = [PENDING if guilty.part_id in at_work else DONE for _ in parcels]
            up = up and guilty.part_id not in at_work
            return super().map(function, parcels, **named)

    def stand_back(loop: Dispatch) -> None:
        nonlocal up
        really(loop)
        up = True

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules[__name__], "ScriptedClient", Vanishing)
        patch.setattr(Dispatch, "_stand_back", stand_back)
        loop, _ = sweep.run(slots=lambda: int(up), retries=1)
    (failure,) = loop.failures
    assert (failure.label, failure.kind) == (guilty.label, "killed")
    # Twice beside others, once more alone.
    assert "all workers were gone 3 times while it ran, the last time alone" in failure.message
    assert sweep.store.journal.read().keys() == {guilty.part_id}
    assert sweep.store.missing() == [guilty]


def test_what_others_finish_while_we_stand_back_ends_it(sweep: Sweep, quick: None) -> None:
    def others(event: SweepEvent) -> None:
        if isinstance(event, WorkersAwaited):
            compute_shards(sweep.store.plan.shards, sweep.store.plan.setting, str(sweep.store.parts))

    n_asked = 0

    def count() -> int:
        nonlocal n_asked
        n_asked += 1
        return int(n_asked == 1)

    loop, _ = sweep.run(*[PENDING] * N, slots=count, listen=others)
    assert (sweep.n_done(), loop.n_computed) == (N, 0)


def test_patience_with_a_scheduler_that_lost_all_workers_ends(sweep: Sweep, quick: None) -> None:
    with pytest.raises(GmemgpuError, match=r"2 slurm jobs: no worker for \d+ s; start some, then run the same"):
        sweep.run(*[PENDING] * N, slots=iter([1, *[0] * 1000]).__next__, patience_s=0.05)
    assert read_claims(sweep.store.directory / CLAIMS) == {}
