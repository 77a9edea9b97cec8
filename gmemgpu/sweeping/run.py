"""Run a sweep: missing shards go to Dask workers, parts come back as files, at the end they are merged."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gmemgpu.engine.choice import choose_engine
from gmemgpu.engine.registry import device_count, runs_on_devices
from gmemgpu.errors import GmemgpuError, Problem, SpecError
from gmemgpu.sweeping.cluster.options import ClusterOptions
from gmemgpu.sweeping.cluster.target import Target, read_target
from gmemgpu.sweeping.journal import Failure
from gmemgpu.sweeping.layout import LOGS
from gmemgpu.sweeping.plan import make_plan
from gmemgpu.sweeping.progress import Listener, SweepMerged, SweepStarted, WorkersAwaited
from gmemgpu.sweeping.shard import Shard, ShardError
from gmemgpu.sweeping.spec import read_spec
from gmemgpu.sweeping.store import Store, open_store
from gmemgpu.sweeping.task import cut_tasks, pairs_at_once
from gmemgpu.sweeping.unguarded import refuse_in_starting_process

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from gmemgpu.sweeping.cluster.workers import Workers
    from gmemgpu.sweeping.dispatch import OnError
    from gmemgpu.sweeping.stand_in import StandIn

__all__ = ["SweepResult", "ShardsFailed", "sweep"]

_MAX_NAMED = 10
_LOOK_EVERY_S = 1.0


class ShardsFailed(ShardError):
    """
    All other shards are done, and these failed for good; there are no merged rows.

    Parameters
    ----------
    directory : Path
    failures : sequence of Failure
        At least one.
    n_shards : int
        Of the whole sweep.
    """

    def __init__(self, directory: Path, failures: Sequence[Failure], n_shards: int) -> None:
        self.failures = tuple(failures)
        named = "".join("\n  " + failure.message.replace("\n", "\n  ") for failure in failures[:_MAX_NAMED])
        if len(failures) > _MAX_NAMED:
            named += f"\n  … and {len(failures) - _MAX_NAMED:,} more"
        if any(failure.kind == "input" for failure in failures):
            named += "\nA file that you mend makes another sweep: give that a directory of its own."
        super().__init__(
            f"{len(failures):,} of {n_shards:,} shards failed, so that {directory} has no merged rows yet; "
            f"to try again what failed: gmemgpu retry {directory}, then the same command.{named}"
        )
        self._made_of = (directory, self.failures, n_shards)

    def __reduce__(self) -> tuple[type[ShardsFailed], tuple[Path, tuple[Failure, ...], int]]:
        # Its arguments, not its message, make it again in another process.
        return type(self), self._made_of


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
    cluster: str = "local",
    cluster_options: str | Path | Mapping[str, Any] | None = None,
    tls_ca: str | Path | None = None,
    tls_cert: str | Path | None = None,
    tls_key: str | Path | None = None,
    on_error: OnError = "stop",
    retries: int = 2,
) -> SweepResult:
    """
    Evaluate every policy of a spec on every scenario and seed, on this machine or on a cluster.

    Any number of such calls may work on one directory at once: they share the shards, and each returns when all are
    done. A script calls this under ``if __name__ == "__main__":``, since worker processes import the script.

    Parameters
    ----------
    spec : str, Path or mapping
        A TOML file, or the same as a mapping.
    directory : str or Path
        Where results go. If it holds finished parts of the same sweep they are kept; a finished sweep costs nothing.
    backend : str, optional
        Engine, in place of the spec's. ``auto`` goes on with what another engine began; a name does not.
    workers : int, optional
        Workers to start. If left out: one a core, or one a GPU if the engine runs on GPUs; on a cluster what its
        options say.
    progress : callable, optional
        Called with each `SweepEvent`, from this thread.
    cluster : str
        ``local``; ``slurm``, ``pbs`` or ``lsf`` to submit jobs; or a Dask scheduler that is there already, by its
        ``tcp://`` or ``tls://`` address or by the file (``….json``) that it wrote.
    cluster_options : str, Path or mapping, optional
        A TOML file with a ``[cluster]`` table, or that table; laid over the spec's.
    tls_ca, tls_cert, tls_key : str or Path, optional
        PEM files; all three for a ``tls://`` address, or to encrypt what jobs and this process say to each other.
    on_error : {"stop", "continue"}
        What to do when a shard fails for good.
    retries : int
        How often a shard is tried again that failed, or whose worker died; a wrong input never is.

    Returns
    -------
    SweepResult

    Raises
    ------
    SpecError
        If the spec or the cluster's options are wrong; lists every problem.
    BackendError
        If the engine cannot run here.
    StoreError
        If `directory` cannot be written, or holds another sweep.
    InputError, ShardError
        If a shard fails and `on_error` is "stop"; parts that were finished stay.
    ShardsFailed
        At the end, if shards failed in an earlier run, for another client, or while `on_error` was "continue".
    GmemgpuError
        If no worker can be had: since the call is not under ``if __name__ == "__main__":``, since a scheduler cannot
        be reached, or since workers elsewhere see another directory or run other code.
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
    _refuse_wrong(workers, on_error, retries)
    what = read_spec(spec)
    target = read_target(cluster, ClusterOptions(), cluster_options, tls_ca=tls_ca, tls_cert=tls_cert, tls_key=tls_key)
    n_rows = len(what.scenarios) * len(what.seeds) * len(what.policies)
    name, reason = _engine(target, backend or what.backend, n_rows)
    auto = reason is not None
    plan = make_plan(what, name, auto=auto)
    store = open_store(directory, what, plan, any_backend=auto)
    missing = store.missing()
    failed = store.journal.read() if missing else {}
    before = [failed[shard.part_id] for shard in missing if shard.part_id in failed]
    todo = [shard for shard in missing if shard.part_id not in failed]
    listen = progress or (lambda event: None)
    started = SweepStarted(
        n_shards=len(plan.shards),
        n_shards_done=len(plan.shards) - len(missing),
        n_rows=plan.n_rows,
        n_rows_done=plan.n_rows - sum(shard.n_rows for shard in missing),
        workers=0,
        backend=name,
        reason=reason,
        n_shards_failed=len(before),
    )
    n_computed, stood_in, failures = 0, None, before
    if todo:
        n_devices = device_count(name) if target.kind == "local" else 0
        work = _Work(store=store, target=target, listen=listen, started=started, on_error=on_error, retries=retries)
        n_computed, stood_in, new = work.run(todo, wanted=workers, n_devices=n_devices)
        failures = [*before, *new]
    else:
        listen(started)
    if failures:
        raise ShardsFailed(store.directory, failures, len(plan.shards))
    merged = store.is_merged()
    if not merged:
        store.merge()
    store.remove_temporaries()
    if todo or not merged:
        listen(SweepMerged(n_rows=plan.n_rows))
    return SweepResult(directory=Path(directory), n_rows=plan.n_rows, n_computed=n_computed, stand_in=stood_in)


