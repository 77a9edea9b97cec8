"""From a region's table to one host: which of its VMs come here."""

from __future__ import annotations

import numpy as np

from gmemgpu.units import NS_PER_S
from gmemgpu.vmtable.batch import batch_numbers
from gmemgpu.vmtable.random_stream import Purpose, Stream
from gmemgpu.vmtable.record import VmRecords

__all__ = ["thin_to_host", "keep_for_rate"]


def keep_for_rate(records: VmRecords, arrivals_per_day: float) -> float:
    """
    Return the share of arrivals to keep so that a host sees about so many a day.

    Parameters
    ----------
    records : VmRecords
        VMs of the whole file.
    arrivals_per_day : float
        About 0.4 for each VM that the host shall have running: 0.43 in Azure 2017, 0.365 in 2019.

    Returns
    -------
    float
        At most 1; 1 for a table without arrivals.
    """
    arrivals = records.arrival_ns[~records.running]
    if not len(arrivals):
        return 1.0
    days = max(int(arrivals.max()), NS_PER_S) / (86_400 * NS_PER_S)
    return min(1.0, arrivals_per_day * days / len(arrivals))


def thin_to_host(records: VmRecords, seed: int, *, keep: float, p_coloc: float, batch_max: int) -> VmRecords:
    """
    Return what one of 1 / `keep` like hosts would get.

    A batch is put on one host as a whole with probability `p_coloc`: then it comes here with probability `keep`. Else
    it is spread, one VM a host: then one of its n VMs comes here, with probability n × `keep`. Either way `keep` of all
    VMs are left on average, but for batches cut at `batch_max` or larger than the number of hosts.

    Parameters
    ----------
    records : VmRecords
        VMs of the whole file.
    seed : int
        Of the draws.
    keep : float
        0 to 1.
    p_coloc : float
        0 to 1.
    batch_max : int
        Of a batch that comes as a whole, the first so many VMs.

    Returns
    -------
    VmRecords
        VMs that were running already are each kept with probability `keep`.
    """
    running = records.running
    batch = batch_numbers(records.batch)
    n_batches = int(batch.max()) + 1 if len(batch) else 0

    arriving = np.flatnonzero(~running)
    grouped = arriving[np.argsort(batch[arriving], kind="stable")]
    n_vms = np.bincount(batch[arriving], minlength=n_batches)
    starts = np.cumsum(n_vms) - n_vms
    place = np.empty(len(records), dtype=np.int64)
    place[grouped] = np.arange(len(grouped)) - np.repeat(starts, n_vms)

    whole = Stream(seed, Purpose.COLOCATION).below(n_batches, p_coloc)
    chance = np.where(whole, keep, np.minimum(n_vms * keep, 1.0))
    comes = Stream(seed, Purpose.THINNING).below(n_batches, chance)
    chosen = np.floor(Stream(seed, Purpose.CHOSEN_VM).uniform(n_batches) * n_vms).astype(np.int64)
    kept = np.zeros(len(records), dtype=bool)
    of = batch[arriving]
    kept[arriving] = comes[of] & np.where(whole[of], place[arriving] < batch_max, place[arriving] == chosen[of])
    kept[running] = Stream(seed, Purpose.STOCK_THINNING).below(int(running.sum()), keep)
    return records.select(kept)
