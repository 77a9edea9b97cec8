"""A day of pods: 512 GiB host, 127,000 SNP pods of 2 GiB that live about a minute; the heaviest trace we promise."""

from __future__ import annotations

import numpy as np

from gmemgpu.model.host import Host
from gmemgpu.units import GIB, NS_PER_S
from gmemgpu.vmtable.table import VmTable

__all__ = ["DAY_NS", "HOST", "day_of_pods"]

DAY_NS = 86_400 * NS_PER_S
HOST = Host(memory_bytes=512 * GIB, nodes=1, cores=64, threads_per_core=2)


def day_of_pods(n_pods: int = 127_000, seed: int = 7) -> VmTable:
    """Draw Poisson arrivals over a day and lognormal lives, median 60 s, sigma 0.5."""
    random = np.random.default_rng(seed)
    arrival_ns = np.sort(random.integers(0, DAY_NS, n_pods))
    life_ns = np.rint(60 * NS_PER_S * np.exp(0.5 * random.standard_normal(n_pods))).astype(np.int64)
    return VmTable(
        arrival_ns=arrival_ns,
        departure_ns=arrival_ns + life_ns,
        memory_bytes=np.full(n_pods, 2 * GIB),
        vcpus=np.ones(n_pods, np.int32),
        snp=np.ones(n_pods, bool),
        stock=np.zeros(n_pods, bool),
        node=np.full(n_pods, -1, np.int32),
        gmems=np.ones(n_pods, np.int32),
        folio_pages=np.zeros(n_pods, np.int32),
        batch=np.arange(n_pods),
    )
