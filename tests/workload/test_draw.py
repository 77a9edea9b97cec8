from __future__ import annotations

import hashlib
import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from gmemgpu.errors import SpecError, TraceError
from gmemgpu.generator import generate
from gmemgpu.vmtable.table import VmTable
from gmemgpu.workload.draw import draw_vm_table
from gmemgpu.workload.preset import preset, preset_names, small_variant, workload_from_mapping

DATA = Path(__file__).parents[2] / "jobs" / "data"
DAY_NS = 86_400 * 10**9


def fingerprint(vms: VmTable) -> str:
    digest = hashlib.sha256()
    for field in fields(vms):
        column = getattr(vms, field.name)
        digest.update(column.astype(column.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()[:16]


# If one of these changes, so do the traces of every published seed: say so in CHANGELOG.md.
FINGERPRINTS = {
    "iaas-mixed": "4046407cf55ed705",
    "idle-snp": "2b3bd8d13c68c7cf",
    "iaas-2019-large": "922758f947674556",
    "confidential-only": "4d526d8dde0f2e46",
    "coco-pods": "10c2eac9f79492ee",
    "mixed-pods": "c3100d04de764ef8",
    "faas-stress": "11bf8a4824df9157",
    "batch-night": "a735a9ce23e2b0dc",
    "spot-evict": "7858fed07ecd59f5",
    "maintenance": "66f85a244ad5694d",
    "rolling-autoscale": "262ead9aba7ead54",
    "last-big-VM": "81ee2994f2bc4149",
    "fragment-age": "749ad7d0f5781d80",
    "leak-fault": "6fd841e583c3e532",
    "hugetlb-1g": "2d4344adb9373bc2",
}


@pytest.mark.parametrize("name", FINGERPRINTS)
def test_a_seed_gives_the_same_integers_for_ever(name: str) -> None:
    assert fingerprint(draw_vm_table(small_variant(preset(name)), 7)) == FINGERPRINTS[name]


def test_every_preset_has_a_fingerprint() -> None:
    assert tuple(FINGERPRINTS) == preset_names()


def test_seeds_differ() -> None:
    workload = preset("iaas-mixed")
    assert len({fingerprint(draw_vm_table(workload, seed)) for seed in range(5)}) == 5


@pytest.mark.parametrize("name", ["iaas-mixed", "coco-pods", "spot-evict", "rolling-autoscale", "batch-night"])
def test_a_longer_horizon_only_adds_vms(name: str) -> None:
    workload = preset(name)
    short = draw_vm_table(workload, 3)
    longer = draw_vm_table(workload.model_copy(update={"horizon_ns": 2 * workload.horizon_ns}), 3)
    before = longer.arrival_ns < workload.horizon_ns
    if name == "spot-evict":  # later gangs end VMs that came before
        columns = ["arrival_ns", "memory_bytes", "snp"]
    else:
        numbered_anew = ("batch-night", "rolling-autoscale")
        columns = [field.name for field in fields(VmTable) if name not in numbered_anew or field.name != "batch"]
    for column in columns:
        assert getattr(longer, column)[before].tolist() == getattr(short, column).tolist(), column


@pytest.mark.parametrize("seed", [-1, 1 << 64])
def test_seeds_out_of_range(seed: int) -> None:
    with pytest.raises(SpecError, match="seed"):
        draw_vm_table(preset("iaas-mixed"), seed)


def test_a_trace_is_the_same_again() -> None:
    workload = small_variant(preset("mixed-pods"))
    one, two = generate(workload, 1), generate(workload, 1)
    assert one.trace.t_ns.tolist() == two.trace.t_ns.tolist()
    assert one.trace.pfn.tolist() == two.trace.pfn.tolist()
    assert one.trace.horizon_ns == workload.horizon_ns
    assert one.trace.warmup_ns == workload.warmup_ns


def replayed(seed: int = 1, **mapping: object) -> VmTable:
    return draw_vm_table(workload_from_mapping(mapping, "", Path()), seed)


def test_a_region_thinned_to_a_host() -> None:
    arrivals = []
    for seed in range(20):
        vms = replayed(
            seed,
            horizon_ns="1 d",
            vm_table={
                "path": str(DATA / "azure_v1_vm_arrivals_sample_24h.csv.gz"),
                "thin": {"arrivals_per_day": 300, "p_coloc": 0.1},
            },
        )
        assert vms.stock.sum() == 110
        assert not set(vms.batch[vms.stock]) & set(vms.batch[~vms.stock])
        arrivals.append((~vms.stock).sum())
    # A little less than asked for: of whole batches at most 32 VMs come.
    assert np.mean(arrivals) == pytest.approx(290, rel=0.06)


def test_the_horizon_cuts_a_table() -> None:
    path = str(DATA / "azure_v1_vm_arrivals_sample_24h.csv.gz")
    vms = replayed(horizon_ns="1 h", stock={"vms": 0}, vm_table={"path": path})
    assert vms.arrival_ns.max() == 3300 * 10**9


def test_the_tables_own_stock_or_a_drawn_one() -> None:
    path = str(DATA / "azure_v1_vmtable_10rows.csv")
    of_table = replayed(horizon_ns="29 d", vm_table={"path": path})
    assert (of_table.stock.sum(), len(of_table)) == (7, 10)
    drawn = replayed(horizon_ns="29 d", stock={"vms": 5}, vm_table={"path": path, "stock": "drawn"})
    assert (drawn.stock.sum(), len(drawn)) == (5, 8)


@pytest.mark.parametrize("table_format", ["auto", "own"])
def test_formats_are_told_apart(tmp_path: Path, table_format: str) -> None:
    path = tmp_path / "vms.csv"
    path.write_text("arrival_s,lifetime_s,vcpus,mem_gib\n5,10,1,1\n")
    vms = replayed(stock={"vms": 0}, vm_table={"path": str(path), "format": table_format})
    assert vms.departure_ns.tolist() == [15 * 10**9]


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "vms.csv"
    for n in (1, 2):
        path.write_text("arrival_s,lifetime_s,vcpus,mem_gib\n" + "5,10,1,1\n" * n)
        assert len(replayed(stock={"vms": 0}, vm_table={"path": str(path)})) == n


def test_a_missing_file() -> None:
    with pytest.raises(TraceError, match="No such file"):
        replayed(vm_table={"path": "absent.csv"})


def test_no_vm_is_confidential_without_a_share() -> None:
    path = str(DATA / "azure_v1_vm_arrivals_sample_24h.csv.gz")
    vms = replayed(snp={"share": 0.0}, vm_table={"path": path, "thin": {"keep": 0.01}})
    assert not np.any(vms.snp)


OWN = "arrival_s,lifetime_s,vcpus,mem_gib,tenant,host\n"


def test_nothing_is_added_to_a_table_of_ones_own_unless_asked(tmp_path: Path) -> None:
    path = tmp_path / "vms.csv"
    path.write_text("arrival_s,lifetime_s,vcpus,mem_gib\n5,10,1,1\n6,10,1,1\n")
    assert len(replayed(vm_table={"path": str(path)})) == 2
    drawn = replayed(vm_table={"path": str(path), "stock": "drawn"}, stock={"vms": 3})
    assert (drawn.stock.sum(), len(drawn)) == (3, 5)


def test_a_tenant_is_confidential_on_all_hosts_or_on_none(tmp_path: Path) -> None:
    path = tmp_path / "vms.csv"
    rows = [f"{i},10,1,1,t{i % 40},h{i * 7 % 3}\n" for i in range(240)]
    path.write_text(OWN + "".join(rows))
    table = {"path": str(path), "host": "*"}
    whole = replayed(snp={"share": 0.5}, vm_table=table)
    by_host = [replayed(snp={"share": 0.5}, vm_table={**table, "host": f"h{i}"}) for i in range(3)]
    assert [len(vms) for vms in by_host] == [80, 80, 80]
    said = dict(zip(whole.arrival_ns.tolist(), whole.snp.tolist(), strict=True))
    assert {True, False} == set(said.values())
    for vms in by_host:
        assert vms.snp.tolist() == [said[t] for t in vms.arrival_ns.tolist()]


def test_a_table_of_several_hosts_is_no_trace_of_one(tmp_path: Path) -> None:
    path = tmp_path / "vms.csv"
    path.write_text(OWN + "0,10,1,1,a,x\n0,10,1,1,a,y\n0,10,1,1,a,\n")
    with pytest.raises(TraceError, match="holds the VMs of 2 hosts"):
        replayed(vm_table={"path": str(path)})
    # Of all VMs of a region some are picked, whichever hosts they had.
    assert len(replayed(vm_table={"path": str(path), "thin": {"keep": 1.0, "p_coloc": 1.0}})) == 3


@pytest.mark.parametrize("start", ["noon", "1969-12-31T00:00:00Z", "0001-01-01T00:00:00+05:00"])
def test_a_start_that_is_no_time(start: str) -> None:
    with pytest.raises(SpecError, match=f'vm_table.start: "{re.escape(start)}" is no time from 1970 on'):
        replayed(vm_table={"path": "x", "start": start})
