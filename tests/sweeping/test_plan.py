from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmemgpu.sweeping import plan as planning
from gmemgpu.sweeping.identity import digest, digester
from gmemgpu.sweeping.part import rows_schema, rows_to_arrow
from gmemgpu.sweeping.plan import Plan, make_plan, seeds_per_shard, shard_length_s
from gmemgpu.sweeping.spec import read_spec
from gmemgpu.workload.preset import preset, preset_names, small_variant

MINE = {"name": "mine", "hook": "freed"}
BASE: dict[str, Any] = {
    "seeds": 3,
    "policies": ["v10"],
    "policy": [MINE],
    "workload": {"preset": "idle-snp", "snp": {"share": [0.1, 0.2]}},
}


def plan_of(**changes: Any) -> Plan:
    return make_plan(read_spec({**BASE, **changes}), "numpy")


def ids(plan: Plan) -> list[str]:
    return [shard.part_id for shard in plan.shards]


def test_shards_cover_every_scenario_and_seed_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "seeds_per_shard", lambda workload, n_policies, at_most_s: 2)
    plan = plan_of()
    assert [(shard.label, shard.seeds) for shard in plan.shards] == [
        ("snp.share=0.1", (0, 1)),
        ("snp.share=0.1", (2,)),
        ("snp.share=0.2", (0, 1)),
        ("snp.share=0.2", (2,)),
    ]
    assert [shard.n_rows for shard in plan.shards] == [6, 3, 6, 3]
    assert plan.n_rows == 18
    assert len(set(ids(plan))) == 4


@pytest.mark.parametrize(
    "changes", [{"name": "other"}, {"backend": "reference"}, {"policy": [{**MINE, "origin": "me"}]}]
)
def test_what_has_no_effect_changes_no_id(changes: dict[str, Any]) -> None:
    assert ids(plan_of(**changes)) == ids(plan_of())
    assert plan_of(**changes).results_id == plan_of().results_id


@pytest.mark.parametrize(
    "changes",
    [
        {"seeds": 4},
        {"seeds": [0, 1, 3]},
        {"policies": ["v2"]},
        {"policies": ["v10", "v2"]},
        {"policy": [{**MINE, "hook": "free_folio"}]},
        {"policy": [{**MINE, "name": "yours"}]},
        {"costs": {"base": 31}},
        {"workload": {"preset": "idle-snp", "snp": {"share": [0.1, 0.2]}, "stock": {"vms": 3}}},
    ],
)
def test_what_has_an_effect_changes_every_id(changes: dict[str, Any]) -> None:
    assert not set(ids(plan_of(**changes))) & set(ids(plan_of()))


def test_other_code_changes_every_id(monkeypatch: pytest.MonkeyPatch) -> None:
    before = ids(plan_of())
    monkeypatch.setattr(planning, "code_hash", lambda: "0")
    assert not set(ids(plan_of())) & set(before)


def test_the_same_scenario_beside_others_keeps_its_parts_while_columns_stay() -> None:
    more = plan_of(workload={"preset": "idle-snp", "snp": {"share": [0.1, 0.2, 0.3]}})
    assert set(ids(more)) > set(ids(plan_of()))
    # One column more, and the bytes of every part change.
    mixed = plan_of(workload={"preset": "idle-snp", "snp": {"share": [0.1, 0.2]}, "host": ["lab"]})
    assert not set(ids(mixed)) & set(ids(plan_of()))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], pa.int64()),
        ([0.5, 1], pa.float64()),
        ([True, False], pa.bool_()),
        (["a", "b"], pa.string()),
        (["a", 1], pa.string()),
        ([True, 1], pa.string()),
        ([None, 3], pa.int64()),
    ],
)
def test_an_axis_column_has_the_kind_of_its_values(values: list[Any], kind: pa.DataType) -> None:
    schema = rows_schema({"axis": values})
    assert schema.field("axis").type == kind
    row = dict.fromkeys(schema.names, 0) | {"label": "", "preset": "", "policy": ""}
    written = rows_to_arrow([row | {"axis": value} for value in values], schema)["axis"].to_pylist()
    assert written == ([str(value).lower() for value in values] if kind == pa.string() else values)


@pytest.mark.parametrize("name", preset_names())
def test_small_traces_share_a_task_and_large_ones_do_not(name: str) -> None:
    small = seeds_per_shard(small_variant(preset(name)), 27, 1.0)
    full = seeds_per_shard(preset(name), 27, 1.0)
    assert 1 <= full <= 40
    assert small >= 5
    assert seeds_per_shard(small_variant(preset(name)), 1000, 1.0) == 1


@pytest.mark.parametrize(
    ("n_seeds", "least", "most"), [(3, 1.0, 1.0), (100, 1.0, 1.0), (100_000, 2.0, 20.0), (1_000_000, 30.0, 30.0)]
)
def test_the_larger_a_sweep_the_longer_its_shards(n_seeds: int, least: float, most: float) -> None:
    spec = read_spec({**BASE, "seeds": n_seeds})
    at_most_s = shard_length_s(spec)
    assert least <= at_most_s <= most
    shards = make_plan(spec, "numpy").shards
    assert sum(shard.n_rows for shard in shards) == 2 * n_seeds * 3
    assert all(len(shard.seeds) <= 1024 for shard in shards)
    if n_seeds == 100_000:
        assert 900 <= len(shards) <= 1100


def test_a_table_that_says_no_rate_has_a_shard_for_each_seed(tmp_path: Path) -> None:
    table = tmp_path / "vms.csv"
    table.write_text("arrival_ns,lifetime_ns,vcpus,memory_bytes\n0,1000000000,1,1073741824\n")
    workload = {"preset": "idle-snp", "vm_table": {"path": str(table)}}
    spec = read_spec({"seeds": 5, "policies": ["v10"], "workload": workload})
    assert shard_length_s(spec) == 1.0
    assert [shard.seeds for shard in make_plan(spec, "numpy").shards] == [(seed,) for seed in range(5)]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(shared=st.dictionaries(st.text(max_size=3), _JSON, max_size=5), key=st.text(max_size=3), value=_JSON)
def test_digests_that_share_work_are_those_of_the_whole(shared: dict[str, Any], key: str, value: Any) -> None:
    shared.pop(key, None)
    assert digester(shared, key)(value) == digest({**shared, key: value})


def test_a_file_counts_by_what_is_in_it(tmp_path: Path) -> None:
    def part_ids(name: str, text: str) -> list[str]:
        (tmp_path / name).write_text(text)
        table = {"path": str(tmp_path / name), "format": "own"}
        spec = read_spec({"seeds": 2, "workload": {"preset": "mixed-pods", "vm_table": table}})
        return [shard.part_id for shard in make_plan(spec, "numpy").shards]

    assert part_ids("a.csv", "one") == part_ids("b.csv", "one")
    assert part_ids("a.csv", "one") != part_ids("a.csv", "two")
