"""From batches to VMs: lifetimes and sizes that agree within a batch, confidential or not by tenant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from gmemgpu.model.trace import BoolArray, Int32Array, Int64Array
from gmemgpu.vmtable.assemble import end_after, vm_table
from gmemgpu.vmtable.batch import snp_by_batch
from gmemgpu.vmtable.exact_math import FloatArray
from gmemgpu.vmtable.lifetime import Lifetime
from gmemgpu.vmtable.random_stream import NEVER_NS, Purpose, Stream, seconds_to_ns
from gmemgpu.vmtable.size import SizeMix
from gmemgpu.vmtable.table import VmTable

__all__ = ["Tenants", "vms_of_batches", "running_vms"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenants:
    """
    What kind of VMs a host's tenants ask for.

    Parameters
    ----------
    lifetime : Lifetime
        What lifetimes are drawn from.
    copy_probability : float
        Chance that a VM lives as long as its batch, but for a lognormal factor of median 1 and `copy_sigma`.
    copy_sigma : float
        Standard deviation of the factor's logarithm.
    plain_sizes, snp_sizes : SizeMix
        Of ordinary and of confidential guests.
    size_copy_probability : float
        Chance that a VM has its batch's size.
    snp_share : float
        Share of batches that are confidential.
    gmems : int
        Number of guest_memfds of each confidential guest.
    """

    lifetime: Lifetime
    copy_probability: float
    copy_sigma: float
    plain_sizes: SizeMix
    snp_sizes: SizeMix
    size_copy_probability: float
    snp_share: float
    gmems: int


def _sizes(tenants: Tenants, snp: BoolArray, u: FloatArray) -> tuple[Int32Array, Int64Array]:
    plain, confidential = tenants.plain_sizes.pick(u), tenants.snp_sizes.pick(u)
    vcpus = np.where(snp, tenants.snp_sizes.vcpus[confidential], tenants.plain_sizes.vcpus[plain])
    memory = np.where(snp, tenants.snp_sizes.memory_bytes[confidential], tenants.plain_sizes.memory_bytes[plain])
    return vcpus, memory


def vms_of_batches(tenants: Tenants, seed: int, at_ns: Int64Array, n_vms: Int64Array) -> VmTable:
    """
    Draw the VMs of arriving batches.

    A lifetime is drawn once for each batch; every VM copies it or draws its own. Splitting the variance of all lives
    evenly between batch and VM would keep neither the correlation nor the common ends that are seen.

    Parameters
    ----------
    tenants : Tenants
        Whose batches these are.
    seed : int
        Of the draws.
    at_ns : (n_batches,) array of int64
        When each batch arrives, ascending.
    n_vms : (n_batches,) array of int64
        Its VMs.

    Returns
    -------
    VmTable
        Batches numbered from 0 in order of arrival; none in stock.
    """
    n_batches = len(at_ns)
    batch = np.repeat(np.arange(n_batches), n_vms)
    n = len(batch)

    def stream(purpose: Purpose) -> Stream:
        return Stream(seed, purpose)

    common_s = tenants.lifetime.draw_s(n_batches, stream(Purpose.LIFETIME_COMPONENT), stream(Purpose.LIFETIME))
    copied_s = common_s[batch] * stream(Purpose.LIFETIME_FACTOR).lognormal(n, 1.0, tenants.copy_sigma)
    own_s = tenants.lifetime.draw_s(n, stream(Purpose.LIFETIME_OWN_COMPONENT), stream(Purpose.LIFETIME_OWN))
    copies = stream(Purpose.LIFETIME_COPY).below(n, tenants.copy_probability)
    lifetime_ns = seconds_to_ns(np.where(copies, copied_s, own_s))

    snp = snp_by_batch(seed, batch, tenants.snp_share)
    u_batch = stream(Purpose.SIZE).uniform(n_batches)[batch]
    same = stream(Purpose.SIZE_COPY).below(n, tenants.size_copy_probability)
    vcpus, memory = _sizes(tenants, snp, np.where(same, u_batch, stream(Purpose.SIZE_OWN).uniform(n)))
    arrival = at_ns[batch]
    return vm_table(
        arrival_ns=arrival,
        departure_ns=end_after(arrival, lifetime_ns),
        memory_bytes=memory,
        vcpus=vcpus,
        snp=snp,
        batch=batch,
        gmems=tenants.gmems,
    )


def running_vms(
    tenants: Tenants, seed: int, n: int, ends: Literal["length_biased", "never"] = "length_biased"
) -> VmTable:
    """
    Draw the VMs that run at t = 0, each a tenant of its own.

    Parameters
    ----------
    tenants : Tenants
        Whose VMs these are.
    seed : int
        Of the draws.
    n : int
        How many.
    ends : {"length_biased", "never"}
        What is left of their lives: as at a random instant of a stationary host, or they outlast any horizon.

    Returns
    -------
    VmTable
        All in stock.
    """
    batch = np.arange(n)
    if ends == "never":
        departure = np.full(n, NEVER_NS)
    else:
        streams = (Purpose.STOCK_COMPONENT, Purpose.STOCK_LIFETIME, Purpose.STOCK_RESIDUAL)
        left_s = tenants.lifetime.draw_residual_s(n, *(Stream(seed, purpose) for purpose in streams))
        departure = end_after(np.zeros(n, dtype=np.int64), seconds_to_ns(left_s))
    snp = snp_by_batch(seed, batch, tenants.snp_share, Purpose.STOCK_SNP)
    vcpus, memory = _sizes(tenants, snp, Stream(seed, Purpose.STOCK_SIZE).uniform(n))
    return vm_table(
        arrival_ns=np.zeros(n, dtype=np.int64),
        departure_ns=departure,
        memory_bytes=memory,
        vcpus=vcpus,
        snp=snp,
        batch=batch,
        stock=True,
        gmems=tenants.gmems,
    )
