"""Arrival processes: what one is drawn from, what it must offer, and what all processes of batches share."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from pydantic import Field

from gmemgpu.fields import Positive, Section, Share
from gmemgpu.model.trace import Int64Array
from gmemgpu.vmtable.arrival import batch_sizes_on_host, zipf_weights
from gmemgpu.vmtable.assemble import concatenate
from gmemgpu.vmtable.table import VmTable
from gmemgpu.vmtable.tenant import Tenants, running_vms, vms_of_batches
from gmemgpu.workload.size_choice import SizeChoice

__all__ = ["ArrivalInput", "Process", "BatchProcess"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivalInput:
    """
    What arrivals are drawn from, beside the parameters of the process.

    Parameters
    ----------
    seed : int
        0 to 2**64 - 1.
    horizon_ns : int
        End of the trace.
    n_stock : int
        VMs that run at t = 0.
    balanced_per_s : float
        Arrivals a second that replace the ends of as many VMs as are to run, for processes without a rate of their own.
    tenants : Tenants
        Distributions of lifetimes and sizes.
    sizes : SizeChoice
        Named mixes, for processes that have sizes of their own.
    """

    seed: int
    horizon_ns: int
    n_stock: int
    balanced_per_s: float
    tenants: Tenants
    sizes: SizeChoice


class Process(Section):
    """An arrival process and its parameters."""

    @property
    def is_balanced(self) -> bool:
        """Whether it has no rate of its own, and brings as many VMs as end."""
        return False

    @abstractmethod
    def expected_arrivals(self, horizon_ns: int, n_stock: int, balanced_per_s: float) -> float:
        """
        Estimate how many VMs come before the horizon, from the parameters alone.

        Parameters
        ----------
        horizon_ns : int
            End of the trace.
        n_stock : int
            VMs that run at t = 0; they are not counted.
        balanced_per_s : float
            As of `ArrivalInput`.

        Returns
        -------
        float
            Mean number of arriving VMs.
        """

    @abstractmethod
    def draw(self, given: ArrivalInput) -> VmTable:
        """
        Draw the stock and everything that arrives before the horizon.

        Parameters
        ----------
        given : ArrivalInput
            Seed, horizon, stock and distributions.

        Returns
        -------
        VmTable
            The stock, then arrivals in time order.
        """


@lru_cache(maxsize=256)
def _mean_batch(zipf_exponent: float, zipf_max: int) -> float:
    # Thousands of scenarios of a sweep have the same few.
    weights = zipf_weights(zipf_exponent, zipf_max)
    return float(np.arange(1, zipf_max + 1) @ weights / weights.sum())


class BatchProcess(Process):
    """A process of batches, of which a host gets one VM or all."""

    p_coloc: Share = Field(
        default=0.16,
        description="Chance that a whole batch comes to this host; else one VM of it. With zipf_max it gives a host's "
        "arrivals an hour, over two days, a variance of 2.3 times their mean (median; 4.0 on average): two days of "
        "Azure 2017 that were kept out of the fits have 2.3 (4.2).",
    )
    zipf_exponent: Positive = Field(
        default=2.0, description="Batch sizes k have weight k**-exponent: 2.0 fits 452,901 batches of Azure 2017."
    )
    zipf_max: int = Field(
        default=48, ge=1, le=100_000, description="Largest batch: 400 in a region, 48 on a host (see p_coloc)."
    )

    @property
    def mean_vms(self) -> float:
        """Mean number of a batch's VMs that come to this host."""
        return 1.0 + self.p_coloc * (_mean_batch(self.zipf_exponent, self.zipf_max) - 1.0)

    @abstractmethod
    def expected_batches(self, horizon_ns: int, batches_per_s: float) -> float:
        """
        Estimate how many batches arrive before the horizon.

        Parameters
        ----------
        horizon_ns : int
            End of the trace.
        batches_per_s : float
            As of `times`.

        Returns
        -------
        float
            Mean number of batches.
        """

    def expected_arrivals(self, horizon_ns: int, n_stock: int, balanced_per_s: float) -> float:
        """Return the batches times the mean of their VMs that come here."""
        return self.expected_batches(horizon_ns, balanced_per_s / self.mean_vms) * self.mean_vms

    @abstractmethod
    def times(self, seed: int, horizon_ns: int, batches_per_s: float) -> Int64Array:
        """
        Draw the times of batches.

        Parameters
        ----------
        seed : int
            0 to 2**64 - 1.
        horizon_ns : int
            End of the trace.
        batches_per_s : float
            Rate that is balanced, for a process without one of its own.

        Returns
        -------
        (n,) int64
            Ascending, in ns.
        """

    def draw(self, given: ArrivalInput) -> VmTable:
        """Draw the stock and the VMs of arriving batches."""
        at_ns = self.times(given.seed, given.horizon_ns, given.balanced_per_s / self.mean_vms)
        n_vms = batch_sizes_on_host(
            given.seed,
            len(at_ns),
            zipf_exponent=self.zipf_exponent,
            zipf_max=self.zipf_max,
            p_coloc=self.p_coloc,
        )
        stock = running_vms(given.tenants, given.seed, given.n_stock)
        return concatenate([stock, vms_of_batches(given.tenants, given.seed, at_ns, n_vms)])
