from __future__ import annotations

import numpy as np
import pytest

from gmemgpu.vmtable.assemble import concatenate, vm_table
from gmemgpu.vmtable.batch import snp_by_batch
from gmemgpu.vmtable.lifetime import Lifetime, constant, lognormal_mixture
from gmemgpu.vmtable.random_stream import NEVER_NS, Purpose
from gmemgpu.vmtable.size import SizeMix
from gmemgpu.vmtable.tenant import Tenants, running_vms, vms_of_batches

GIB = 1 << 30


def tenants(**changes: object) -> Tenants:
    values = {
        "lifetime": Lifetime(lognormal_mixture([1.0], [100.0], [1.0])),
        "copy_probability": 0.92,
        "copy_sigma": 0.1,
        "plain_sizes": SizeMix([1, 2], [GIB, 2 * GIB], [0.5, 0.5]),
        "snp_sizes": SizeMix([4, 8], [8 * GIB, 16 * GIB], [3.0, 1.0]),
        "size_copy_probability": 0.945,
        "snp_share": 0.2,
        "gmems": 1,
    }
    return Tenants(**{**values, **changes})


AT = np.arange(5000) * 10**9
FIVES = np.full(5000, 5)


def test_a_batch_is_confidential_as_a_whole_and_sizes_follow() -> None:
    vms = vms_of_batches(tenants(gmems=3), 1, AT, FIVES)
    per_batch = vms.snp.reshape(-1, 5)
    assert np.all(per_batch == per_batch[:, :1])
    assert per_batch[:, 0].mean() == pytest.approx(0.2, abs=0.02)
    assert set(vms.memory_bytes[vms.snp]) == {8 * GIB, 16 * GIB}
    assert set(vms.memory_bytes[~vms.snp]) == {GIB, 2 * GIB}
    assert (vms.memory_bytes[vms.snp] == 8 * GIB).mean() == pytest.approx(0.75, abs=0.03)
    assert np.all((vms.memory_bytes == GIB) == (vms.vcpus == 1))
    assert set(vms.gmems) == {3}


def test_lives_are_copied_with_the_probability_and_spread_asked_for() -> None:
    same = vms_of_batches(tenants(copy_probability=1.0, copy_sigma=0.0), 1, AT, FIVES)
    life = (same.departure_ns - same.arrival_ns).reshape(-1, 5)
    assert np.all(life == life[:, :1])
    own = vms_of_batches(tenants(copy_probability=0.0), 1, AT, FIVES)
    log = np.log(own.departure_ns - own.arrival_ns).reshape(-1, 5)
    assert np.corrcoef(log[:, 0], log[:, 1])[0, 1] == pytest.approx(0, abs=0.05)
    near = vms_of_batches(tenants(copy_probability=1.0, copy_sigma=0.1), 1, AT, FIVES)
    log = np.log(near.departure_ns - near.arrival_ns).reshape(-1, 5)
    assert log.std(axis=1, ddof=1).mean() == pytest.approx(0.094, abs=0.005)  # E[s] of five normals is 0.94 sigma


def test_sizes_are_copied_with_the_probability_asked_for() -> None:
    vms = vms_of_batches(tenants(size_copy_probability=1.0, snp_share=0.0), 1, AT, FIVES)
    size = vms.vcpus.reshape(-1, 5)
    assert np.all(size == size[:, :1])
    vms = vms_of_batches(tenants(size_copy_probability=0.0, snp_share=0.0), 1, AT, FIVES)
    size = vms.vcpus.reshape(-1, 5)
    assert (size[:, 0] == size[:, 1]).mean() == pytest.approx(0.5, abs=0.03)


def test_more_batches_only_add_to_the_end() -> None:
    short = vms_of_batches(tenants(), 9, AT[:100], FIVES[:100])
    long = vms_of_batches(tenants(), 9, AT, FIVES)
    for column in ("arrival_ns", "departure_ns", "memory_bytes", "snp", "batch"):
        assert getattr(long, column)[: len(short)].tolist() == getattr(short, column).tolist()


def test_running_vms() -> None:
    vms = running_vms(tenants(lifetime=Lifetime(constant(100.0)), snp_share=0.5), 1, 2000)
    assert np.all(vms.stock)
    assert set(vms.arrival_ns) == {0}
    assert vms.departure_ns.max() <= 100 * 10**9
    assert vms.departure_ns.mean() == pytest.approx(50e9, rel=0.05)
    assert vms.snp.mean() == pytest.approx(0.5, abs=0.05)
    assert len(set(vms.batch)) == 2000
    forever = running_vms(tenants(), 1, 3, "never")
    assert set(forever.departure_ns) == {NEVER_NS}


def test_no_vm_at_all() -> None:
    nothing = concatenate([running_vms(tenants(), 1, 0), vms_of_batches(tenants(), 1, AT[:0], FIVES[:0])])
    assert len(nothing) == 0


def test_joining_sorts_by_arrival_and_keeps_batches_apart() -> None:
    def table(arrivals: list[int], stock: bool) -> object:
        return vm_table(
            arrival_ns=arrivals,
            departure_ns=100,
            memory_bytes=1,
            vcpus=1,
            snp=False,
            batch=np.arange(len(arrivals)),
            stock=stock,
        )

    joined = concatenate([table([0, 5], True), table([7, 3, 5], False)])
    assert joined.arrival_ns.tolist() == [0, 3, 5, 5, 7]
    assert joined.stock.tolist() == [True, False, True, False, False]
    assert joined.batch.tolist() == [0, 3, 1, 4, 2]


def test_confidentiality_depends_on_the_order_of_batches_not_on_their_ids() -> None:
    some = snp_by_batch(3, np.array([9, 9, 4, 7, 4, 100]), 0.5, Purpose.SNP)
    other = snp_by_batch(3, np.array([0, 0, 1, 2, 1, 3]), 0.5, Purpose.SNP)
    assert some.tolist() == other.tolist()
    assert snp_by_batch(3, np.arange(10), 0.0).sum() == 0
    assert snp_by_batch(3, np.arange(10), 1.0).sum() == 10
