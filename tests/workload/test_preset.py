from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gmemgpu.errors import SpecError
from gmemgpu.generator import generate
from gmemgpu.model.event import Kind
from gmemgpu.toml_file import packaged_toml
from gmemgpu.units import GIB, NS_PER_S, PAGES_PER_REGION
from gmemgpu.workload.draw import draw_vm_table
from gmemgpu.workload.preset import lay_over, preset, preset_names, preset_summary, small_variant, workload_from_mapping
from gmemgpu.workload.spec import Workload

DAY = 86_400

# Host GiB, stock, share of SNP tenants, length and warm-up in days, placement.
CHARACTER = {
    "iaas-mixed": (1536, 110, 0.2, 8, 1, "lifo"),
    "idle-snp": (1536, 110, 0.0, 1, 1 / 24, "lifo"),
    "iaas-2019-large": (3072, 220, 0.2, 8, 1, "lifo"),
    "confidential-only": (1536, 50, 1.0, 8, 1, "lifo"),
    "coco-pods": (512, 110, 0.8, 1, 0.125, "lifo"),
    "mixed-pods": (512, 102, 0.5, 1, 1 / 24, "first_fit"),
    "faas-stress": (512, 0, 1.0, 1 / 24, 1 / 288, "lifo"),
    "batch-night": (1024, 30, 0.1, 3, 1 / 24, "first_fit"),
    "spot-evict": (1024, 16, 1.0, 14, 1, "lifo"),
    "maintenance": (1536, 60, 0.5, 1 / 6, 1 / 1440, "lifo"),
    "rolling-autoscale": (1024, 20, 0.5, 3, 1 / 1440, "lifo"),
    "last-big-VM": (1536, 100, 0.0, 1 / 6, 1 / 1440, "first_fit"),
    "fragment-age": (1024, 60, 0.1, 90, 1, "scatter"),
    "leak-fault": (1024, 60, 0.2, 30, 1, "lifo"),
    "hugetlb-1g": (1536, 45, 0.5, 4, 1 / 24, "pool_1g"),
}
# How many VMs run, on average after the warm-up; a balance of rate × mean lifetime.
RUNNING = {
    "iaas-mixed": 110,
    "idle-snp": 110,
    "iaas-2019-large": 220,
    "confidential-only": 50,
    "coco-pods": 110,
    "mixed-pods": 102,
    "faas-stress": 127,
    "leak-fault": 60,
    "fragment-age": 60,
    "hugetlb-1g": 45,
    "spot-evict": 16,
}


def test_the_presets_are_these() -> None:
    assert preset_names() == tuple(CHARACTER)


@pytest.mark.parametrize("name", CHARACTER)
def test_character(name: str) -> None:
    gib, stock, share, days, warm_days, placement = CHARACTER[name]
    workload = preset(name)
    assert workload.preset == name
    assert workload.host.host.memory_bytes == gib * GIB
    assert workload.n_stock == stock
    assert workload.snp.share == share
    assert workload.horizon_ns == round(days * DAY * NS_PER_S)
    assert workload.warmup_ns == round(warm_days * DAY * NS_PER_S)
    assert workload.memory.placement == placement
    assert preset_summary(name)


@pytest.mark.parametrize("name", CHARACTER)
def test_no_preset_counts_its_boot_pass(name: str) -> None:
    # A pass over 2 TiB takes 0.3 s; a stock that has to settle takes longer.
    assert preset(name).warmup_ns >= NS_PER_S
    assert small_variant(preset(name)).warmup_ns >= NS_PER_S


def test_pods_by_the_ten_thousand_are_labelled() -> None:
    for name in CHARACTER:
        workload = preset(name)
        a_day = workload.expected_arrivals / (workload.horizon_ns / (DAY * NS_PER_S))
        assert preset_summary(name).startswith("stress: ") is (a_day > 2000)


@pytest.mark.parametrize("name", RUNNING)
def test_running_vms(name: str) -> None:
    assert_running(preset(name), RUNNING[name])


@pytest.mark.parametrize("name", ["iaas-mixed", "coco-pods", "faas-stress"])
def test_running_scales_stock_and_arrivals_with_it(name: str) -> None:
    workload = workload_from_mapping({"preset": name, "running": 40}, "", Path())
    assert workload.n_stock == (0 if name == "faas-stress" else 40)
    assert_running(workload, 40)


