"""The client's loop: claim shards, submit them, see what became of them, wait for those that other clients claimed."""

from __future__ import annotations

import secrets
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Literal, TypeAlias

from distributed.comm.addressing import get_address_host
from distributed.scheduler import KilledWorker, NoValidWorkerError, NoWorkerError

from gmemgpu.errors import GmemgpuError, InputError, StoreError
from gmemgpu.sweeping.blame import WorkersVanish, failure_of
from gmemgpu.sweeping.claim import LEASE_S, Claims
from gmemgpu.sweeping.cluster.fitness import LostStorage, Place, UnfitWorker, compute_if_fit
from gmemgpu.sweeping.cluster.workers import Workers
from gmemgpu.sweeping.journal import Failure
from gmemgpu.sweeping.parcel import Compute, Packer, compute_parcel
from gmemgpu.sweeping.progress import Listener, ShardDone, ShardFailed, WorkersAwaited
from gmemgpu.sweeping.shard import Shard, ShardError, compute_shards, shard_names
from gmemgpu.sweeping.store import Store
from gmemgpu.sweeping.writing import is_full, writing

if TYPE_CHECKING:
    from distributed import Future

__all__ = ["OnError", "Dispatch"]

OnError: TypeAlias = Literal["stop", "continue"]

_TASKS_PER_SLOT = 4
"""In flight: enough that no worker waits for the client, few enough that Ctrl-C and a failure stop soon."""
_LOOK_EVERY_S = 1.0
"""At what other clients do, once there is nothing else to submit."""
_COUNT_EVERY_S = 5.0
"""Workers that are up."""
_MOST_UNFIT = 16
"""Hosts whose workers are replaced as they will not do: more of them are no bad luck with a node or two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    shards: tuple[Shard, ...]
    attempt: int = 1
    alone: bool = False


class Dispatch:
    """
    One client's share in a sweep.

    Parameters
    ----------
    store : Store
    workers : Workers
    place : Place or None
        What far workers are checked against; None if they run on this machine, from this installation.
    claims : Claims
        Entered.
    listen : callable
    on_error : {"stop", "continue"}
    retries : int
        How often a shard that failed is tried again.
    """

    def __init__(
        self,
        store: Store,
        workers: Workers,
        place: Place | None,
        claims: Claims,
        listen: Listener,
        *,
        on_error: OnError,
        retries: int,
    ) -> None:
        self.n_computed = 0
        """Rows that this client's workers computed."""
        self.failures: list[Failure] = []
        """Of this sweep since it began here, whoever met them."""
        self._store = store
        self._workers = workers
        self._place = place
        self._claims = claims
        self._listen = listen
        self._on_error = on_error
        self._retries = retries
        # Two clients may use one scheduler, which knows tasks by their keys; and each attempt is a task of its own.
        self._name = secrets.token_hex(4)
        self._n_submitted = 0
        self._packer = Packer(store.plan.setting)
        self._running: dict[str, tuple[_Task, Future[None]]] = {}
        self._ended: SimpleQueue[str] = SimpleQueue()
        self._again: deque[_Task] = deque()
        self._suspects: deque[_Task] = deque()
        self._one_is_alone = False
        self._elsewhere: dict[str, Shard] = {}
        self._looked_elsewhere_s = -_LOOK_EVERY_S
        self._n_slots = max(1, workers.n_slots())
        self._counted_s = self._had_workers_s = time.monotonic()
        self._stands_back = self._told_so = False
        self._n_vanished: Counter[str] = Counter()
        self._unfit: set[str] = set()

    def run(self, tasks: Iterable[Sequence[Shard]]) -> None:
        """
        Return when every shard is done or in the journal, whoever did it.

        Parameters
        ----------
        tasks : iterable of sequence of Shard
            Shards that go to a worker together.

        Raises
        ------
        InputError, ShardError
            If a shard fails and `on_error` is "stop".
        StoreError
            If the results directory cannot be written.
        GmemgpuError
            If the scheduler is lost, no worker can be had any more, or workers are unfit.
        """
        fresh = self._claimed(tasks)
        while True:
            if self._stands_back:
                self._look_elsewhere()
            else:
                self._submit_more(fresh)
            if not (self._running or self._elsewhere or self._again or self._suspects):
                if not self._stands_back:
                    return
                # Others did what was left to them; there may be more.
                self._stands_back = False
                continue
            with suppress(Empty):
                self._take_up(self._ended.get(timeout=_LOOK_EVERY_S))
                while True:
                    self._take_up(self._ended.get_nowait())
            if time.monotonic() - self._counted_s >= _COUNT_EVERY_S:
                self._count_workers()

    def _take_up(self, key: str) -> None:
        # What was cancelled here is not there any more.
        if key in self._running:
            self._settle(*self._running.pop(key))

    def _count_workers(self) -> None:
        n = self._workers.n_slots()
        self._counted_s = time.monotonic()
        self._n_slots = max(1, n)
        if n:
            self._had_workers_s = self._counted_s
            self._stands_back = self._told_so = False
            return
        gone_s = self._counted_s - self._had_workers_s
        if self._workers.patience_s is not None and gone_s > self._workers.patience_s:
            raise GmemgpuError(
                f"{self._workers.whose}: no worker for {gone_s:.0f} s; {self._workers.remedy}, then run the same "
                "command again: finished parts are kept"
            )
        if gone_s > LEASE_S and not self._stands_back:
            self._stand_back()

    def _stand_back(self) -> None:
        # Others may have workers: what waits for ours is theirs to take until some are up.
        waiting = [task for task, _ in self._running.values()]
        futures = [future for _, future in self._running.values()]
        self._running.clear()
        with suppress(OSError):
            self._workers.client.cancel(futures)
        if not self._told_so:
            self._listen(WorkersAwaited(whose=self._workers.whose))
            waiting = self._without_guilty(waiting)
        self._told_so = True
        for task in (*waiting, *self._again, *self._suspects):
            for shard in task.shards:
                self._claims.release(shard.part_id)
                self._elsewhere[shard.part_id] = shard
        self._again.clear()
        self._suspects.clear()
        self._one_is_alone = False
        self._stands_back = True

    def _without_guilty(self, tasks: Sequence[_Task]) -> list[_Task]:
        # Of those that were at work when all workers vanished.
        for task in tasks:
            self._n_vanished.update(shard.part_id for shard in task.shards)
            if task.alone:
                (shard,) = task.shards
                self._give_up(task, WorkersVanish(shard, self._n_vanished[shard.part_id]))
        return [task for task in tasks if not task.alone]

    def _claimed(self, tasks: Iterable[Sequence[Shard]]) -> Iterator[_Task]:
        for shards in tasks:
            mine = tuple(shard for shard in shards if self._claim(shard))
            if mine:
                yield _Task(shards=mine)

    def _claim(self, shard: Shard) -> bool:
        if self._is_done(shard):
            return False
        if not self._claims.take(shard.part_id):
            self._elsewhere[shard.part_id] = shard
            return False
        return self._is_left_to_us(shard)

    def _is_left_to_us(self, shard: Shard) -> bool:
        # Claimed just now. Its last owner may have got there in the moment before, and a worker would take for done
        # whatever has the right last bytes.
        self._store.remove_if_damaged(shard)
        if self._is_settled(shard):
            self._claims.release(shard.part_id)
            return False
        return True

    def _is_done(self, shard: Shard) -> bool:
        done = self._store.is_done(shard)
        if done:
            self._listen(ShardDone(label=shard.label, seeds=shard.seeds, n_rows=shard.n_rows))
        return done

    def _is_settled(self, shard: Shard) -> bool:
        if self._is_done(shard):
            return True
        failure = self._store.journal.find(shard.part_id)
        if failure is not None:
            self._tell_failure(failure)
        return failure is not None

    def _look_elsewhere(self) -> None:
        if time.monotonic() - self._looked_elsewhere_s < _LOOK_EVERY_S:
            return
        for shard in list(self._elsewhere.values()):
            if not self._is_settled(shard):
                if self._stands_back or not self._claims.take(shard.part_id):
                    continue
                if self._is_left_to_us(shard):
                    self._queue_again(shard)
            del self._elsewhere[shard.part_id]
        self._looked_elsewhere_s = time.monotonic()

    def _queue_again(self, shard: Shard) -> None:
        if self._n_vanished[shard.part_id] > self._retries:
            self._suspects.append(_Task(shards=(shard,), alone=True))
        else:
            self._again.append(_Task(shards=(shard,)))

    def _submit_more(self, fresh: Iterator[_Task]) -> None:
        # Many at once, since each call costs the scheduler about as much as a task does; never so many that the
        # first has to wait long for the claims of all.
        while (n_free := self._n_slots * _TASKS_PER_SLOT - len(self._running)) > self._n_slots // 2:
            tasks = self._gather(fresh, min(n_free, self._n_slots))
            if not tasks:
                return
            self._submit(tasks)

    def _gather(self, fresh: Iterator[_Task], most: int) -> list[_Task]:
        tasks: list[_Task] = []
        while len(tasks) < most:
            # One that is to run alone waits until nothing else runs.
            if self._one_is_alone or (self._suspects and (tasks or self._running)):
                break
            task = self._next(fresh)
            if task is None:
                break
            tasks.append(task)
            self._one_is_alone = task.alone
        return tasks

    def _next(self, fresh: Iterator[_Task]) -> _Task | None:
        if self._suspects:
            return self._suspects.popleft()
        if self._again:
            return self._again.popleft()
        task = next(fresh, None)
        if task is None and self._elsewhere:
            self._look_elsewhere()
            return self._again.popleft() if self._again else None
        return task

    def _submit(self, tasks: Sequence[_Task]) -> None:
        compute: Compute = compute_shards if self._place is None else compute_if_fit
        where = self._place or str(self._store.parts.resolve())
        # Dask takes them in the order of their keys.
        keys = [f"shard-{self._n_submitted + i:09d}-{self._name}" for i in range(len(tasks))]
        self._n_submitted += len(tasks)
        futures = self._workers.client.map(
            compute_parcel,
            [self._packer.pack(task.shards) for task in tasks],
            key=keys,
            compute=compute,
            where=where,
            pure=False,
            resources=self._workers.resources or None,
        )
        for key, task, future in zip(keys, tasks, futures, strict=True):
            self._running[key] = (task, future)
            future.add_done_callback(lambda _, key=key: self._ended.put(key))

    def _settle(self, task: _Task, future: Future[None]) -> None:
        self._one_is_alone = False
        # Only the state is looked at: to fetch a result is to compute it again should its worker be dead by now.
        status = future.status
        if status == "finished" or (status == "lost" and self._is_there(task)):
            # Lost: its worker died right after it, and with it the nothing that it returned.
            self.n_computed += sum(shard.n_rows for shard in task.shards)
            self._finish(task)
        elif status == "cancelled":
            raise GmemgpuError(
                "the scheduler ended or cannot be reached any more; run the same command again: finished parts are kept"
            )
        elif self._is_there(task):
            # Another client was quicker than whatever was wrong here.
            self._finish(task)
        elif status == "lost":
            self._again.append(task)
        else:
            self._settle_failed(task, future.exception())

    def _is_there(self, task: _Task) -> bool:
        return all(self._store.is_done(shard) for shard in task.shards)

    def _finish(self, task: _Task) -> None:
        self._store.note_done(task.shards)
        for shard in task.shards:
            self._claims.release(shard.part_id)
            self._listen(ShardDone(label=shard.label, seeds=shard.seeds, n_rows=shard.n_rows))

    def _settle_failed(self, task: _Task, error: BaseException) -> None:
        if isinstance(error, NoValidWorkerError | NoWorkerError):
            raise GmemgpuError(
                f"no worker is left for {shard_names(task.shards)}, nor came up within {error.timeout:.0f} s; "
                "run the same command again: finished parts are kept"
            ) from error
        is_storage = isinstance(error, OSError | StoreError | LostStorage)
        if isinstance(error, UnfitWorker) and not (is_storage and self._workers.replace is None):
            self._replace_worker(error)
            self._again.append(task)
        elif is_storage:
            # No shard's fault; what somebody else's workers cannot write may be written at the next try.
            if is_full(error) or task.attempt > self._retries:
                with writing(self._store.directory):
                    raise error
            self._again.append(replace(task, attempt=task.attempt + 1))
        else:
            self._settle_faulty(task, error)

    def _replace_worker(self, error: UnfitWorker) -> None:
        host = get_address_host(error.worker) if error.worker else ""
        if self._workers.replace is None or not host:
            raise error
        if host not in self._unfit and len(self._unfit) == _MOST_UNFIT:
            raise error
        self._unfit.add(host)
        self._workers.replace(error.worker)

    def _settle_faulty(self, task: _Task, error: BaseException) -> None:
        if len(task.shards) > 1:
            # Which of them it was shows when each goes by itself.
            self._again.extend(_Task(shards=(shard,)) for shard in task.shards)
            return
        is_final = task.attempt > self._retries or isinstance(error, InputError)
        if isinstance(error, KilledWorker):
            # Tasks that its worker held and did not run died with it: which of them it was shows when each runs alone.
            is_final = task.alone
            if not is_final:
                self._suspects.append(replace(task, alone=True))
        elif not is_final:
            self._again.append(replace(task, attempt=task.attempt + 1))
        if is_final:
            self._give_up(task, error)

    def _give_up(self, task: _Task, error: BaseException) -> None:
        (shard,) = task.shards
        failure = failure_of(shard, error, task.attempt)
        self._store.journal.record(failure)
        self._claims.release(shard.part_id)
        if self._on_error == "stop":
            raise error if isinstance(error, GmemgpuError) else ShardError(failure.message) from error
        self._tell_failure(failure)

    def _tell_failure(self, failure: Failure) -> None:
        self.failures.append(failure)
        self._listen(
            ShardFailed(label=failure.label, seeds=failure.seeds, n_rows=failure.n_rows, message=failure.message)
        )
