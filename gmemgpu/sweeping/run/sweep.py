"""Run a sweep: missing shards go to a Dask client, parts come back as files, at the end they are merged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from gmemgpu.catalogue import tell_doubts
from gmemgpu.columns.file_form import open_for_arrow
from gmemgpu.engine.choice import choose_engine
from gmemgpu.engine.registry import device_count, runs_on_devices
from gmemgpu.errors import Problem, SpecError
from gmemgpu.sweeping.run.main_guard import refuse_in_starting_process
from gmemgpu.sweeping.run.outcome import Fallback, SweepOutcome
from gmemgpu.sweeping.run.plan import make_plan, pairs_at_once
from gmemgpu.sweeping.run.progress import Compiling, Listener, SweepMerged
from gmemgpu.sweeping.run.shard import Shard, ShardError
from gmemgpu.sweeping.spec import SweepSpec, read_spec
from gmemgpu.sweeping.spec.expectation import Checked, check_expectations
from gmemgpu.sweeping.store.directory import open_store
from gmemgpu.sweeping.store.failure import Failure
from gmemgpu.sweeping.store.files import RESULTS
from gmemgpu.sweeping.store.lock import Lock, held
from gmemgpu.sweeping.store.read import read_rows
from gmemgpu.sweeping.store.results import DamagedParts

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from distributed import Client

    from gmemgpu.sweeping.run.outcome import OnError

    Opening: TypeAlias = Callable[[], AbstractContextManager[Client]]

__all__ = ["SweepResult", "ShardsFailed", "sweep", "refuse_wrong"]

_MAX_NAMED = 20
_DASHBOARD_FROM_S = 60.0
"""Of one core: nobody opens the web page of a sweep that ends by then."""
_MERGES = 3
"""Parts that turn out to be damaged when they are merged are computed anew; a disk that damages those too is broken."""


class ShardsFailed(ShardError):
    """All other shards are done, and these failed for good; there are no merged rows."""

    failures: tuple[Failure, ...] = ()


def _shards_failed(outcome: SweepOutcome) -> ShardsFailed:
    store, failures = outcome.store, outcome.failures
    named = "".join("\n  " + failure.message.replace("\n", "\n  ") for failure in failures[:_MAX_NAMED])
    if len(failures) > _MAX_NAMED:
        named += f"\n  … and {len(failures) - _MAX_NAMED:,} more"
    if any(failure.kind == "input" for failure in failures):
        named += "\nA file that you mend makes another sweep: give that a directory of its own."
    error = ShardsFailed(
        f"{len(failures):,} of {len(store.plan.shards):,} shards failed, so that {store.directory} has no merged rows "
        f"yet; the same command tries them again.{named}"
    )
    error.failures = tuple(failures)
    return error


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
    spec: str | Path | Mapping[str, Any] | SweepSpec,
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
    growing: bool = False,
) -> SweepResult:
    """
    Evaluate every policy of a spec on every scenario and seed; `gmemgpu.sweep` does it and returns more.

    Parameters
    ----------
    spec, directory : str, Path or mapping
        As for `gmemgpu.sweep`; nothing is said of the policies of a `SweepSpec`.
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
    growing : bool
        As for `make_plan`.

    Returns
    -------
    SweepResult
        Its rows are read when asked for.

    Raises
    ------
    GmemgpuError
        As `gmemgpu.sweep` does.
    """
    refuse_wrong(client, workers, on_error, retries)
    if isinstance(spec, SweepSpec):
        what = spec
    else:
        what = read_spec(spec)
        tell_doubts(what.policies, what.source, strict=strict)
    name, reason = backend or what.backend, None
    if client is None or name == "auto":
        choice = choose_engine(name, n_pairs=pairs_at_once(what.n_rows), elsewhere=client is not None)
        name, reason = choice.engine.name, choice.reason
    plan = make_plan(what, name, auto=reason is not None, growing=growing)
    store = open_store(directory, what, plan)
    outcome = SweepOutcome(store, progress or (lambda event: None))
    with held(store.directory, take_over=take_over) as lock:
        todo = store.missing()
        outcome.start(plan.shards, todo, reason, what.table_notes() if todo and progress else ())
        for left in reversed(range(_MERGES)):
            if todo:
                _compute(outcome, todo, lock, client, workers=workers, on_error=on_error, retries=retries)
                if outcome.failures:
                    raise _shards_failed(outcome)
            try:
                if not store.is_merged():
                    lock.check()
                    store.merge()
                    outcome.listen(SweepMerged(n_rows=plan.n_rows))
                break
            except DamagedParts:
                if not left:
                    raise
                todo = store.missing()
        store.remove_temporaries()
    checked = Checked()
    if what.expect:
        columns = {"label", "seed", "policy", *(name for expected in what.expect for name in expected.metrics)}
        checked = check_expectations(what.expect, read_rows(directory, sorted(columns)).table.to_pylist())
    return SweepResult(
        directory=Path(directory),
        n_rows=plan.n_rows,
        n_computed=outcome.n_rows,
        fallback=outcome.fallback,
        checked=checked,
    )


def _compute(
    outcome: SweepOutcome,
    todo: Sequence[Shard],
    lock: Lock,
    client: Client | Opening | None,
    *,
    workers: int | None,
    on_error: OnError,
    retries: int,
) -> None:
    # Only now: Dask takes half a second to import, and a finished sweep needs none of it.
    from gmemgpu.sweeping.clusters.local import local_client
    from gmemgpu.sweeping.compile_once import compile_once
    from gmemgpu.sweeping.run.client import run_on_client

    plan = outcome.store.plan
    backend = plan.setting.backend
    compile_once(backend, lambda: outcome.listen(Compiling()))
    with ExitStack() as stack:
        if client is None:
            client = stack.enter_context(
                local_client(
                    workers,
                    n_devices=device_count(backend),
                    n_tasks=len(todo),
                    dashboard=plan.expected_s(todo) >= _DASHBOARD_FROM_S,
                )
            )
        elif callable(client):
            client = stack.enter_context(client())
        on_device = runs_on_devices(backend)
        run_on_client(client, outcome, todo, lock, on_device=on_device, on_error=on_error, retries=retries)


def refuse_wrong(client: object, workers: int | None, on_error: str, retries: int) -> None:
    """
    Check whether a sweep can begin here, with such arguments.

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
    GmemgpuError
        If this process is yet starting.
    """
    refuse_in_starting_process()
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