def test_a_rate_of_its_own_comes_before_running() -> None:
    rate = {"preset": "iaas-mixed", "running": 40, "arrivals": {"batches_per_day": 500.0}}
    workload = workload_from_mapping(rate, "", Path())
    assert workload.n_stock == 40
    assert workload.expected_arrivals == pytest.approx(8 * 500 * 1.28, rel=0.02)
    stock = workload_from_mapping({"preset": "iaas-mixed", "running": 40, "stock": {"vms": 7}}, "", Path())
    assert stock.n_stock == 7
    assert stock.expected_arrivals == pytest.approx(8 * 40 * 24 / 55.2, rel=0.01)


def assert_running(workload: Workload, expected: int) -> None:
    name = workload.preset
    running = []
    for seed in range(2 if name == "mixed-pods" else 60):
        vms = draw_vm_table(workload, seed)
        from_ns, to_ns = workload.warmup_ns, workload.horizon_ns
        spent = np.clip(vms.departure_ns, from_ns, to_ns) - np.clip(vms.arrival_ns, from_ns, to_ns)
        running.append(spent.sum() / (to_ns - from_ns))
    assert np.mean(running) == pytest.approx(expected, rel=0.06)


@pytest.mark.parametrize("name", CHARACTER)
def test_small_variants_are_small_and_keep_their_kind(name: str) -> None:
    workload = small_variant(preset(name))
    assert workload.preset == name
    assert workload.arrivals.process == preset(name).arrivals.process
    assert workload.memory.placement == preset(name).memory.placement
    assert 8 * GIB <= workload.host.host.memory_bytes <= 32 * GIB
    made = generate(workload, 7)
    assert 100 < len(made.trace) < 2500
    destroyed = int((made.trace.kind == Kind.VM_DESTROY).sum())
    assert destroyed == 0 if name == "idle-snp" else destroyed > 0
    assert made.rejected <= made.admitted // 10


def test_1g_folios_have_events_of_their_own_and_some_are_split() -> None:
    trace = generate(preset("hugetlb-1g"), 1).trace
    whole = trace.folio_pages == PAGES_PER_REGION
    freed, released = (whole & (trace.kind == kind) for kind in (Kind.FREED, Kind.RELEASE))
    assert set(trace.npages[freed | released].tolist()) == {PAGES_PER_REGION}
    merged = int(freed.sum()) - int(released.sum())
    assert 0 < merged < int(released.sum()) // 10


def test_a_changed_key_stays_changed_when_small() -> None:
    workload = workload_from_mapping({"preset": "iaas-mixed", "memory": {"vmsa": "packed"}}, "", Path())
    small = small_variant(workload)
    assert small.memory.vmsa == "packed"
    assert small.n_stock < workload.n_stock


def test_only_presets_have_a_small_variant() -> None:
    with pytest.raises(SpecError, match="only presets"):
        small_variant(Workload())


def test_every_packaged_figure_says_where_it_comes_from() -> None:
    for stem in ("lifetimes", "sizes"):
        for name, table in packaged_toml(stem).items():
            assert table.get("source"), f"{stem}.toml: {name}"


def test_the_default_preset_is_the_default() -> None:
    plain = workload_from_mapping({}, "", Path())
    named = preset("iaas-mixed")
    assert plain.model_dump(exclude={"preset", "warmup_ns"}) == named.model_dump(exclude={"preset", "warmup_ns"})


@pytest.mark.parametrize("name", CHARACTER)
def test_a_dumped_workload_is_read_back(name: str) -> None:
    workload = preset(name)
    assert Workload.model_validate(workload.model_dump()) == workload
    assert Workload.model_validate_json(workload.model_dump_json()) == workload


def test_another_process_replaces_the_presets() -> None:
    arrivals = workload_from_mapping(
        {"preset": "iaas-mixed", "arrivals": {"process": "poisson", "vms_per_s": 1.0}}, "", Path()
    ).arrivals
    assert arrivals.model_dump() == {"process": "poisson", "vms_per_s": 1.0}


@pytest.mark.parametrize(
    ("below", "above", "merged"),
    [
        ({"host": "pod"}, {"host": "big"}, {"host": {"name": "big"}}),
        ({"host": {"name": "pod", "nodes": 4}}, {"host": "big"}, {"host": {"name": "big"}}),
        ({"host": "pod"}, {"host": {"cores": 8}}, {"host": {"name": "pod", "cores": 8}}),
        ({"a": {"process": "x", "k": 1}}, {"a": {"k": 2}}, {"a": {"process": "x", "k": 2}}),
        ({"a": {"process": "x", "k": 1}}, {"a": {"process": "x", "j": 2}}, {"a": {"process": "x", "k": 1, "j": 2}}),
        ({"a": {"process": "x", "k": 1}}, {"a": {"process": "y"}}, {"a": {"process": "y"}}),
    ],
)
def test_laying_over(below: dict, above: dict, merged: dict) -> None:
    assert lay_over(below, above) == merged
