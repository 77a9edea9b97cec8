from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gmemgpu.errors import SpecError
from gmemgpu.generator import generate
from gmemgpu.sweeping.spec.keys import holds_list
from gmemgpu.trace.check import check_trace
from gmemgpu.units import GIB, NS_PER_S, TIB
from gmemgpu.workload.draw import tenants_of
from gmemgpu.workload.preset import workload_from_mapping


def read(mapping: dict[str, Any], where: str = "workload", base_dir: Path = Path()):
    return workload_from_mapping(mapping, where, base_dir)


def problems(mapping: dict[str, Any], where: str = "workload") -> list[str]:
    with pytest.raises(SpecError) as caught:
        read(mapping, where)
    return [str(problem) for problem in caught.value.problems]


def test_text_and_integers_are_one() -> None:
    text = read(
        {"horizon_ns": "2 d", "host": {"name": "pod", "memory_bytes": "1 TiB"}, "memory": {"rcu_min_ns": "5 ms"}}
    )
    plain = read({"horizon_ns": 172_800 * NS_PER_S, "host": {"name": "pod", "memory_bytes": TIB}})
    assert text.horizon_ns == plain.horizon_ns
    assert text.host == plain.host
    assert text.memory.rcu_min_ns == 5_000_000


def test_every_mistake_at_once_each_with_its_key() -> None:
    found = problems(
        {
            "preset": "iaas-mixd",
            "hots": "pod",
            "horizon_ns": "10 parsecs",
            "stock": {"vms": -1},
            "snp": {"share": 1.5},
            "arrivals": {"p_colloc": 0.5, "zipf_max": 0},
            "lifetime": {"name": "azur2017"},
            "sizes": {"plain": "azure"},
            "memory": {"placement": "best_fit", "folio_2m_sucess": 1},
            "vm_table": {"thin": {}},
        }
    )
    assert found == [
        'workload.preset: "iaas-mixd" is no preset; did you mean "iaas-mixed"?',
        'workload.horizon_ns: "10 parsecs" is not a time; write a number and one of ns, us, µs, ms, s, min, h, d, as '
        'in "10 s"',
        "workload.stock.vms: -1 cannot be used: it must be greater than or equal to 0",
        "workload.snp.share: 1.5 cannot be used: it must be less than or equal to 1",
        "workload.arrivals.zipf_max: 0 cannot be used: it must be greater than or equal to 1",
        'workload.arrivals.p_colloc: unknown key; did you mean "p_coloc"?',
        'workload.lifetime: name "azur2017": unknown distribution; did you mean "azure2017"?',
        'workload.sizes: plain "azure": unknown mix; did you mean "azure2019"?',
        'workload.memory.placement: "best_fit" is unknown; did you mean "first_fit"?',
        'workload.memory.folio_2m_sucess: unknown key; did you mean "folio_2m_success"?',
        "workload.vm_table.path: is missing: The file, compressed or not; relative to the file that names it.",
        "workload.vm_table.thin: does not say how much stays; set either keep or arrivals_per_day",
        'workload.hots: unknown key; did you mean "host"?',
    ]


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        (
            {"arrivals": {"process": "poison"}},
            'workload.arrivals.process: "poison" is unknown; did you mean "poisson"?',
        ),
        ({"arrivals": {"process": "fixed"}}, "workload.arrivals.interval_ns: is missing"),
        ({"running": -1}, "workload.running: -1 cannot be used: it must be greater than or equal to 0"),
        ({"arrivals": {"process": "none", "p_coloc": 1}}, "workload.arrivals.p_coloc: unknown key; known: process"),
        ({"arrivals": 3}, "workload.arrivals"),
        ({"sizes": {"scale": 1e30}}, "workload.sizes: scale 1e+30 makes sizes of more than 1 PiB; shrink it"),
        ({"lifetime": {"copy_sigma": 1e308}}, "workload.lifetime.copy_sigma: 1e+308 cannot be used"),
        ({"host": "clod"}, 'workload.host.name: "clod": unknown host; did you mean "cloud"?'),
        (
            {"host": {"nodes": 7}},
            "workload.host.nodes: 7 nodes do not divide memory_bytes 1649267441664 evenly",
        ),
        ({"host": {"memory_bytes": "1.5 GiB"}}, "is not a whole number of GiB"),
        ({"warmup_ns": "9 d"}, "leaves nothing before horizon_ns"),
        ({"horizon_ns": 0}, "workload.horizon_ns: 0 cannot be used: it must be greater than 0"),
        ({"horizon_ns": 1.5}, "workload.horizon_ns: 1.5 cannot be used"),
        ({"snp": {"share": float("nan")}}, "workload.snp.share: nan cannot be used"),
        ({"snp_life": {}}, "workload.snp_life: says nothing; set shutdown_ns or kvm_unload_ns"),
        ({"snp_life": {"init_ns": "1 h"}}, "workload.snp_life: says nothing; set shutdown_ns or kvm_unload_ns"),
        (
            {"snp_life": {"shutdown_ns": "2 h", "init_ns": "1 h"}},
            "workload.snp_life: init_ns 3600000000000 is before shutdown_ns or kvm_unload_ns",
        ),
        (
            {"snp_life": {"shutdown_ns": "9 d"}},
            "workload: snp_life.shutdown_ns 777600000000000 is not before horizon_ns",
        ),
        ({"snp_life": {"shutdown": "1 h"}}, 'workload.snp_life.shutdown: unknown key; did you mean "shutdown_ns"?'),
        ({"memory": {"merge_ns": -1}}, "workload.memory.merge_ns: -1 cannot be used"),
        ({"memory": {"shared_pinned_share": 2}}, "workload.memory.shared_pinned_share: 2 cannot be used"),
        ({"memory": {"displaced": 1.5}}, "workload.memory.displaced: 1.5 cannot be used"),
        (
            {"memory": {"displaced": 0.1, "placement": "pool_1g"}},
            'workload.memory: displaced 0.1 breaks up the regions of placement "pool_1g"; use "lifo" or "first_fit"',
        ),
        ({"memory": {"folio": "1G"}}, 'workload.memory: folio "1G" cannot be had from placement'),
        (
            {"lifetime": {"define": {"mine": {"family": "weibull", "shape": 1}}}},
            "workload.lifetime.define.mine.scale_ns: is missing",
        ),
        (
            {"lifetime": {"define": {"mine": {"family": "wiebull"}}}},
            'workload.lifetime.define.mine.family: "wiebull" is unknown; did you mean "weibull"?',
        ),
        ({"lifetime": {"define": {"mine": {}}}}, "workload.lifetime.define.mine.family: is missing"),
        (
            {"sizes": {"define": {"mine": {"size": [{"vcpus": 1, "memory_bytes": "1 GiB"}, {"vcpus": 0}]}}}},
            "workload.sizes.define.mine.size[1].vcpus: 0 cannot be used",
        ),
        ({"sizes": {"define": {"mine": {"size": []}}}}, "workload.sizes.define.mine: size holds none"),
        (
            {"arrivals": {"process": "night_batch", "night_size": "tiny"}},
            'workload: arrivals.night_size "tiny" is no mix',
        ),
        (
            {"arrivals": {"process": "night_batch", "night_min_vms": 200}},
            "night_min_vms 200 is above night_max_vms 100",
        ),
        ({"arrivals": {"process": "autoscale", "grow_at_ns": "20 h"}}, "is not after grow_at_ns"),
        ({"arrivals": {"process": "maintenance", "refill_from_ns": "9 h"}}, "is above refill_to_ns"),
    ],
)
def test_mistakes(mapping: dict[str, Any], message: str) -> None:
    assert any(message in text for text in problems(mapping)), problems(mapping)


