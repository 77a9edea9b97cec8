from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from metric_rows import by_seed

from gmemgpu.errors import SpecError
from gmemgpu.metrics.quantity import QUANTITIES, Quantity, quantity_named
from gmemgpu.metrics.table import metric_arrow_type
from gmemgpu.report.decision import decision_table
from gmemgpu.report.samples import default_baseline, read_samples, samples_of
from gmemgpu.sweeping.run.share import compute_share
from gmemgpu.sweeping.store.read import StoredRows, read_rows


def named(*names: str) -> list[Quantity]:
    found = [quantity_named(name) for name in names]
    assert None not in found
    return [one for one in found if one is not None]


def stored(rows: list[tuple[str, int, str, int, int]]) -> StoredRows:
    label, seed, policy, busy, ipis = zip(*rows, strict=True)
    zeros = pa.array([0] * len(rows), pa.int64())
    table = pa.table(
        {
            "label": list(label),
            "preset": ["p"] * len(rows),
            "seed": pa.array(seed, pa.int64()),
            "policy": list(policy),
            "leader_busy_ns": pa.array(busy, metric_arrow_type("leader_busy_ns")),
            "follower_busy_ns": zeros,
            "latency_p50_ns": pa.array([-1 if value < 0 else value for value in ipis], pa.int64()),
            "ipis": pa.array([max(value, 0) for value in ipis], pa.int64()),
            "attempts_new": pa.array([2] * len(rows), pa.int64()),
        }
    )
    return StoredRows(name="test", table=table, axes=(), n_parts=1, n_parts_done=1)


ROWS = stored(
    [
        ("a", 7, "v3", 10**9, 4),
        ("a", 7, "v10", 3 * 10**9, -1),
        ("a", 8, "v3", 5 * 10**9, 6),
        ("b", 7, "v3", 2 * 10**9, 10),
        ("b", 7, "v10", 10**9, 8),
    ]
)


def test_a_cell_is_a_policy_and_a_seed() -> None:
    samples = samples_of(ROWS, named("core_s", "latency_p50_ns", "ipis_per_region"))
    assert samples.policies == ("v3", "v10")
    assert samples.seeds == (7, 8)
    a, b = samples.groups
    assert a.keys == {"label": "a"}
    assert a.seeds.tolist() == [True, True]
    assert b.seeds.tolist() == [True, False]
    np.testing.assert_array_equal(by_seed(a.sums["core_s"]), [[1, 5], [3, np.nan]])
    # A negative latency is none.
    np.testing.assert_array_equal(by_seed(a.sums["latency_p50_ns"]), [[4, 6], [np.nan, np.nan]])
    np.testing.assert_array_equal(by_seed(a.sums["ipis_per_region"]), [[2, 3], [0, np.nan]])


def test_scenarios_of_a_group_add_up_in_ratios_and_average_else() -> None:
    (group,) = samples_of(ROWS, named("core_s", "latency_p50_ns", "ipis_per_region"), group_by=["preset"]).groups
    assert group.n_scenarios == 2
    np.testing.assert_array_equal(by_seed(group.sums["core_s"]), [[1.5, 5], [2, np.nan]])
    # Of the two scenarios that v10 has in seed 7, one has a latency.
    np.testing.assert_array_equal(by_seed(group.sums["latency_p50_ns"]), [[7, 6], [8, np.nan]])
    ratio = group.sums["ipis_per_region"]
    np.testing.assert_array_equal(ratio.numerator, [[14, 6], [8, np.nan]])
    assert ratio.denominator is not None
    np.testing.assert_array_equal(ratio.denominator, [[4, 2], [4, np.nan]])


def test_a_wrong_grouping_column_is_named() -> None:
    with pytest.raises(SpecError, match="lable"):
        samples_of(ROWS, named("core_s"), group_by=["lable"])


def test_the_default_baseline_is_what_the_kernel_does() -> None:
    assert default_baseline(["v3", "v10", "merged"]) == "merged"
    assert default_baseline(["v3", "v10"]) == "v10"
    assert default_baseline(["v3", "oracle"]) == "v3"


def test_samples_of_a_sweep_are_its_rows(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(
        'seeds = 2\npolicies = ["v3", "v10"]\n[workload]\npreset = "mixed-pods"\nhorizon_ns = "1 min"\nwarmup_ns = 0\n'
        'host = { memory_bytes = "8 GiB", cores = 2 }\nsizes.scale = 0.125\narrivals.vms_per_s = 0.1\n'
    )
    compute_share(tmp_path / "s.toml", tmp_path / "out", index=0, of=1, backend="numpy")
    samples = read_samples(tmp_path / "out", QUANTITIES)
    table = decision_table(read_rows(tmp_path / "out"))
    assert [group.keys for group in samples.groups] == [group.keys for group in table.groups]
    rows = read_rows(tmp_path / "out", ["policy", "never"]).table
    never = by_seed(samples.groups[0].sums["never"])
    for i, policy in enumerate(samples.policies):
        assert never[i].tolist() == [row["never"] for row in rows.to_pylist() if row["policy"] == policy]
