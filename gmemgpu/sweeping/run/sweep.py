"""Run a sweep: missing shards go to a Dask client, parts come back as files, at the end they are merged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from gmemgpu.catalogue import tell_doubts
from gmemgpu.columns.file_form import open_for_arrow
from gmemgpu.engine.choice import choose_engine
from gmemgpu.engine.registry import device_count, runs_on_devices
from gmemgpu.errors import Problem, SpecError
from gmemgpu.sweeping.run.plan import make_plan, pairs_at_once
from gmemgpu.sweeping.run.progress import Compiling, Listener, SweepMerged, SweepStarted
from gmemgpu.sweeping.run.shard import ShardError
from gmemgpu.sweeping.run.unguarded import refuse_in_starting_process
from gmemgpu.sweeping.spec import SweepSpec, read_spec
from gmemgpu.sweeping.spec.expectation import Checked, check_expectations
from gmemgpu.sweeping.store.directory import Store, open_store
from gmemgpu.sweeping.store.failure import Failure
from gmemgpu.sweeping.store.files import RESULTS
from gmemgpu.sweeping.store.lock import Lock, held
from gmemgpu.sweeping.store.read import read_rows
from gmemgpu.sweeping.store.results import DamagedParts

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from distributed import Client

    from gmemgpu.sweeping.run.client import Fallback, OnError, Run

    Opening: TypeAlias = Callable[[], AbstractContextManager[Client]]

__all__ = ["SweepResult", "ShardsFailed", "sweep", "sweep_spec", "refuse_wrong"]

_MAX_NAMED = 20
_DASHBOARD_FROM_S = 60.0
"""Of one core: nobody opens the web page of a sweep that ends by then."""
_MERGES = 3
"""Parts that turn out to be damaged when they are merged are computed anew; a disk that damages those too is broken."""


class ShardsFailed(ShardError):
    """All other shards are done, and these failed for good; there are no merged rows."""

    def __init__(self, directory: Path, failures: Sequence[Failure], n_shards: int) -> None:
        self.failures = tuple(failures)
        named = "".join("\n  " + failure.message.replace("\n", "\n  ") for failure in failures[:_MAX_NAMED])
        if len(failures) > _MAX_NAMED:
            named += f"\n  … and {len(failures) - _MAX_NAMED:,} more"
        if any(failure.kind == "input" for failure in failures):
            named += "\nA file that you mend makes another sweep: give that a directory of its own."
        super().__init__(
            f"{len(failures):,} of {n_shards:,} shards failed, so that {directory} has no merged rows yet; the same "
            f"command tries them again.{named}"
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
    fallback : Fallback or None
        How many shards ran on CPU cores since a device failed, and why; the integers are the same.
    checked : Checked
        Whether it gave what the spec expects.
    """

    directory: Path
    n_rows: int
    n_computed: int
    fallback: Fallback | None = None
    checked: Checked = field(default_factory=Checked)

    def to_arrow(self) -> pa.Table:
        """Return all rows: scenario columns, seed, policy, facts of the trace, every metric."""
        import pyarrow.parquet as pq

        return pq.ParquetFile(open_for_arrow(self.directory / RESULTS)).read()

    def to_pandas(self) -> pd.DataFrame:
        """Return the same as a data frame; metrics that can pass 2**63 are exact `decimal.Decimal`."""
        return self.to_arrow().to_pandas()


def sweep(
    spec: str | Path | Mapping[str, Any],
    directory: str | Path,
    client: Client | Opening | None = None,
    *,
    backend: str | None = None,
    workers: int | None = None,
    progress: Listener | None = None,
    on_error: OnError = "stop",
    retries: int = 2,
    take_over: bool = False,
    strict: bool = False,
) -> SweepResult:
    """
    Evaluate every policy of a spec on every scenario and seed; `gmemgpu.sweep` does it and returns more.

    Parameters
    ----------
    spec, directory : str, Path or mapping
        As for `gmemgpu.sweep`.
    client : distributed.Client or callable, optional
        As for `gmemgpu.sweep`.
    backend, workers : str and int, optional
        As for `gmemgpu.sweep`.
    progress : callable, optional
        As for `gmemgpu.sweep`.
    on_error, retries : str and int
        As for `gmemgpu.sweep`.
    take_over, strict : bool
        As for `gmemgpu.sweep`.

    Returns
    -------
    SweepResult
        Its rows are read when asked for.

    Raises
    ------
    GmemgpuError
        As `gmemgpu.sweep` does.
    """
    refuse_in_starting_process()
    refuse_wrong(client, workers, on_error, retries)
    what = read_spec(spec)
    tell_doubts(what.policies, what.source, strict=strict)
    return sweep_spec(
        what,
        directory,
        client,
        backend=backend,
        workers=workers,
        progress=progress,
        on_error=on_error,
        retries=retries,
        take_over=take_over,
    )