def test_an_empty_place_leaves_the_key_alone() -> None:
    assert problems({"stock": {"vms": -1}}, "")[0].startswith("stock.vms: ")


FAMILIES = {
    "lognormal_mixture": {"weight": [1, 3], "median_ns": ["1 s", "1 h"], "sigma": [0.1, 2]},
    "lognormal": {"median_ns": "1 min", "sigma": 1.0},
    "weibull": {"scale_ns": "1 min", "shape": 0.5},
    "hyperexponential": {"weight": [0.5, 0.5], "mean_ns": ["1 s", "1 h"]},
    "piecewise_log_linear": {"knot_ns": ["1 s", "1 h"], "cdf": [0, 1]},
    "constant": {"value_ns": "1 min"},
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_distribution_of_ones_own(family: str) -> None:
    workload = read({"lifetime": {"name": "mine", "define": {"mine": {"family": family, **FAMILIES[family]}}}})
    assert tenants_of(workload).lifetime.mean_s > 0


@pytest.mark.parametrize(
    ("family", "change", "message"),
    [
        ("lognormal_mixture", {"sigma": [1]}, "differ in length"),
        ("lognormal_mixture", {"median_ns": ["1 s", 0]}, "holds a 0"),
        ("lognormal_mixture", {"weight": []}, "weight is empty"),
        ("hyperexponential", {"mean_ns": ["1 s"]}, "differ in length"),
        ("piecewise_log_linear", {"cdf": [0, 0.5]}, "does not rise from 0 to 1"),
        ("piecewise_log_linear", {"knot_ns": ["1 h", "1 s"]}, "does not ascend"),
        ("piecewise_log_linear", {"knot_ns": ["1 h"]}, "no two times"),
        ("piecewise_log_linear", {"knot_ns": ["1 s", "2 s", "3 s"]}, "differ in length"),
    ],
)
def test_an_impossible_distribution(family: str, change: dict[str, Any], message: str) -> None:
    table = {"family": family, **FAMILIES[family], **change}
    (text,) = problems({"lifetime": {"define": {"mine": table}}})
    assert text.startswith("workload.lifetime.define.mine: ")
    assert message in text


def test_files_start_at_the_folder_of_the_spec(tmp_path: Path) -> None:
    (tmp_path / "cdf.csv").write_text("lifetime_s,cdf\n10,0\n1000,1\n")
    define = {"mine": {"family": "empirical", "path": "cdf.csv"}}
    workload = read({"lifetime": {"name": "mine", "define": define}}, "", tmp_path)
    # Log-uniform from 10 s to 1000 s.
    assert tenants_of(workload).lifetime.mean_s == pytest.approx(990 / 4.605, rel=0.001)
    assert read({"vm_table": {"path": "a/b.csv"}}, "", tmp_path).vm_table.path == tmp_path / "a" / "b.csv"


def test_mixes_are_scaled_to_whole_blocks() -> None:
    sizes = read({"sizes": {"scale": 0.001}}).sizes
    assert sizes.mix("snp_catalogue").memory_bytes.tolist()[:2] == [8 << 20, 16 << 20]
    assert sizes.mix("azure2017").memory_bytes.min() == 2 << 20
    assert read({}).sizes.mix("azure2017").memory_bytes[0] == 768 << 20
    own = read({"sizes": {"plain": "mine", "define": {"mine": {"size": [{"vcpus": 3, "memory_bytes": "5 GiB"}]}}}})
    assert own.sizes.mix("mine").memory_bytes.tolist() == [5 * GIB]


def test_a_host_by_name_and_with_changes() -> None:
    assert read({"host": "pod"}).host.host.cores == 64
    changed = read({"preset": "faas-stress", "host": {"window": "node", "nodes": 4}}).host.host
    assert (changed.memory_bytes, changed.nodes, changed.window) == (512 * GIB, 4, "node")
    assert read({"preset": "faas-stress", "host": "big"}).host.host.nodes == 8


@pytest.mark.parametrize("placement", ["first_fit", "lifo", "scatter", "pool_1g"])
def test_nothing_is_placed_in_a_hole(placement: str) -> None:
    # 16 GiB as far as addresses go, of which 3 GiB and a bit lie below no memory, as an MMIO hole does.
    hole = [3 * 262_144, 3 * 262_144 + 1000]
    host = {"name": "pod", "memory_bytes": "16 GiB", "cores": 4, "holes": [hole]}
    times = {"horizon_ns": "4 min", "warmup_ns": 0}
    table = {"preset": "mixed-pods", "host": host, **times, "memory": {"placement": placement}}
    made = generate(read(table), 3)
    assert made.trace.host.holes == (tuple(hole),)
    assert made.admitted > 0
    check_trace(made.trace)


def test_a_hole_is_one_value_and_no_axis() -> None:
    assert holds_list(("host", "holes"))
    with pytest.raises(SpecError, match=r"host.holes: \[5\] is no extent"):
        read({"host": {"holes": [[5]]}})
