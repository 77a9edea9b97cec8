"""Batches of VMs that arrived together: numbered as they come, and confidential as a whole or not at all."""

from __future__ import annotations

import numpy as np

from gmemgpu.model.trace import BoolArray, Int64Array
from gmemgpu.vmtable.random_stream import Purpose, Stream

__all__ = ["batch_numbers", "snp_by_batch"]


def batch_numbers(batch: Int64Array) -> Int64Array:
    """
    Return each VM's batch, numbered from 0 as the batches first come.

    Parameters
    ----------
    batch : (n,) int64
        Any ids; only which are equal matters, and in which order they first come.

    Returns
    -------
    (n,) int64
        A table read again with other ids, or a longer one, gives the same numbers.
    """
    _, first, which = np.unique(batch, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first))
    return rank[which]


def snp_by_batch(seed: int, batch: Int64Array, share: float, purpose: Purpose = Purpose.SNP) -> BoolArray:
    """
    Draw which batches are confidential, each with probability `share`.

    Parameters
    ----------
    seed : int
        Of the draws.
    batch : (n,) array of int64
        Batch of each VM; only which are equal matters, and in which order they first come.
    share : float
        0 to 1.
    purpose : Purpose, default SNP
        The stream to draw from.

    Returns
    -------
    (n,) array of bool
        One value a VM, equal within a batch.
    """
    number = batch_numbers(batch)
    n_batches = int(number.max()) + 1 if len(number) else 0
    result: BoolArray = Stream(seed, purpose).below(n_batches, share)[number]
    return result
