"""Specs: what they mean, and that every mistake is reported at once, with its file, its key and a remedy."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gmemgpu.catalogue import named_policies
from gmemgpu.cli.main import main
from gmemgpu.errors import SpecError
from gmemgpu.model.cost import Costs
from gmemgpu.rmp.sampled import ImageTimes
from gmemgpu.sweeping.spec import SweepSpec, read_spec


def read(tmp_path: Path, text: str) -> SweepSpec:
    """Read a spec of this text, with the plain workload where it names none."""
    path = tmp_path / "s.toml"
    path.write_text(text if any(key in text for key in ("workload", "scenario", "include")) else f"{text}\n[workload]")
    return read_spec(path)


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        read(tmp_path, text)
    return [str(problem).removeprefix(f"{tmp_path}/") for problem in caught.value.problems]


@pytest.mark.parametrize("text", ["", "seeds = 3", "scenario = []"])
def test_a_spec_without_a_workload_is_a_mistake(tmp_path: Path, text: str) -> None:
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(SpecError, match=r"s.toml: says no workload; write \[workload\] .* or \[\[scenario\]\]"):
        read_spec(tmp_path / "s.toml")
    with pytest.raises(SpecError, match=r"^spec: says no workload"):
        read_spec({})


def test_a_bare_workload_is_the_default_one_with_every_policy(tmp_path: Path) -> None:
    spec = read(tmp_path, "[workload]")
    assert spec.name == "s"
    assert spec.seeds == (0,)
    assert spec.policies == named_policies()
    assert spec.costs == Costs()
    assert [scenario.label for scenario in spec.scenarios] == ["workload"]
    assert spec.axes == ()


def test_units_are_text(tmp_path: Path) -> None:
    spec = read(tmp_path, '[workload]\nhorizon_ns = "2 h"\nhost = {name = "lab", memory_bytes = "1.5 TiB"}\n')
    (scenario,) = spec.scenarios
    assert scenario.workload.horizon_ns == 7200 * 10**9
    assert scenario.workload.host.host.memory_bytes == 3 << 39


def test_lists_on_scalars_are_axes_and_the_last_runs_fastest(tmp_path: Path) -> None:
    spec = read(
        tmp_path,
        '[workload]\npreset = ["mixed-pods", "faas-stress"]\nmemory.placement = ["lifo", "scatter"]\n',
    )
    assert [scenario.label for scenario in spec.scenarios] == [
        "mixed-pods, memory.placement=lifo",
        "mixed-pods, memory.placement=scatter",
        "faas-stress, memory.placement=lifo",
        "faas-stress, memory.placement=scatter",
    ]
    assert spec.axes == ("memory.placement",)
    assert [scenario.preset for scenario in spec.scenarios] == ["mixed-pods"] * 2 + ["faas-stress"] * 2
    assert [scenario.workload.memory.placement for scenario in spec.scenarios] == ["lifo", "scatter"] * 2
    assert spec.scenarios[1].axes == {"memory.placement": "scatter"}


def test_a_host_is_an_axis_by_name(tmp_path: Path) -> None:
    spec = read(tmp_path, '[workload]\nhost = ["lab", "pod"]\n')
    assert [scenario.label for scenario in spec.scenarios] == ["host=lab", "host=pod"]
    assert [scenario.workload.host.host.cores for scenario in spec.scenarios] == [32, 64]


def test_a_field_that_is_a_list_by_nature_is_no_axis(tmp_path: Path) -> None:
    spec = read(
        tmp_path, '[workload]\nmemory.reserved = [{start_bytes = "4 GiB", size_bytes = "1 GiB"}]\nsnp.share = [0.1]\n'
    )
    assert [scenario.label for scenario in spec.scenarios] == ["snp.share=0.1"]
    assert len(spec.scenarios[0].workload.memory.reserved) == 1


def test_scenarios_lie_over_the_workload_and_each_takes_the_axes(tmp_path: Path) -> None:
    spec = read(
        tmp_path,
        """
        [workload]
        stock.vms = 5
        snp.share = [0.1, 0.2]
        [[scenario]]
        name = "as it is"
        [[scenario]]
        name = "calm"
        stock.vms = 9
        snp.share = 0.9
        """,
    )
    assert [scenario.label for scenario in spec.scenarios] == [
        "as it is, snp.share=0.1",
        "as it is, snp.share=0.2",
        "calm, snp.share=0.9",
    ]
    assert [scenario.workload.stock.vms for scenario in spec.scenarios] == [5, 5, 9]
    assert spec.axes == ("scenario", "snp.share")
    assert spec.scenarios[2].axes == {"scenario": "calm", "snp.share": 0.9}


def test_policies_by_name_own_ones_and_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('[[policy]]\nname = "from_file"\nhook = "freed"\n')
    spec = read(
        tmp_path,
        """
        policies = ["oracle", "v10"]
        policies_file = "mine.toml"
        [[policy]]
        name = "slow"
        hook = "vm_destroy"
        timer = "fixed(1 h)"
        """,
    )
    assert [policy.name for policy in spec.policies] == ["v10", "from_file", "slow", "oracle"]


def test_the_oracle_is_always_there_since_others_are_measured_by_it(tmp_path: Path) -> None:
    assert [policy.name for policy in read(tmp_path, 'policies = ["v2"]').policies] == ["v2", "oracle"]


def test_costs_from_a_table_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("block = 7\n")
    assert read(tmp_path, 'costs = "c.toml"').costs.block == 7
    spec = read(tmp_path, "[costs]\nbase = 3\n")
    assert (spec.costs.base, spec.costs.block) == (3, Costs().block)


def test_five_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        """
        sedes = 3
        backend = "cuda"
        policies = ["v1o"]
        [workload]
        horizon_ns = "10 parsecs"
        memory.placment = "lifo"
        """,
    )
    assert len(found) == 5
    assert found[0].startswith('s.toml: backend: "cuda" ')
    assert found[1] == 's.toml: sedes: unknown key; did you mean "seeds"?'
    assert found[2] == 's.toml: policies[0]: "v1o" is no policy; did you mean "v10"?'
    assert found[3].startswith('s.toml: workload.horizon_ns: "10 parsecs" is not a time')
    assert found[4] == 's.toml: workload.memory.placment: unknown key; did you mean "placement"?'


def test_a_mistake_beside_an_axis_is_reported_once(tmp_path: Path) -> None:
    found = problems(tmp_path, '[workload]\nsnp.share = [0.1, 0.2, 3]\nmemory.folio = "3K"\n')
    assert [text.partition(": ")[2].partition(":")[0] for text in found] == [
        "workload.memory.folio",
        "workload.snp.share",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seeds = 0", "seeds: 0 is outside 1 to 1000000"),
        ("seeds = []", r"seeds: \[\] is neither"),
        ("seeds = [1, -1]", r"seeds\[1\]: -1 is no seed"),
        ("seeds = [4, 4]", r"seeds\[1\]: 4 comes twice"),
        ("seeds = true", "seeds: True is neither"),
        ("name = 3", "name: 3 cannot be used: it must be a valid string"),
        ("backend = 3", 'backend: 3 cannot be used: it must be "auto"'),
        ('policies = "v10"', "policies: 'v10' is no list"),
        ('policies = ["v10", "v10"]', r'policies\[1\]: "v10" comes twice'),
        ('[[policy]]\nname = "v10"\nhook = "freed"', 'policy: the name "v10" is taken'),
        ('[[policy]]\nname = "x"\nhook = "fred"', r'policy\[0\].hook: "fred" is unknown'),
        ("policies_file = 3", "policies_file: 3 cannot be used"),
        ('policies_file = "gone.toml"', "gone.toml: cannot be read"),
        ("costs = 3", "costs: 3 is neither"),
        ("[costs]\nblock = -1", r"costs\.block: -1 cannot be used: it must be greater than or equal to 0"),
        ("workload = 3", "workload: 3 is no table"),
        ("[workload]\nsnp.share = []", "workload.snp.share: is an empty list"),
        ("[workload]\nsnp.share = [0.1, 0.1]", 'two scenarios are both "snp.share=0.1"'),
        ('[workload]\npreset = "mixed-pod"', 'workload.preset: "mixed-pod" is no preset'),
        ("[[scenario]]\nstock.vms = 3", r"scenario\[0\].name: is missing; name each scenario"),
        ('[[scenario]]\nname = "a"\n[[scenario]]\nname = "a"', r'scenario\[1\].name: "a" is taken'),
        ('[[scenario]]\nname = "a"\nstock.vsm = 3', r"scenario\[0\].stock.vsm: unknown key"),
        ('[[scenario]]\nname = ["a"]', r"scenario\[0\].name: \['a'\] is no name; name each scenario"),
        ('policies = [["v10"]]', r"policies\[0\]: \['v10'\] is no name; write names in quotes"),
        ('[workload]\npreset = [["mixed-pods"]]', "workload.preset: .* is no preset"),
        ('name = ["a"]', "name: .'a'. cannot be used"),
        ("[workload]\nhost.nodes = 9223372036854775808", "workload.host.nodes: is an integer beyond 64 bits"),
        (f"seeds = [{'9' * 5000}]", "holds an integer of too many digits"),
        (f"x = {'[' * 5000}{']' * 5000}", "is nested too deeply"),
        (f"[{'a.' * 500}a]", "is nested too deeply"),
        (
            "[workload]\nsnp.share = [" + "0.1, " * 1001 + "]\nstock.vms = [" + "1, " * 1000 + "]",
            "makes 1,001,000 scen",
        ),
        ("scenaro = 3", 'scenaro: unknown key; did you mean "scenario"'),
        ("scenarios = 3", 'scenarios: unknown key; did you mean "scenario"'),
        ("[scenario]\nx = 3", "scenario: is no list of tables"),
        ("scenario = []\n[workload]", "scenario: is no list of tables"),
        ('[workload]\nvm_table.path = "gone.csv"', "gone.csv: cannot be read: No such file"),
    ],
)
def test_every_mistake_has_its_place_and_message(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        read(tmp_path, text)


def test_a_mistake_is_placed_where_it_was_made(tmp_path: Path) -> None:
    # What scenarios share is wrong once; what one of them says is its own.
    found = problems(
        tmp_path,
        """
        [workload]
        snp.share = 2.0
        stock.vms = 3
        [[scenario]]
        name = "a"
        [[scenario]]
        name = "b"
        stock.vms = -1
        """,
    )
    assert [text.split(": ")[1] for text in found] == ["workload.snp.share", "scenario[1].stock.vms"]


@pytest.mark.parametrize("above", [{}, {"host": "10.0.0.1", "interface": "ib0"}, {"log_directory": "/elsewhere"}])
def test_a_spec_says_nothing_of_clusters(tmp_path: Path, above: dict[str, str]) -> None:
    keys = "".join(f'{key} = "{value}"\n' for key, value in above.items())
    (found,) = problems(tmp_path, f"[workload]\n[cluster]\n{keys}")
    assert found.startswith("s.toml: cluster: is no part of a spec")
    assert "jobqueue.yaml" in found
    assert "--cluster slurm --jobs N" in found


def test_a_wrong_spec_ends_with_2_and_no_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s.toml").write_text('policies = [["v10"]]\n[workload]\n')
    assert main(["sweep", str(tmp_path / "s.toml"), "-o", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith(f"gmemgpu: {tmp_path / 's.toml'}: policies[0]: ['v10'] is no name")
    assert not (tmp_path / "out").exists()


def test_a_spec_is_made_by_read_spec_alone() -> None:
    with pytest.raises(TypeError, match="made by read_spec"):
        SweepSpec(workload={})


WHOLE: dict[str, Any] = {
    "name": "whole",
    "seeds": [1, 2],
    "policies": ["v10"],
    "policy": [{"name": "mine", "hook": "freed", "timer": "fixed(1 s)"}],
    "costs": {"base": 3, "block": {"ns": 3, "source": "me"}},
    "backend": "numpy",
    "workload": {
        "preset": "mixed-pods",
        "host": {"name": "pod", "nodes": 1},
        "arrivals": {"process": "poisson", "vms_per_s": 0.1},
        "lifetime": {"define": {"x": {"family": "constant", "value_ns": "1 s"}}},
        "memory": {"placement": ["lifo", "scatter"], "reserved": [{"start_bytes": "4 GiB", "size_bytes": "1 GiB"}]},
    },
    "scenario": [{"name": "a", "snp": {"share": [0.1, 0.2]}}, {"name": "b", "stock": {"vms": 3}}],
}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*([path] if path else []), *(place for key, below in inner for place in places(below, (*path, key)))]


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.dates(), st.sampled_from([-1, 2**70])
)
junk = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)


@given(place=st.sampled_from(places(WHOLE)), value=junk)
@example(place=("policies", 0), value=["v10"])
@example(place=("scenario", 0, "name"), value=["a"])
@example(place=("workload", "preset"), value=[["mixed-pods"]])
@example(place=("workload", "host"), value={1: 2})
@example(place=("workload", "vm_table"), value={"path": [["x"]]})
@example(place=("include",), value={"a": 1})
def test_whatever_a_spec_holds_it_is_read_or_refused(place: tuple[Any, ...], value: Any) -> None:
    spec = copy.deepcopy(WHOLE)
    at: Any = spec
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    try:
        found = read_spec(spec)
    except SpecError as error:
        # The only exception there may be.
        str(error)
    else:
        assert found.canonical["seeds"] == list(found.seeds)


def include(tmp_path: Path, top: str, **others: str) -> SweepSpec:
    for name, text in {"top": top, **others}.items():
        path = tmp_path / f"{name.replace('_', '/')}.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return read_spec(tmp_path / "top.toml")


def test_the_including_file_wins_key_by_key(tmp_path: Path) -> None:
    spec = include(
        tmp_path,
        'include = "base.toml"\nname = "top"\n[workload.stock]\nvms = [1, 2]\n',
        base='seeds = 3\nname = "base"\n[workload]\nsnp.share = 0.5\nstock.vms = 7\n',
    )
    assert (spec.name, spec.seeds, spec.axes) == ("top", (0, 1, 2), ("stock.vms",))
    assert [(s.workload.snp.share, s.workload.stock.vms) for s in spec.scenarios] == [(0.5, 1), (0.5, 2)]


def test_includes_start_at_the_including_file_and_nest(tmp_path: Path) -> None:
    spec = include(
        tmp_path,
        'include = "deep/a.toml"\n[workload]\n',
        deep_a='include = "b.toml"\nseeds = 2\n',
        deep_b='backend = "reference"\nseeds = 9\n',
    )
    assert (spec.backend, spec.seeds) == ("reference", (0, 1))


def test_a_mapping_may_include_a_file(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text("seeds = 3\n[workload]\n")
    assert read_spec({"include": str(tmp_path / "base.toml"), "policies": ("v2",)}).seeds == (0, 1, 2)


def test_a_problem_is_placed_in_the_file_that_said_it(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        include(
            tmp_path,
            'include = "base.toml"\n[workload]\nstock.vms = -1\n',
            base='[workload]\nsnp.share = 2.0\nstock.vms = 7\n[[policy]]\nname = "x"\nhook = "fred"\n',
        )
    found = {problem.where.removeprefix(f"{tmp_path}/") for problem in caught.value.problems}
    assert found == {
        "base.toml: policy[0].hook",
        "base.toml: workload.snp.share",
        "top.toml: workload.stock.vms",
    }


def test_a_circle_of_includes_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"b.toml: include: goes round in a circle") as caught:
        include(tmp_path, 'include = "b.toml"\n', b='include = "top.toml"\n')
    assert str(caught.value).count("top.toml includes") == 1


@pytest.mark.parametrize(("text", "message"), [(None, "cannot be read: No such file"), ("x = \n", "is no valid TOML")])
def test_what_cannot_be_included_is_placed_where_it_is_asked_for(
    tmp_path: Path, text: str | None, message: str
) -> None:
    files = {"middle": 'include = "last.toml"\n', **({} if text is None else {"last": text})}
    with pytest.raises(SpecError) as caught:
        include(tmp_path, 'include = "middle.toml"\n', **files)
    (problem,) = caught.value.problems
    assert problem.where == f"{tmp_path / 'middle.toml'}: include"
    assert problem.message.startswith(f"{tmp_path / 'last.toml'}: {message}")


def test_file_names_start_at_the_file_that_says_them(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "vms.csv").write_text("arrival_s,lifetime_s,vcpus,mem_gib,kind\n0,9,1,1,snp\n")
    (tmp_path / "inner" / "costs.toml").write_text("block = 7\n")
    (tmp_path / "inner" / "base.toml").write_text('costs = "costs.toml"\n[workload]\nvm_table.path = "vms.csv"\n')
    spec = read(tmp_path, 'include = "inner/base.toml"\n')
    assert spec.costs.block == 7
    (path,) = spec.input_hashes
    assert path == tmp_path / "inner" / "vms.csv"


def canonical(tmp_path: Path, text: str, data: str = "start,end,cpu,mem_mib\n") -> dict[str, Any]:
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / "vms.csv").write_text(data)
    return read(tmp_path, text).canonical


def test_a_sweep_is_the_same_wherever_it_lies_and_whatever_it_is_called(tmp_path: Path) -> None:
    text = 'name = "{}"\n[workload]\nvm_table.path = "vms.csv"\n'
    assert canonical(tmp_path / "a", text.format("a")) == canonical(tmp_path / "b", text.format("b"))


def test_a_sweep_over_other_data_is_another(tmp_path: Path) -> None:
    text = '[workload]\nvm_table.path = "vms.csv"\n'
    assert canonical(tmp_path / "a", text) != canonical(tmp_path / "b", text, "start,end,cpu,mem_gib\n")


def test_a_mapping_will_do(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("block = 7\n")
    workload = {"snp": {"share": [0.5, 1.0]}}
    spec = read_spec({"costs": tmp_path / "c.toml", "seeds": [5], "policies": ["v10"], "workload": workload})
    assert spec.seeds == (5,)
    assert spec.costs.block == 7
    assert [scenario.workload.snp.share for scenario in spec.scenarios] == [0.5, 1.0]


def test_reading_a_spec_loads_no_part_of_the_sweep() -> None:
    code = "import sys, gmemgpu.sweeping.spec as s; s.read_spec('jobs/quickstart.toml'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "pydantic" in loaded
    assert not {"dask", "distributed", "pyarrow", "pandas", "rich"} & set(loaded)


def test_images_of_the_rmp_are_asked_for_by_times(tmp_path: Path) -> None:
    spec = read(tmp_path, 'rmp_every = "1 h"\nrmp_at = ["90 min", 5, "5 ns"]\n[workload]\nhorizon_ns = "2 h"')
    assert spec.images == ImageTimes(every_ns=3600 * 10**9, at_ns=(5, 5400 * 10**9))
    assert spec.canonical["rmp_at"] == [5, 5400 * 10**9]
    plain = read(tmp_path, "")
    assert plain.images is None
    assert "rmp_every" not in plain.canonical


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('rmp_every = "0 s"', "rmp_every: "),
        ('rmp_every = "often"', 'rmp_every: "often" is not a time; write a number and one of ns, us'),
        ('rmp_at = ["1 h", "2 parsecs"]', 'rmp_at[1]: "2 parsecs" is not a time'),
        ('rmp_at = ["3 h"]', 'rmp_at: no image counts of scenario "workload", 10 s to 1 h; choose times in between'),
        ('rmp_every = "1 h"', 'rmp_every: no image counts of scenario "workload", 10 s to 1 h'),
        (
            'rmp_every = "1 ms"',
            'rmp_every: more than 10,000 images of each trace of scenario "workload"; make them rarer',
        ),
    ],
)
def test_images_that_cannot_be_are_told(tmp_path: Path, text: str, message: str) -> None:
    found = problems(tmp_path, f'{text}\n[workload]\nhorizon_ns = "1 h"\nwarmup_ns = "10 s"')
    assert len(found) == 1
    assert found[0].startswith(f"s.toml: {message}")
