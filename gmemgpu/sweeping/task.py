"""What one Dask task computes: a shard on a CPU, many shards in one batch on a device."""

from __future__ import annotations

from collections.abc import Sequence

from gmemgpu.sweeping.shard import Shard

__all__ = ["cut_tasks", "pairs_at_once"]

DEVICE_PAIRS = 4096
"""(trace, policy) pairs that a device gets at once, if there are so many: some dozen thread blocks for each of its
multiprocessors. Not measured yet; more would be lost with a killed worker."""
_TASKS_PER_WORKER = 2
"""At least, where there are enough shards: no worker shall idle while another has a long task."""


def cut_tasks(shards: Sequence[Shard], *, workers: int, on_device: bool) -> list[tuple[Shard, ...]]:
    """
    Cut shards into tasks; parts stay the same, whatever computes them.

    Parameters
    ----------
    shards : sequence of Shard
        Those still to do.
    workers : int
    on_device : bool
        Whether workers compute on a device, which needs thousands of pairs at once.

    Returns
    -------
    list of tuple of Shard
        In order, each shard once.
    """
    if not on_device:
        return [(shard,) for shard in shards]
    most = max(1, len(shards) // (workers * _TASKS_PER_WORKER))
    tasks: list[tuple[Shard, ...]] = []
    held: list[Shard] = []
    n_pairs = 0
    for shard in shards:
        held.append(shard)
        n_pairs += shard.n_rows
        if n_pairs >= DEVICE_PAIRS or len(held) >= most:
            tasks.append(tuple(held))
            held, n_pairs = [], 0
    return [*tasks, tuple(held)] if held else tasks


def pairs_at_once(n_rows: int) -> int:
    """Say how many pairs of a whole sweep, a row each, one device would get at once."""
    return max(1, min(DEVICE_PAIRS, n_rows // _TASKS_PER_WORKER))
