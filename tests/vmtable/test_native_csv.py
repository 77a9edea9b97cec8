from __future__ import annotations

from pathlib import Path

import pytest

from gmemgpu.errors import TraceError
from gmemgpu.vmtable.native_csv import read_native_csv
from gmemgpu.vmtable.random_stream import NEVER_NS
from gmemgpu.vmtable.replay import replay

SAMPLE = Path(__file__).parents[2] / "jobs" / "data" / "azure_v1_vm_arrivals_sample_24h.csv.gz"
HEADER = "arrival_s,batch_id,vcpus,mem_gb,life_lo_s,life_hi_s,censored\n"
S = 10**9


def test_rows_become_records_from_the_first_arrival_on(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(HEADER + "1800300,5,2,3.5,300,600,0\n1800000,4,1,0.75,3900,7500,1\n")
    records = read_native_csv(path)
    assert records.arrival_ns.tolist() == [0, 300 * S]
    assert records.memory_bytes.tolist() == [768 << 20, 3584 << 20]
    assert records.endless.tolist() == [True, False]
    vms = replay(records, 1, snp_share=0.0, gmems=1)
    assert vms.departure_ns[0] == NEVER_NS
    assert 600 * S <= vms.departure_ns[1] < 900 * S


def test_the_shipped_sample_is_whole() -> None:
    records = read_native_csv(SAMPLE)
    assert len(records) == 70_239
    assert len(set(records.batch.tolist())) == 15_895
    assert int(records.endless.sum()) == 1_302
    assert records.arrival_ns.max() == 86_100 * S
    assert set(records.memory_bytes.tolist()) <= {
        int(g * 2**30) for g in (0.75, 1.75, 2, 3.5, 4, 7, 8, 14, 16, 28, 56, 112)
    }


def test_lives_are_uniform_in_their_bins_and_the_seed_decides() -> None:
    records = read_native_csv(SAMPLE)
    vms = replay(records, 3, snp_share=0.2, gmems=2)
    ends = ~records.endless
    life = (vms.departure_ns - vms.arrival_ns)[ends]
    place = (life - records.least_ns[ends]) / (records.most_ns - records.least_ns)[ends]
    assert place.min() >= 0
    assert place.max() < 1
    assert place.mean() == pytest.approx(0.5, abs=0.005)
    assert vms.snp.mean() == pytest.approx(0.2, abs=0.02)
    assert set(vms.gmems) == {2}
    again = replay(records, 3, snp_share=0.2, gmems=2)
    assert again.departure_ns.tolist() == vms.departure_ns.tolist()
    assert replay(records, 4, snp_share=0.2, gmems=2).departure_ns.tolist() != vms.departure_ns.tolist()


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(
        HEADER + "0,1,0,1.75,300,600,0\n0,1,1,-2,300,600,2\n0,1,1,1,600,600,0\n0,1,1,1,600,600,1\nx,1,1,1,1,2,0\n"
    )
    with pytest.raises(TraceError) as caught:
        read_native_csv(path)
    assert [problem.where.removeprefix(f"{path}: ") for problem in caught.value.problems] == [
        "row 5, column arrival_s",
        "row 1, column vcpus",
        "row 2, column mem_gb",
        "row 2, column censored",
        "row 3, column life_hi_s",
    ]
