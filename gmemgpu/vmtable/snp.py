"""Which VMs are confidential: a choice of the tenant, so that whole batches are or are not."""

from __future__ import annotations

import numpy as np

from gmemgpu.model.trace import BoolArray, Int64Array
from gmemgpu.vmtable.random_stream import Purpose, Stream

__all__ = ["snp_by_batch"]


def snp_by_batch(seed: int, batch: Int64Array, share: float, purpose: Purpose = Purpose.SNP) -> BoolArray:
    """
    Make each batch confidential with probability `share`.

    Parameters
    ----------
    seed : int
    batch : (n,) array of int64
        Batch of each VM; only which are equal matters, and in which order they first come.
    share : float
    purpose : Purpose, default SNP

    Returns
    -------
    (n,) array of bool
        One value a VM, equal within a batch.
    """
    _, first, which = np.unique(batch, return_index=True, return_inverse=True)
    # Numbered as they come, not by id: a table read again with other ids gives the same guests.
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first))
    result: BoolArray = Stream(seed, purpose).below(len(first), share)[rank[which]]
    return result
