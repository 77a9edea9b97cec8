"""The client's loop: all missing shards go to Dask at once, and what becomes of each is taken up as it ends."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from distributed import as_completed
from distributed.scheduler import KilledWorker

from gmemgpu.errors import GmemgpuError, InputError, StoreError
from gmemgpu.sweeping.run.outcome import Fallback, OnError, SweepOutcome
from gmemgpu.sweeping.run.plan import batches
from gmemgpu.sweeping.run.progress import StillRunning, WorkersReady
from gmemgpu.sweeping.run.shard import Shard, ShardError
from gmemgpu.sweeping.run.worker import FALLBACK_TOPIC, SweepWorker, UnfitWorker, compute_on_worker, mark
from gmemgpu.sweeping.store.files import writing
from gmemgpu.sweeping.store.lock import Lock

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["run_on_client"]

_POLL_S = 0.05
_CHECK_EVERY_S = 2.0
_DRAIN_S = 5.0
"""For parts that are being computed when Ctrl-C comes."""


def run_on_client(
    client: Client,
    outcome: SweepOutcome,
    todo: Sequence[Shard],
    lock: Lock,
    *,
    on_device: bool,
    on_error: OnError,
    retries: int,
) -> None:
    """
    Run shards on a Dask cluster, and keep the lock meanwhile.

    A shard that failed is tried again so often, and so is one whose worker died; what it raises in the end is raised
    here if `on_error` is "stop".
    """
    setting, parts = outcome.store.plan.setting, outcome.store.parts.resolve()
    with mark(parts) as marked:
        plugin = SweepWorker(
            setting,
            parts,
            marked,
            are_ours=_replaces_workers(client),
            # Of our own clusters we know what cores each GPU has for itself; others say so by their workers' threads.
            n_producers=getattr(client.cluster, "n_producers", None) if on_device else 0,
        )
        try:
            _register(client, plugin)
            _Loop(client, outcome, lock, plugin.name, on_device, on_error, retries).run(todo)
            if on_device:
                outcome.fallback = _fallback(client, todo) or outcome.fallback
        finally:
            with suppress(Exception):
                # The scheduler may be gone; who comes after us brings a plugin of his own.
                client.unregister_worker_plugin(plugin.name)


def _replaces_workers(client: Client) -> bool:
    # Only of jobs that we submitted another takes the place of one that left; no other client's workers are sent away.
    return bool(getattr(client.cluster, "replaces_lost_workers", False))


def _register(client: Client, plugin: SweepWorker) -> None:
    try:
        client.register_plugin(plugin)
    except UnfitWorker:
        # Workers that may be replaced have left by now, and tell why once more when nobody is left.
        if not _replaces_workers(client):
            raise
    except OSError as error:
        raise GmemgpuError(f"the scheduler cannot be reached any more ({error}); run the same command again") from error
    except Exception as error:
        raise UnfitWorker(
            f"the scheduler or a worker cannot run gmemgpu: {error}; install the same gmemgpu and packages there"
        ) from error


def _fallback(client: Client, todo: Sequence[Shard]) -> Fallback | None:
    with suppress(OSError):
        ours = {shard.part_id for shard in todo}
        # A scheduler that is there already may remember other sweeps.
        told = [message for _, message in client.get_events(FALLBACK_TOPIC) if not ours.isdisjoint(message["parts"])]
        if told:
            return Fallback(len({part for message in told for part in message["parts"]}), told[0]["reason"])
    return None


@dataclass(slots=True)
class _Loop:
    _client: Client
    _outcome: SweepOutcome
    _lock: Lock
    _plugin: str
    _on_device: bool
    _on_error: OnError
    _retries: int
    _running: dict[Any, tuple[Shard, ...]] = field(default_factory=dict)
    _n_deaths: Counter[tuple[Shard, ...]] = field(default_factory=Counter)
    _n_workers: int = -1
    _checked_s: float = float("-inf")
    _has_rows: bool = False

    def run(self, todo: Sequence[Shard]) -> None:
        n_workers = max(1, sum(self._client.nthreads().values()))
        n_policies = len(self._outcome.store.plan.setting.policies)
        tasks = batches(todo, n_policies, workers=n_workers, on_device=self._on_device)
        futures = self._submit(tasks)
        ended = as_completed(futures, loop=self._client.loop)
        del futures
        try:
            while not ended.is_empty():
                again = []
                for future in ended.next_batch(block=False):
                    again += self._take(future)
                if again:
                    ended.update(self._submit(again))
                elif not ended.has_ready():
                    self._check()
                    time.sleep(_POLL_S)
        except BaseException as error:
            with suppress(Exception):
                self._client.cancel(list(ended.futures), force=True)
            if isinstance(error, KeyboardInterrupt):
                self._drain()
            raise

    def _submit(self, tasks: Sequence[tuple[Shard, ...]]) -> list[Future[None]]:
        # Two clients may use one scheduler, which knows tasks by their keys; and each attempt is a task of its own.
        futures = self._client.map(
            compute_on_worker,
            list(tasks),
            plugin=self._plugin,
            pure=False,
            retries=self._retries,
            resources=self._resources() or None,
            key="gmemgpu-shard",
        )
        self._running.update(zip((future.key for future in futures), tasks, strict=True))
        return list(futures)

    def _resources(self) -> dict[str, float]:
        # Somebody else's workers may have more threads than GPUs, and say so; ours have one of each.
        if not self._on_device or self._client.cluster is not None:
            return {}
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        return {"GPU": 1.0} if any("GPU" in worker.get("resources", {}) for worker in workers) else {}

    def _take(self, future: Future[None]) -> list[tuple[Shard, ...]]:
        # Returns what is to be submitted again.
        shards = self._running.pop(future.key)
        # Only the state is looked at: to fetch a result is to compute it again should its worker be dead by now.
        if future.status in ("finished", "lost"):
            self._has_rows = True
            self._outcome.done(shards)
            return []
        if future.status == "cancelled":
            raise GmemgpuError(
                "the scheduler ended or cannot be reached any more; run the same command again: finished parts are kept"
            )
        error = future.exception()
        if isinstance(error, UnfitWorker):
            if not _replaces_workers(self._client):
                raise error
            return [shards]
        if isinstance(error, StoreError | OSError):
            # No shard's fault: the next one could not be written either.
            with writing(self._outcome.store.directory):
                raise error
        n_failed = len(self._outcome.failures)
        if isinstance(error, KilledWorker):
            self._n_deaths[shards] += 1
            if self._n_deaths[shards] <= self._retries:
                return [shards]
            self._outcome.fail(shards, "killed", f"its worker died {self._n_deaths[shards]} times while it ran")
        elif isinstance(error, InputError | ShardError):
            self._outcome.fail(shards, "input" if isinstance(error, InputError) else "error", error)
        else:
            self._outcome.fail(shards, "error", f"{type(error).__name__}: {error}")
        if self._on_error == "stop" and (failures := self._outcome.failures[n_failed:]):
            raise error if isinstance(error, InputError | ShardError) else ShardError(failures[0].message)
        return []

    def _check(self) -> None:
        if time.monotonic() - self._checked_s < _CHECK_EVERY_S:
            return
        self._checked_s = time.monotonic()
        self._lock.check()
        self._outcome.listen(StillRunning())
        with suppress(OSError):
            n_workers = len(self._client.nthreads())
            if (n_workers > 0) != (self._n_workers > 0) or self._n_workers < 0:
                self._outcome.listen(WorkersReady(n_workers=n_workers, dashboard=self._dashboard()))
            self._n_workers = n_workers
            if not n_workers and not self._has_rows:
                self._raise_if_all_unfit()

    def _dashboard(self) -> str | None:
        # Without Bokeh its pages say that they need it.
        if find_spec("bokeh") is None or not getattr(self._client.cluster, "has_dashboard", True):
            return None
        with suppress(Exception):
            return str(self._client.dashboard_link)
        return None

    def _raise_if_all_unfit(self) -> None:
        # A node that runs other code leaves the work to others; where all do, no row would ever come.
        told = [message for _, message in self._client.get_events(self._plugin)]
        if told and len(told) >= len(getattr(self._client.cluster, "plan", ())):
            raise UnfitWorker(told[-1])

    def _drain(self) -> None:
        # What runs cannot be cancelled, and writes its part if it gets so far.
        until_s = time.monotonic() + _DRAIN_S
        with suppress(Exception):
            while time.monotonic() < until_s and any(self._client.run(_is_busy).values()):
                time.sleep(_POLL_S)


def _is_busy(dask_worker: object) -> bool:
    plugins = getattr(dask_worker, "plugins", {}).values()
    return any(plugin.is_busy for plugin in plugins if isinstance(plugin, SweepWorker))
