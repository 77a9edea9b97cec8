from __future__ import annotations

import dataclasses
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import gmemgpu
from gmemgpu.catalogue import choose_policies, named_policies
from gmemgpu.engine import registry
from gmemgpu.model.metric import METRIC_NAMES
from gmemgpu.units import GIB


def small_trace() -> gmemgpu.Trace:
    """A guest of one region that goes after 1 s, on a host of two."""
    return gmemgpu.Trace(
        host=gmemgpu.Host(memory_bytes=2 * GIB, nodes=1, cores=4, threads_per_core=2),
        horizon_ns=60 * 10**9,
        t_ns=np.array([0, 10**9, 10**9]),
        kind=np.array([gmemgpu.Kind.ASSIGN, gmemgpu.Kind.VM_DESTROY, gmemgpu.Kind.RELEASE], np.int8),
        pfn=np.array([0, 0, 0]),
        npages=np.array([262_144, 0, 262_144]),
        vm=np.zeros(3, np.int32),
        inode=np.array([0, -1, 0], np.int32),
        folio_pages=np.array([512, 0, 512], np.int32),
    )


def test_everything_public_can_be_had() -> None:
    for name in gmemgpu.__all__:
        assert getattr(gmemgpu, name) is not None
    assert set(gmemgpu.__all__) <= set(dir(gmemgpu))


def test_what_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'gmemgpu' has no attribute 'evalute'"):
        gmemgpu.evalute  # noqa: B018


def test_functions_are_not_hidden_by_sub_packages() -> None:
    import gmemgpu.sweeping.run

    for name in ("read_trace", "write_trace", "generate", "evaluate", "sweep"):
        assert callable(getattr(gmemgpu, name))


def test_all_named_policies_if_none_is_named() -> None:
    table = gmemgpu.evaluate(small_trace())
    assert table["policy"] == [policy.name for policy in named_policies()]
    assert list(table.columns) == ["policy", *METRIC_NAMES]
    labels = ("policy", "latency_histogram")
    assert all(type(value) is int for row in table.rows() for name, value in row.items() if name not in labels)


def test_names_and_policies_together_in_the_order_asked_for() -> None:
    mine = gmemgpu.Policy(name="mine", hook="vm_destroy", timer=gmemgpu.Timer.parse("fixed(2 s)"))
    table = gmemgpu.evaluate(small_trace(), ["oracle", mine, "never"])
    assert table["policy"] == ["oracle", "mine", "never"]
    assert table["reoptimized"] == [1, 1, 0]
    # The pass is due 2 s after the guest went. Region 0, clean: 30 + 512 × 60 + 121,000 ns.
    assert table["latency_max_ns"][1] == 2 * 10**9 + 151_750


def test_one_name_one_policy_or_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[[policy]]\nname = "mine"\nhook = "free_folio"\n')
    assert gmemgpu.evaluate(small_trace(), "v10")["policy"] == ["v10"]
    assert gmemgpu.evaluate(small_trace(), named_policies()[0])["policy"] == ["never"]
    assert gmemgpu.evaluate(small_trace(), path)["policy"] == ["mine"]
    assert gmemgpu.evaluate(small_trace(), str(path))["policy"] == ["mine"]


def test_costs_as_a_table_or_a_file(tmp_path: Path) -> None:
    path = tmp_path / "costs.toml"
    path.write_text("round_clean = 0\n")
    for costs in (path, str(path), {"round_clean": 0}, gmemgpu.Costs(round_clean=0)):
        table = gmemgpu.evaluate(small_trace(), "free_folio", costs=costs)
        assert table["latency_max_ns"] == [30_750]


@pytest.mark.parametrize("backend", ["auto", "numpy", "reference"])
def test_every_backend_gives_the_same(backend: str) -> None:
    assert gmemgpu.evaluate(small_trace(), backend=backend).columns == gmemgpu.evaluate(small_trace()).columns


