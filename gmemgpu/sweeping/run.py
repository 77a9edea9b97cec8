"""Run a sweep: missing shards go to Dask workers, parts come back as files, at the end they are merged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from gmemgpu.engine.choice import choose_engine
from gmemgpu.engine.registry import device_count
from gmemgpu.errors import GmemgpuError, Problem, SpecError
from gmemgpu.sweeping.plan import make_plan
from gmemgpu.sweeping.progress import Listener, ShardDone, SweepMerged, SweepStarted
from gmemgpu.sweeping.shard import Setting, Shard, ShardError, compute_shards, shard_names
from gmemgpu.sweeping.spec import read_spec
from gmemgpu.sweeping.store import Store, open_store, writing
from gmemgpu.sweeping.task import cut_tasks, pairs_at_once
from gmemgpu.sweeping.unguarded import refuse_in_starting_process

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from gmemgpu.sweeping.stand_in import StandIn

__all__ = ["SweepResult", "sweep"]

_TASKS_IN_FLIGHT = 4
"""Per worker: enough that none waits for the client, few enough that Ctrl-C and a failure stop soon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepResult:
    """
    A finished sweep.

    Parameters
    ----------
    directory : Path
        The store; ``gmemgpu show`` reads it.
    n_rows : int
        One for each (scenario, seed, policy).
    n_computed : int
        Rows that this call computed; 0 if all were there.
    stand_in : StandIn or None
        How many shards ran on numpy since a device failed, and why; the integers are the same.
    """

    directory: Path
    n_rows: int
    n_computed: int
    stand_in: StandIn | None = None

    def to_arrow(self) -> pa.Table:
        """Read all rows: scenario columns, seed, policy, facts of the trace, every metric."""
        import pyarrow.parquet as pq

        return pq.ParquetFile(self.directory / "results.parquet").read()

    def to_pandas(self) -> pd.DataFrame:
        """Read the same as a data frame; metrics that can pass 2**63 are exact `decimal.Decimal`."""
        return self.to_arrow().to_pandas()


def sweep(
    spec: str | Path | Mapping[str, Any],
    directory: str | Path,
    *,
    backend: str | None = None,
    workers: int | None = None,
    progress: Listener | None = None,
) -> SweepResult:
    """
    Evaluate every policy of a spec on every scenario and seed, on the cores or the GPUs of this machine.

    A script calls this under ``if __name__ == "__main__":``, since worker processes import the script.

    Parameters
    ----------
    spec : str, Path or mapping
        A TOML file, or the same as a mapping.
    directory : str or Path
        Where results go. If it holds finished parts of the same sweep they are kept; a finished sweep costs nothing.
    backend : str, optional
        Engine, in place of the spec's. ``auto`` goes on with what another engine began; a name does not.
    workers : int, optional
        Worker processes; one a core if left out, or one a GPU if the engine runs on GPUs.
    progress : callable, optional
        Called with each `SweepEvent`, from this thread.

    Returns
    -------
    SweepResult

    Raises
    ------
    SpecError
        If the spec is wrong; lists every problem.
    BackendError
        If the engine cannot run here.
    StoreError
        If `directory` cannot be written, or holds another sweep.
    ShardError
        If a shard fails; parts that were finished stay.
    GmemgpuError
        If no worker can be started, most likely since the call is not under ``if __name__ == "__main__":``.
    KeyboardInterrupt
        Likewise; call again to go on.

    Examples
    --------
    ::

        import gmemgpu

        if __name__ == "__main__":
            gmemgpu.sweep("jobs/quickstart.toml", "results/quickstart")
    """
    refuse_in_starting_process()
    if workers is not None and workers < 1:
        raise SpecError(Problem("workers", f"{workers} is not positive; leave it out for one a core"))
    what = read_spec(spec)
    n_rows = len(what.scenarios) * len(what.seeds) * len(what.policies)
    choice = choose_engine(backend or what.backend, n_pairs=pairs_at_once(n_rows))
    name = choice.engine.name
    auto = choice.reason is not None
    plan = make_plan(what, name, auto=auto)
    store = open_store(directory, what, plan, any_backend=auto)
    todo = store.missing()
    n_todo = sum(shard.n_rows for shard in todo)
    tasks: list[tuple[Shard, ...]] = []
    n_devices = 0
    if todo:
        # Only now: Dask takes half a second to import, and a finished sweep needs none of it.
        from gmemgpu.sweeping.cluster.local import default_workers

        n_devices = device_count(name)
        wanted = workers or n_devices or default_workers()
        tasks = cut_tasks(todo, workers=wanted, on_device=n_devices > 0)
        workers = min(wanted, len(tasks))
    listen = progress or (lambda event: None)
    listen(
        SweepStarted(
            n_shards=len(plan.shards),
            n_shards_done=len(plan.shards) - len(todo),
            n_rows=plan.n_rows,
            n_rows_done=plan.n_rows - n_todo,
            workers=workers if todo and workers else 0,
            backend=name,
            reason=choice.reason,
        )
    )
    stood_in = None
    if tasks and workers:
        stood_in = _run_tasks(tasks, plan.setting, store, listen, workers=workers, n_devices=n_devices)
    if todo or not store.is_merged():
        store.merge()
        store.remove_temporaries()
        listen(SweepMerged(n_rows=plan.n_rows))
    return SweepResult(directory=Path(directory), n_rows=plan.n_rows, n_computed=n_todo, stand_in=stood_in)


def _run_tasks(
    tasks: Sequence[tuple[Shard, ...]],
    setting: Setting,
    store: Store,
    listen: Listener,
    *,
    workers: int,
    n_devices: int,
) -> StandIn | None:
    from distributed import as_completed

    from gmemgpu.sweeping.cluster.local import local_client
    from gmemgpu.sweeping.stand_in import stand_in

    with local_client(workers, n_devices) as client:
        waiting: Iterator[tuple[Shard, ...]] = iter(tasks)
        by_key: dict[str, tuple[Shard, ...]] = {}

        def submit(shards: tuple[Shard, ...]) -> Any:
            key = f"shard-{shards[0].part_id}"
            by_key[key] = shards
            return client.submit(compute_shards, shards, setting, str(store.parts.resolve()), key=key, pure=False)

        running = as_completed(
            [submit(shards) for shards in islice(waiting, workers * _TASKS_IN_FLIGHT)], loop=client.loop
        )
        for future in running:
            shards = by_key.pop(future.key)
            # Only the state is looked at: to fetch a result is to compute it again should its worker be dead by now.
            if future.status != "finished":
                _raise(shards, future.exception(), store)
            for shard in shards:
                listen(ShardDone(label=shard.label, seeds=shard.seeds, n_rows=shard.n_rows))
            for following in islice(waiting, 1):
                running.add(submit(following))
        return stand_in(client) if n_devices else None


def _raise(shards: Sequence[Shard], error: BaseException, store: Store) -> NoReturn:
    from distributed.scheduler import KilledWorker

    if isinstance(error, GmemgpuError):
        raise error
    where = shard_names(shards)
    if isinstance(error, KilledWorker):
        raise ShardError(
            f"{where}: its worker process died again and again, most likely for want of memory; "
            "try fewer --workers or a smaller host"
        ) from error
    if isinstance(error, OSError):
        with writing(store.directory):
            raise error
    raise ShardError(f"{where}: {type(error).__name__}: {error}") from error
