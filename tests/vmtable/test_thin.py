from __future__ import annotations

import numpy as np
import pytest

from gmemgpu.vmtable.record import VmRecords, vm_records
from gmemgpu.vmtable.thin import keep_for_rate, thin_to_host

DAY_NS = 86_400 * 10**9


def region(n_batches: int = 20_000, batch_vms: int = 5, n_running: int = 0) -> VmRecords:
    # Batches come one a minute; each VM's memory says which of its batch it is.
    batch = np.repeat(np.arange(n_batches), batch_vms)
    place = np.tile(np.arange(batch_vms), n_batches)
    n = len(batch)
    return vm_records(
        arrival_ns=np.concatenate([np.zeros(n_running, np.int64), (batch + 1) * 60 * 10**9]),
        least_ns=1,
        most_ns=1,
        memory_bytes=np.concatenate([np.zeros(n_running, np.int64), place]),
        vcpus=1,
        batch=np.concatenate([-1 - np.arange(n_running), batch]),
        running=np.arange(n + n_running) < n_running,
    )


def thin(records: VmRecords, **changes: object) -> VmRecords:
    return thin_to_host(records, 1, **{"keep": 0.01, "p_coloc": 0.1, "batch_max": 32, **changes})


@pytest.mark.parametrize("p_coloc", [0.0, 0.1, 1.0])
def test_the_share_of_vms_kept_does_not_depend_on_how_batches_are_spread(p_coloc: float) -> None:
    records = region(200_000)
    assert len(thin(records, p_coloc=p_coloc)) == pytest.approx(0.01 * len(records), rel=0.06)


def test_whole_batches_or_one_vm_of_them() -> None:
    sizes = np.bincount(thin(region(), keep=0.1, p_coloc=0.3).batch)
    assert set(sizes.tolist()) == {0, 1, 5}
    assert set(np.bincount(thin(region(), keep=0.1, p_coloc=1.0).batch).tolist()) == {0, 5}
    # The one that comes is any of them.
    one = thin(region(), keep=0.1, p_coloc=0.0)
    assert np.bincount(one.memory_bytes) / len(one) == pytest.approx([0.2] * 5, abs=0.02)


def test_large_batches_are_cut_to_their_first_vms() -> None:
    kept = thin(region(100, batch_vms=50), keep=1.0, p_coloc=1.0, batch_max=32)
    assert np.bincount(kept.batch).tolist() == [32] * 100
    assert kept.memory_bytes.max() == 31


def test_running_vms_are_kept_one_by_one() -> None:
    kept = thin(region(10, n_running=50_000), keep=0.1)
    assert kept.running.sum() == pytest.approx(5000, rel=0.05)


def test_a_longer_table_only_adds_to_the_end() -> None:
    short, long = thin(region(500), keep=0.1), thin(region(5000), keep=0.1)
    assert long.batch[: len(short)].tolist() == short.batch.tolist()


def test_keep_for_a_wanted_rate() -> None:
    records = region(1440, batch_vms=10)  # a day
    keep = keep_for_rate(records, 144.0)
    assert keep == pytest.approx(0.01, rel=0.01)
    assert keep_for_rate(records, 10**9) == 1
    assert keep_for_rate(records.select(np.zeros(len(records), dtype=bool)), 5.0) == 1
