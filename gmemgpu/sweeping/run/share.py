"""A share of a sweep in this process, without Dask: what one task of a batch system's job array does."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gmemgpu.catalogue import tell_doubts
from gmemgpu.engine.choice import choose_engine
from gmemgpu.engine.crossover import core_count
from gmemgpu.engine.registry import device_count
from gmemgpu.errors import DirectoryError, InputError, Problem, SpecError
from gmemgpu.sweeping.run.outcome import SweepOutcome
from gmemgpu.sweeping.run.plan import batches, make_plan, pairs_at_once
from gmemgpu.sweeping.run.producers import Producers
from gmemgpu.sweeping.run.progress import Listener, SweepMerged
from gmemgpu.sweeping.run.shard import ShardError, compute_shards
from gmemgpu.sweeping.spec import read_spec
from gmemgpu.sweeping.store.directory import open_store
from gmemgpu.sweeping.store.failure import Failure
from gmemgpu.sweeping.store.files import writing
from gmemgpu.sweeping.store.lock import held
from gmemgpu.sweeping.store.results import DamagedParts

__all__ = ["ShareResult", "compute_share"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareResult:
    """
    What became of a share.

    Parameters
    ----------
    directory : Path
        The results directory.
    n_shards, n_rows : int
        Of the share.
    n_shards_computed : int
        By this call; the others were there or failed.
    failures : tuple of Failure
        Of the share.
    is_merged : bool
        Whether all parts of the sweep are there, and merged.
    """

    directory: Path
    n_shards: int
    n_rows: int
    n_shards_computed: int
    failures: tuple[Failure, ...]
    is_merged: bool


def compute_share(
    spec: str | Path | Mapping[str, Any],
    directory: str | Path,
    *,
    index: int,
    of: int,
    backend: str | None = None,
    progress: Listener | None = None,
    strict: bool = False,
) -> ShareResult:
    """
    Compute every `of`-th shard of a sweep, one after another, in this process.

    Any number of such calls, on any machines that see `directory`, may run at once: parts are the same whoever writes
    them. Whoever finds all parts there merges them.

    Parameters
    ----------
    spec : str, Path or mapping
        As for `sweep`.
    directory : str or Path
        The results directory, the same for all shares.
    index : int
        From 0: this share is the shards `index`, `index` + `of`, `index` + 2 `of` and so on.
    of : int
        Number of shares. It may differ from call to call: parts are the same however they are shared out.
    backend : str, optional
        Engine, in place of the spec's.
    progress : callable, optional
        Called with each `SweepEvent`; `SweepStarted` counts the share alone.
    strict : bool
        As for `sweep`.

    Returns
    -------
    ShareResult
        What this call did.

    Raises
    ------
    SpecError
        If the spec is wrong, or there is no such share.
    BackendError
        If the engine cannot run here.
    StoreError
        If `directory` cannot be written, or holds another sweep.
    """
    if of < 1:
        raise SpecError(Problem("of", f"{of} shares are none; give a positive number"))
    if not 0 <= index < of:
        raise SpecError(Problem("index", f"{index} is outside 0 to {of - 1}; number {of} shares from 0"))
    what = read_spec(spec)
    tell_doubts(what.policies, what.source, strict=strict)
    choice = choose_engine(backend or what.backend, n_pairs=pairs_at_once(what.n_rows // of))
    plan = make_plan(what, choice.engine.name, auto=choice.reason is not None)
    store = open_store(directory, what, plan)
    share = plan.shards[index::of]
    todo = store.missing(share)
    outcome = SweepOutcome(store, progress or (lambda event: None))
    outcome.start(share, todo, choice.reason)
    on_device = device_count(choice.engine.name) > 0
    with ExitStack() as stack:
        generated = None
        if on_device and core_count() > 1:
            producers = Producers(core_count(), plan.setting)
            stack.callback(producers.close, wait=True)
            generated = producers.traces
        for batch in batches(todo, len(what.policies), workers=1, on_device=on_device):
            try:
                with writing(store.directory):
                    compute_shards(batch, plan.setting, store.parts, generated)
                outcome.done(batch)
            except (InputError, ShardError) as error:
                outcome.fail(batch, "input" if isinstance(error, InputError) else "error", error)
    return ShareResult(
        directory=Path(directory),
        n_shards=len(share),
        n_rows=plan.rows_of(share),
        n_shards_computed=len(todo) - len(outcome.failures),
        failures=tuple(outcome.failures),
        is_merged=_merge_if_whole(outcome),
    )


def _merge_if_whole(outcome: SweepOutcome) -> bool:
    store = outcome.store
    if store.missing():
        return False
    if store.is_merged():
        return True
    try:
        with held(store.directory):
            store.merge()
    except (DirectoryError, DamagedParts):
        # Many tasks end at once, and whoever holds the directory merges for all. Damaged parts are gone now: the tasks
        # of the array that has them compute them when it is run again.
        return False
    store.remove_temporaries()
    outcome.listen(SweepMerged(n_rows=store.plan.n_rows))
    return True