def sweep_spec(
    what: SweepSpec,
    directory: str | Path,
    client: Client | Opening | None,
    *,
    backend: str | None,
    workers: int | None,
    progress: Listener | None,
    on_error: OnError,
    retries: int,
    take_over: bool,
    growing: bool = False,
) -> SweepResult:
    """
    Evaluate a spec that has been read.

    Parameters
    ----------
    what : SweepSpec
        A valid one.
    directory : str or Path
        As for `sweep`.
    client : distributed.Client or callable, optional
        As for `sweep`.
    backend : str, optional
        As for `sweep`.
    workers : int, optional
        As for `sweep`.
    progress : callable, optional
        As for `sweep`.
    on_error : {"stop", "continue"}
        As for `sweep`.
    retries : int
        As for `sweep`.
    take_over : bool
        As for `sweep`.
    growing : bool
        As for `make_plan`.

    Returns
    -------
    SweepResult
        Its rows are read when asked for.
    """
    name, reason = _engine(client, backend or what.backend, what)
    plan = make_plan(what, name, auto=reason is not None, growing=growing)
    store = open_store(directory, what, plan)
    listen = progress or (lambda event: None)
    with held(store.directory, take_over=take_over) as lock:
        todo = store.missing()
        listen(
            SweepStarted(
                n_shards=len(plan.shards),
                n_shards_done=len(plan.shards) - len(todo),
                n_rows=plan.n_rows,
                n_rows_done=plan.n_rows - plan.rows_of(todo),
                backend=name,
                reason=reason,
                notes=what.table_notes() if todo and progress else (),
            )
        )
        n_computed, fallback = 0, None
        work = _Work(store, lock, client, workers, listen, on_error, retries)
        for left in reversed(range(_MERGES)):
            if todo:
                run = work.run(todo)
                n_computed += run.n_rows
                fallback = run.fallback or fallback
                if run.failures:
                    raise ShardsFailed(store.directory, run.failures, len(plan.shards))
            try:
                if not store.is_merged():
                    lock.check()
                    store.merge()
                    listen(SweepMerged(n_rows=plan.n_rows))
                break
            except DamagedParts:
                if not left:
                    raise
                todo = store.missing()
        store.remove_temporaries()
    result = SweepResult(directory=Path(directory), n_rows=plan.n_rows, n_computed=n_computed, fallback=fallback)
    return replace(result, checked=_check(what, result)) if what.expect else result


def _check(spec: SweepSpec, result: SweepResult) -> Checked:
    columns = {"label", "seed", "policy", *(name for expected in spec.expect for name in expected.metrics)}
    return check_expectations(spec.expect, read_rows(result.directory, sorted(columns)).table.to_pylist())


def refuse_wrong(client: object, workers: int | None, on_error: str, retries: int) -> None:
    """
    Check arguments of `sweep`.

    Parameters
    ----------
    client : distributed.Client or callable, optional
        As for `sweep`.
    workers : int, optional
        As for `sweep`.
    on_error : str
        As for `sweep`.
    retries : int
        As for `sweep`.

    Raises
    ------
    SpecError
        Lists all that will not do.
    """
    problems = []
    if workers is not None and workers < 1:
        problems.append(Problem("workers", f"{workers} is not positive; leave it out for one a core"))
    if workers is not None and client is not None:
        problems.append(Problem("workers", f"{workers} cannot be had: the client's cluster has the workers it has"))
    if on_error not in ("stop", "continue"):
        problems.append(Problem("on_error", f'"{on_error}" is unknown; use stop or continue'))
    if retries < 0:
        problems.append(Problem("retries", f"{retries} is negative; 0 tries each shard once"))
    if problems:
        raise SpecError(problems)


def _engine(client: Client | Opening | None, name: str, spec: SweepSpec) -> tuple[str, str | None]:
    # The engine's name, and why auto took it.
    if client is not None and name != "auto":
        return name, None
    n_rows = len(spec.scenarios) * len(spec.seeds) * len(spec.policies)
    choice = choose_engine(name, n_pairs=pairs_at_once(n_rows), elsewhere=client is not None)
    return choice.engine.name, choice.reason


@dataclass(frozen=True, slots=True)
class _Work:
    store: Store
    lock: Lock
    client: Client | Opening | None
    workers: int | None
    listen: Listener
    on_error: OnError
    retries: int

    def run(self, todo: Sequence[Any]) -> Run:
        # Only now: Dask takes half a second to import, and a finished sweep needs none of it.
        from gmemgpu.sweeping.clusters.local import local_client
        from gmemgpu.sweeping.compile_once import compile_once
        from gmemgpu.sweeping.run.client import run_on_client

        setting = self.store.plan.setting
        compile_once(setting.backend, lambda: self.listen(Compiling()))
        with ExitStack() as stack:
            found = self.client
            if found is None:
                n_devices = device_count(setting.backend)
                found = stack.enter_context(
                    local_client(
                        self.workers,
                        n_devices=n_devices,
                        n_tasks=len(todo),
                        retries=self.retries,
                        dashboard=self.store.plan.expected_s(todo) >= _DASHBOARD_FROM_S,
                    )
                )
            elif callable(found):
                found = stack.enter_context(found())
            return run_on_client(
                found,
                self.store,
                todo,
                self.lock,
                self.listen,
                on_device=runs_on_devices(setting.backend),
                on_error=self.on_error,
                retries=self.retries,
            )
