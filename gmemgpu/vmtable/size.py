"""How large VMs are: a mix of (vCPUs, memory) with weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gmemgpu.model.trace import Int32Array, Int64Array
from gmemgpu.vmtable.exact_math import FloatArray

__all__ = ["SizeMix"]


class SizeMix:
    """
    Sizes and how often each occurs among arrivals.

    Parameters
    ----------
    vcpus : sequence of int
        Of each size.
    memory_bytes : sequence of int
        Of each size.
    weights : sequence of float
        Not negative, not all 0; need not add up to 1.
    """

    __slots__ = ("_cumulative", "memory_bytes", "vcpus")

    vcpus: Int32Array
    """(k,) vCPUs of each size."""
    memory_bytes: Int64Array
    """(k,) memory of each size."""

    def __init__(self, vcpus: Sequence[int], memory_bytes: Sequence[int], weights: Sequence[float]) -> None:
        self.vcpus = np.array(vcpus, dtype=np.int32)
        self.memory_bytes = np.array(memory_bytes, dtype=np.int64)
        self._cumulative = np.cumsum(np.array(weights, dtype=np.float64))

    def pick(self, u: FloatArray) -> Int64Array:
        """
        Return the indices of sizes that numbers in [0, 1) stand for.

        Parameters
        ----------
        u : array of float64
            In [0, 1).

        Returns
        -------
        array of int64
            Shaped as `u`.
        """
        index = np.searchsorted(self._cumulative, u * self._cumulative[-1], side="right")
        result: Int64Array = np.minimum(index, len(self.vcpus) - 1).astype(np.int64)
        return result
