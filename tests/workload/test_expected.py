"""How many VMs a workload is thought to bring, against how many it brings, and how many are too many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gmemgpu.errors import SpecError
from gmemgpu.workload.draw import draw_vm_table
from gmemgpu.workload.preset import workload_from_mapping


@pytest.mark.parametrize(
    "arrivals",
    [
        {"process": "batches", "batches_per_day": 500},
        {"process": "weibull_gaps", "gap_scale_ns": "60 s", "p_coloc": 1.0},
        {"process": "poisson", "vms_per_s": 0.01},
        {"process": "fixed", "interval_ns": "10 min", "batch_vms": 3},
        {"process": "none"},
        {"process": "night_batch"},
        {"process": "gang_eviction", "gangs_per_week": 70},
        {"process": "maintenance"},
        {"process": "batches"},
        {"process": "weibull_gaps", "p_coloc": 1.0},
        {"process": "poisson"},
        {"process": "autoscale"},
        {"process": "autoscale", "backfill_share": 0.5},
        {"process": "last_big_vm"},
    ],
    ids=lambda arrivals: str(arrivals["process"]),
)
def test_about_as_many_come_as_expected(arrivals: dict[str, Any]) -> None:
    # Lives of a year: no slot is filled again but after a gang. What is balanced has lives of an hour.
    rated = {"vms_per_s", "batches_per_day", "gap_scale_ns"} & set(arrivals)
    balanced = arrivals["process"] in ("batches", "weibull_gaps", "poisson") and not rated
    value_ns = "1 h" if balanced else "365 d"
    lifetime = {"name": "same", "define": {"same": {"family": "constant", "value_ns": value_ns}}}
    mapping = {"horizon_ns": "14 d", "stock": {"vms": 50}, "arrivals": arrivals, "lifetime": lifetime}
    workload = workload_from_mapping(mapping, "", Path())
    vms = draw_vm_table(workload, 1)
    extra = len(vms) - workload.n_stock
    assert extra == pytest.approx(workload.expected_arrivals, rel=0.15)


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"arrivals": {"process": "poisson", "vms_per_s": 1e12}}, "arrivals.vms_per_s: 1000000000000.0 cannot be used"),
        ({"arrivals": {"process": "weibull_gaps", "gap_scale_ns": 1}}, "arrivals.gap_scale_ns: 1 cannot be used"),
        ({"arrivals": {"process": "weibull_gaps", "gap_shape": 1e-300}}, "arrivals.gap_shape: 1e-300 cannot be used"),
        ({"arrivals": {"batches_per_day": 1e9}}, "arrivals.batches_per_day: 1000000000.0 cannot be used"),
        ({"arrivals": {"amplitude_24h": 1e12}}, "arrivals.amplitude_24h: 1000000000000.0 cannot be used"),
        ({"arrivals": {"process": "gang_eviction", "refill_median_ns": 1}}, "arrivals.refill_median_ns: 1 cannot"),
        ({"arrivals": {"process": "gang_eviction", "gangs_per_week": 1e9}}, "arrivals.gangs_per_week: 1000000000.0"),
        ({"memory": {"conversions_per_s": 1e9}}, "memory.conversions_per_s: 1000000000.0 cannot be used"),
        (
            {"arrivals": {"process": "poisson", "vms_per_s": 1000}},
            "arrivals brings about 6.9e+08 VMs before horizon_ns 691200000000000, more than 1e+08; let fewer come or",
        ),
        ({"arrivals": {"process": "fixed", "interval_ns": 1}}, "arrivals brings about 6.9e+14 VMs"),
        (
            {"arrivals": {"batches_per_day": 1e7, "p_coloc": 1, "zipf_max": 100_000, "zipf_exponent": 0.1}},
            "arrivals brings about 3.8e+12 VMs",
        ),
    ],
)
def test_too_many_are_refused_before_they_are_drawn(mapping: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        workload_from_mapping(mapping, "", Path())
    assert message in str(caught.value)


def test_too_many_do_not_hide_a_warm_up_without_end() -> None:
    mapping = {"arrivals": {"process": "poisson", "vms_per_s": 1000}, "warmup_ns": "9 d"}
    with pytest.raises(SpecError, match=r"leaves nothing before horizon_ns .*; arrivals brings about"):
        workload_from_mapping(mapping, "", Path())


def test_a_file_in_place_of_arrivals_is_not_judged_by_them() -> None:
    mapping = {"arrivals": {"process": "poisson", "vms_per_s": 1000}, "vm_table": {"path": "vms.csv"}}
    assert workload_from_mapping(mapping, "", Path()).vm_table is not None
