"""What becomes of shards, whoever computes them: counted, written down, told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from gmemgpu.sweeping.run.progress import Listener, ShardFailed, ShardsDone, SweepStarted
from gmemgpu.sweeping.run.shard import Shard
from gmemgpu.sweeping.store.directory import Store
from gmemgpu.sweeping.store.failure import Failure, record_failure
from gmemgpu.sweeping.store.part import part_files

__all__ = ["OnError", "Fallback", "SweepOutcome"]

OnError: TypeAlias = Literal["stop", "continue"]


@dataclass(frozen=True, slots=True)
class Fallback:
    """
    What CPU cores did in a device's place.

    Parameters
    ----------
    n_shards : int
        How many it computed.
    reason : str
        What the first device to fail said.
    """

    n_shards: int
    reason: str


@dataclass(slots=True)
class SweepOutcome:
    """What became of the shards of a store so far."""

    store: Store
    listen: Listener
    n_rows: int = 0  # computed
    failures: list[Failure] = field(default_factory=list)  # of shards that have no part
    fallback: Fallback | None = None  # None if no device failed

    def start(
        self, shards: Sequence[Shard], todo: Sequence[Shard], reason: str | None, notes: tuple[str, ...] = ()
    ) -> None:
        """Report what there is to do, and why ``auto`` took the engine."""
        plan = self.store.plan
        self.listen(
            SweepStarted(
                n_shards=len(shards),
                n_shards_done=len(shards) - len(todo),
                n_rows=plan.rows_of(shards),
                n_rows_done=plan.rows_of(shards) - plan.rows_of(todo),
                backend=plan.setting.backend,
                reason=reason,
                notes=notes,
            )
        )

    def done(self, shards: Sequence[Shard]) -> None:
        """Count shards whose parts are there."""
        n_rows = self.store.plan.rows_of(shards)
        self.n_rows += n_rows
        self.listen(ShardsDone(label=self.store.plan.setting.label_of(shards[0]), n_rows=n_rows))

    def fail(self, shards: Sequence[Shard], kind: Literal["error", "killed", "input"], why: str | Exception) -> None:
        """Record that shards failed that were computed together, but for those whose parts are there."""
        there = part_files(self.store.parts) if len(shards) > 1 else {}
        if done := [shard for shard in shards if shard.part_id in there]:
            self.done(done)
        setting = self.store.plan.setting
        for shard in shards:
            if shard.part_id not in there:
                # Errors name scenario and seed by themselves.
                message = str(why) if isinstance(why, Exception) else f"{setting.name_of([shard])}: {why}"
                label = setting.label_of(shard)
                failure = Failure(part_id=shard.part_id, label=label, seeds=shard.seeds, kind=kind, message=message)
                record_failure(self.store.directory, failure)
                self.failures.append(failure)
                self.listen(ShardFailed(label=label, message=message))