def _refuse_wrong(workers: int | None, on_error: str, retries: int) -> None:
    problems = []
    if workers is not None and workers < 1:
        problems.append(Problem("workers", f"{workers} is not positive; leave it out for one a core"))
    if on_error not in ("stop", "continue"):
        problems.append(Problem("on_error", f'"{on_error}" is unknown; use stop or continue'))
    if retries < 0:
        problems.append(Problem("retries", f"{retries} is negative; 0 tries each shard once"))
    if problems:
        raise SpecError(problems)


def _engine(target: Target, name: str, n_rows: int) -> tuple[str, str | None]:
    # The engine's name, and why auto took it.
    if not target.is_far:
        choice = choose_engine(name, n_pairs=pairs_at_once(n_rows))
        return choice.engine.name, choice.reason
    # What can run elsewhere is not seen from here; workers look for themselves.
    if name == "auto":
        if target.options.gpus:
            return "cupy", "each worker of this cluster has a GPU"
        return "numpy", "gpus = 0 for workers of this cluster"
    if runs_on_devices(name) and not target.options.gpus:
        raise SpecError(Problem("cluster.gpus", f'is 0, and "{name}" needs a GPU for each worker; write gpus = 1'))
    return name, None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    store: Store
    target: Target
    listen: Listener
    started: SweepStarted
    on_error: OnError
    retries: int

    def run(
        self, todo: Sequence[Shard], *, wanted: int | None, n_devices: int
    ) -> tuple[int, StandIn | None, list[Failure]]:
        # Only now: Dask takes half a second to import, and a finished sweep needs none of it.
        from gmemgpu.sweeping.cluster.fitness import UnfitWorker, marked_place, refuse_unfit_workers
        from gmemgpu.sweeping.cluster.opening import open_workers
        from gmemgpu.sweeping.dispatch import Dispatch
        from gmemgpu.sweeping.stand_in import stand_in

        with ExitStack() as stack:
            workers = stack.enter_context(
                open_workers(
                    self.target,
                    wanted=wanted,
                    n_devices=n_devices,
                    n_tasks=len(todo),
                    retries=self.retries,
                    logs=self.store.directory / LOGS,
                )
            )
            if self.target.is_far:
                self._wait_for_first(workers)
            n_workers = workers.n_expected or workers.n_slots()
            self.listen(replace(self.started, workers=n_workers, dashboard=workers.dashboard))
            place = None
            if self.target.is_far:
                place = stack.enter_context(marked_place(self.store.parts.resolve()))
                try:
                    refuse_unfit_workers(
                        workers.client, place, workers.resources, some_will_do=workers.replace is not None
                    )
                except UnfitWorker:
                    # Another client that has finished meanwhile cleared up, our mark included.
                    if not self.store.is_merged():
                        raise
                    return 0, None, []
            # Claimed only when there is somebody to do the work.
            on_device = n_devices > 0 or bool(workers.resources)
            # Elsewhere each worker has a device of its own; here they may share some.
            at_work = min(n_workers, n_devices or n_workers) if on_device else 0
            claims = stack.enter_context(self.store.claims(n_workers=n_workers, n_devices=at_work))
            dispatch = Dispatch(
                self.store, workers, place, claims, self.listen, on_error=self.on_error, retries=self.retries
            )
            dispatch.run(cut_tasks(todo, workers=n_workers, on_device=on_device))
            stood_in = stand_in(workers.client, {shard.part_id for shard in todo}) if on_device else None
            return dispatch.n_computed, stood_in, dispatch.failures

    def _wait_for_first(self, workers: Workers) -> None:
        begun = time.monotonic()
        told = False
        while not workers.n_slots():
            waited_s = time.monotonic() - begun
            if workers.patience_s is not None and waited_s > workers.patience_s:
                raise GmemgpuError(
                    f"{workers.whose}: no worker after {waited_s:.0f} s; {workers.remedy}, then try again"
                )
            if not told:
                self.listen(WorkersAwaited(whose=workers.whose))
                told = True
            time.sleep(_LOOK_EVERY_S)
