"""A share of a sweep in this process, without Dask: what one task of a batch system's job array does."""

from __future__ import annotations

import platform
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gmemgpu.engine.choice import choose_engine
from gmemgpu.engine.registry import device_count
from gmemgpu.errors import GmemgpuError, InputError, Problem, SpecError, StoreError
from gmemgpu.sweeping.claim import Claims, read_claims
from gmemgpu.sweeping.journal import Failure
from gmemgpu.sweeping.layout import CLAIMS
from gmemgpu.sweeping.plan import make_plan
from gmemgpu.sweeping.progress import Listener, ShardDone, ShardFailed, SweepMerged, SweepStarted
from gmemgpu.sweeping.shard import Shard, compute_shards, shard_names
from gmemgpu.sweeping.spec import read_spec
from gmemgpu.sweeping.store import Store, open_store
from gmemgpu.sweeping.task import cut_tasks, pairs_at_once
from gmemgpu.sweeping.writing import writing

__all__ = ["ShareResult", "compute_share"]

_LOOK_EVERY_S = 1.0
"""While others compute what is left of our share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareResult:
    """
    What became of a share.

    Parameters
    ----------
    directory : Path
    n_shards, n_rows : int
        Of the share.
    n_shards_computed, n_rows_computed : int
        By this call; the others were there, came from others, or failed.
    failures : tuple of Failure
        Shards of the share that the journal names.
    complete : bool
        Whether all parts of the sweep are there, and merged.
    """

    directory: Path
    n_shards: int
    n_rows: int
    n_shards_computed: int
    n_rows_computed: int
    failures: tuple[Failure, ...]
    complete: bool


def compute_share(
    spec: str | Path | Mapping[str, Any],
    directory: str | Path,
    *,
    index: int,
    of: int,
    backend: str | None = None,
    progress: Listener | None = None,
) -> ShareResult:
    """
    Compute every `of`-th shard of a sweep, one after another, in this process.

    Any number of such calls, on any machines that see `directory`, and any number of `sweep` calls may run at once.
    What others compute right now is left to them and waited for. Whoever finds all parts there merges them.

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

    Returns
    -------
    ShareResult

    Raises
    ------
    SpecError
        If the spec is wrong, or there is no such share.
    BackendError
        If the engine cannot run here.
    StoreError
        If `directory` cannot be written, or holds another sweep.
    """
    _refuse_no_share(index, of)
    what = read_spec(spec)
    n_rows = len(what.scenarios) * len(what.seeds) * len(what.policies)
    choice = choose_engine(backend or what.backend, n_pairs=pairs_at_once(n_rows // of))
    plan = make_plan(what, choice.engine.name, auto=choice.reason is not None)
    store = open_store(directory, what, plan, any_backend=choice.reason is not None)
    share = plan.shards[index::of]
    undone = [shard for shard in share if not store.is_done(shard)]
    failed = store.journal.read() if undone else {}
    todo = _claimed_last([shard for shard in undone if shard.part_id not in failed], store)
    listen = progress or (lambda event: None)
    listen(
        SweepStarted(
            n_shards=len(share),
            n_shards_done=len(share) - len(undone),
            n_rows=_n_rows(share),
            n_rows_done=_n_rows(share) - _n_rows(undone),
            workers=1 if todo else 0,
            backend=choice.engine.name,
            reason=choice.reason,
            n_shards_failed=len(undone) - len(todo),
        )
    )
    computed = _compute(todo, store, listen, on_device=device_count(choice.engine.name) > 0) if todo else []
    failed = store.journal.read()
    failures = tuple(failed[shard.part_id] for shard in undone if shard.part_id in failed and not store.is_done(shard))
    # Names are looked at first: thousands of tasks shall not open every part in turn.
    complete = not failures and store.has_all_names() and not store.missing()
    if complete:
        merged = store.is_merged()
        if not merged:
            store.merge()
        store.remove_temporaries()
        if not merged:
            listen(SweepMerged(n_rows=plan.n_rows))
    return ShareResult(
        directory=Path(directory),
        n_shards=len(share),
        n_rows=_n_rows(share),
        n_shards_computed=len(computed),
        n_rows_computed=_n_rows(computed),
        failures=failures,
        complete=complete,
    )


def _claimed_last(shards: Sequence[Shard], store: Store) -> list[Shard]:
    # What others work on, or what a task before this one died of: everything else shall be there by then.
    claimed: Collection[str] = ()
    with suppress(OSError):
        claimed = read_claims(store.directory / CLAIMS) if shards else ()
    return sorted(shards, key=lambda shard: shard.part_id in claimed)


def _n_rows(shards: Sequence[Shard]) -> int:
    return sum(shard.n_rows for shard in shards)


def _refuse_no_share(index: int, of: int) -> None:
    if of < 1:
        raise SpecError(Problem("of", f"{of} shares are none; give a positive number"))
    if not 0 <= index < of:
        raise SpecError(Problem("index", f"{index} is outside 0 to {of - 1}; number {of} shares from 0"))


def _undone(shards: Sequence[Shard], store: Store) -> list[Shard]:
    failed = store.journal.read()
    return [shard for shard in shards if shard.part_id not in failed and not store.is_done(shard)]


def _compute(todo: Sequence[Shard], store: Store, listen: Listener, *, on_device: bool) -> list[Shard]:
    computed: list[Shard] = []
    with store.claims(n_devices=int(on_device)) as claims:
        while todo:
            before = len(computed)
            for batch in cut_tasks(todo, workers=1, on_device=on_device):
                computed.extend(_compute_ours(batch, store, claims, listen))
            todo = _undone(todo, store)
            if todo and len(computed) == before:
                # All that is left is claimed: its parts will come, or the claims go stale and we take them over.
                time.sleep(_LOOK_EVERY_S)
    return computed


def _compute_ours(batch: Sequence[Shard], store: Store, claims: Claims, listen: Listener) -> list[Shard]:
    taken = [shard for shard in batch if claims.take(shard.part_id)]
    try:
        computed = _try([shard for shard in taken if _is_left_to_us(shard, store)], store, listen)
    finally:
        for shard in taken:
            claims.release(shard.part_id)
    for shard in computed:
        listen(ShardDone(label=shard.label, seeds=shard.seeds, n_rows=shard.n_rows))
    return computed


def _is_left_to_us(shard: Shard, store: Store) -> bool:
    # Claimed just now: whoever held the claim before may have finished, or found that it cannot be done.
    store.remove_if_damaged(shard)
    return not store.is_done(shard) and store.journal.find(shard.part_id) is None


def _try(shards: Sequence[Shard], store: Store, listen: Listener) -> list[Shard]:
    # Gives those that were computed; the others are in the journal then.
    if not shards:
        return []
    try:
        with writing(store.directory):
            compute_shards(shards, store.plan.setting, str(store.parts))
        store.note_done(shards)
    except StoreError:
        # No shard's fault: the next one could not be written either.
        raise
    except Exception as error:
        if len(shards) > 1:
            return [computed for shard in shards for computed in _try([shard], store, listen)]
        failure = _failure(shards[0], error)
        store.journal.record(failure)
        listen(ShardFailed(label=failure.label, seeds=failure.seeds, n_rows=failure.n_rows, message=failure.message))
        return []
    return list(shards)


def _failure(shard: Shard, error: Exception) -> Failure:
    told = str(error) if isinstance(error, GmemgpuError) else f"{shard_names([shard])}: {type(error).__name__}: {error}"
    return Failure(
        part_id=shard.part_id,
        label=shard.label,
        seeds=shard.seeds,
        n_rows=shard.n_rows,
        kind="input" if isinstance(error, InputError) else "error",
        message=told,
        attempts=1,
        where=platform.node(),
    )