def test_every_wrong_policy_is_named() -> None:
    bad = {"name": "bad", "hook": "no_hook", "timer": "debounce(5 parsecs)"}
    with pytest.raises(gmemgpu.SpecError) as caught:
        gmemgpu.evaluate(small_trace(), ["v1o", "v10", "xyz", bad, "v10"])
    texts = [str(problem) for problem in caught.value.problems]
    assert texts[0] == 'policies[0]: "v1o" is no policy; did you mean "v10"?'
    assert texts[1].startswith('policies[2]: "xyz" is no policy; known: never, boot_only')
    assert texts[2].startswith('policies[3].hook: "no_hook" is unknown; use none, conversion')
    assert texts[3].startswith('policies[3].timer: "5 parsecs" is not a time')
    assert texts[4] == 'policies[4]: "v10" comes twice; results are told apart by name'


def test_policies_as_mappings_beside_names() -> None:
    mine = {"name": "mine", "hook": "vm_destroy", "timer": "fixed(1 s)"}
    table = gmemgpu.evaluate(small_trace(), [mine, "v10"])
    assert table["policy"] == ["mine", "v10"]
    assert table["latency_max_ns"] == [10**9 + 151_750, 10 * 10**9 + 151_750]
    assert gmemgpu.evaluate(small_trace(), mine)["policy"] == ["mine"]
    with pytest.raises(gmemgpu.SpecError, match=r'policies\[1\]: "mine" comes twice'):
        gmemgpu.evaluate(small_trace(), [mine, gmemgpu.Policy(**mine)])


def test_what_is_made_wrongly_fails_at_once_with_all_that_is_wrong() -> None:
    with pytest.raises(gmemgpu.SpecError) as caught:
        gmemgpu.Policy(name="p", hook="vm_destry", timer="debounce(5 sec)", busy="dropp")
    assert str(caught.value) == (
        'policy.hook: "vm_destry" is unknown; did you mean "vm_destroy"?\n'
        'policy.timer: "5 sec" is not a time; write a number and one of ns, us, µs, ms, s, min, h, d, as in "10 s"\n'
        'policy.busy: "dropp" is unknown; did you mean "drop"?'
    )
    assert caught.value.exit_code == 2
    with pytest.raises(gmemgpu.SpecError, match=r'costs.round_claen: unknown key; did you mean "round_clean"\?'):
        gmemgpu.Costs(round_claen=1)
    with pytest.raises(gmemgpu.SpecError, match=r"^host.nodes: 3 nodes do not divide .*\nhost.cores: -4 cannot"):
        gmemgpu.Host(memory_bytes=2 * GIB, nodes=3, cores=-4, threads_per_core=1)
    with pytest.raises(gmemgpu.SpecError, match=r"timer.delay_ns: 0 cannot be used: a period must be longer than 0"):
        gmemgpu.Timer("periodic")


def test_timers_as_text() -> None:
    policy = gmemgpu.Policy(name="p", hook="vm_destroy", timer="debounce(5 s, 1 min)")
    assert policy.timer == gmemgpu.Timer("debounce", 5 * 10**9, 60 * 10**9)
    assert gmemgpu.Policy(name="p", hook="vm_destroy", timer=str(policy.timer)) == policy


def test_costs_are_the_defaults_but_for_what_is_changed() -> None:
    assert gmemgpu.Costs().round_clean == 121_000
    assert gmemgpu.Costs(round_clean=100_000) == dataclasses.replace(gmemgpu.Costs(), round_clean=100_000)


def test_no_policy_at_all() -> None:
    with pytest.raises(gmemgpu.SpecError, match="policies: names no policy"):
        gmemgpu.evaluate(small_trace(), [])


def test_of_two_policies_with_one_name_the_first_counts() -> None:
    mine = gmemgpu.Policy(name="v10", hook="free_folio")
    assert choose_policies(["v10"], (mine, *named_policies())) == (mine,)


def test_a_wrong_trace_a_wrong_cost_and_a_missing_engine() -> None:
    trace = small_trace()
    with pytest.raises(gmemgpu.SpecError, match=r"costs\.block: -1 cannot be used"):
        gmemgpu.evaluate(trace, costs={"block": -1})
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(sys.modules, "cupy", raising=False)
        patch.setattr(registry, "find_spec", lambda package: None)
        registry.probe_again()
        with pytest.raises(gmemgpu.BackendError, match='backend "cupy" cannot run here: CuPy is not installed; pip'):
            gmemgpu.evaluate(trace, backend="cupy")
    registry.probe_again()
    trace.pfn[0] = -1
    with pytest.raises(gmemgpu.TraceError, match="trace: row 1, column pfn"):
        gmemgpu.evaluate(trace)


def test_generate_takes_a_preset_a_table_or_a_file(tmp_path: Path) -> None:
    table = {"preset": "iaas-mixed", "horizon_ns": "5 min", "warmup_ns": 0}
    path = tmp_path / "w.toml"
    path.write_text('preset = "iaas-mixed"\nhorizon_ns = "5 min"\nwarmup_ns = 0\n')
    made = [gmemgpu.generate(source, seed=7) for source in (table, path, str(path))]
    assert all(len(trace) > 0 and trace.horizon_ns == 300 * 10**9 for trace in made)
    for trace in made[1:]:
        assert np.array_equal(made[0].t_ns, trace.t_ns)
        assert np.array_equal(made[0].pfn, trace.pfn)
    assert not np.array_equal(made[0].pfn, gmemgpu.generate(table, seed=8).pfn)


@pytest.mark.parametrize(
    ("workload", "seed", "message"),
    [
        ("iaas-mixd", 0, '"iaas-mixd" is no preset; did you mean "iaas-mixed"?'),
        ({"preset": "iaas-mixed", "horizn_ns": "1 h"}, 0, "horizn_ns: unknown key"),
        ("iaas-mixed", -1, "seed: -1 is outside 0 to 18446744073709551615"),
        ("iaas-mixed", 2**64, "seed: 18446744073709551616 is outside"),
    ],
)
def test_generate_refuses_what_it_does_not_know(workload: str | dict[str, str], seed: int, message: str) -> None:
    with pytest.raises(gmemgpu.SpecError, match=re.escape(message)):
        gmemgpu.generate(workload, seed)


def test_results_go_to_arrow_and_pandas() -> None:
    table = gmemgpu.evaluate(small_trace(), ["v10"])
    assert table.to_arrow().num_rows == 1
    assert table.to_pandas()["policy"].tolist() == ["v10"]


def doubtful() -> gmemgpu.Trace:
    return dataclasses.replace(small_trace(), pfn=np.array([1, 0, 1]))


def test_what_is_doubtful_is_told_once_a_trace() -> None:
    trace = doubtful()
    with pytest.warns(RuntimeWarning, match="trace: row 1, column pfn: a folio of 512 pages cannot begin at PFN 1"):
        gmemgpu.evaluate(trace, "v10")
    gmemgpu.evaluate(trace, "refcount")  # a warning would be an error here
    with pytest.warns(RuntimeWarning, match="cannot begin"):
        gmemgpu.evaluate(doubtful(), "v10")


def test_what_is_doubtful_in_a_file_names_it(tmp_path: Path) -> None:
    gmemgpu.write_trace(doubtful(), tmp_path / "t.csv")
    with pytest.warns(RuntimeWarning, match=re.escape(f"{tmp_path / 't.csv'}: row 1, column pfn")) as told:
        trace = gmemgpu.read_trace(tmp_path / "t.csv")
    assert [warning.filename for warning in told] == [__file__]
    gmemgpu.evaluate(trace, "v10")


def test_a_trace_by_the_clock_on_the_wall_is_refused() -> None:
    with pytest.raises(gmemgpu.TraceError, match="none of 3 events is before the horizon"):
        gmemgpu.evaluate(dataclasses.replace(small_trace(), t_ns=small_trace().t_ns + 17 * 10**17))
