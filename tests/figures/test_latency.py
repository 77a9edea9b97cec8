from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gmemgpu.engine.array.latency import latency_bins
from gmemgpu.figures.latency import Waits, bin_ends_ns, latency
from gmemgpu.figures.waits import read_waits
from gmemgpu.sweeping.store.read import read_rows


def test_bins_end_where_the_next_one_begins() -> None:
    ends = bin_ends_ns(400)
    for i, end in enumerate(ends.astype(np.int64).tolist()):
        assert latency_bins(np.array([end - 1, end])).tolist() == [i, i + 1]


def test_a_line_ends_at_the_share_that_gets_its_bit() -> None:
    waits = {
        "v3": Waits(np.array([0, 3, 0, 1]), 8),
        "never": Waits(np.zeros(0, np.int64), 8),
        "none": Waits(np.zeros(0, np.int64), 0),
    }
    rows = latency(waits, title="pods")["data"]["values"]
    v3 = [(row["ns"], row["share"]) for row in rows if row["policy"] == "v3"]
    assert v3[1:3] == [(2.0, 0.375), (4.0, 0.5)]
    assert v3[-1][1] == 0.5
    assert {row["share"] for row in rows if row["policy"] == "never"} == {0.0}
    assert "none" not in {row["policy"] for row in rows}


def test_histograms_of_seeds_add_up(store: Path) -> None:
    table = read_rows(store, ["label", "policy", "episodes", "reoptimized"]).table.to_pylist()
    found = read_waits(store)
    assert len(found) == 2
    for keys, waits in found:
        assert "oracle" not in waits
        for policy, one in waits.items():
            rows = [row for row in table if row["label"] == keys["label"] and row["policy"] == policy]
            assert int(one.histogram.sum()) == sum(row["reoptimized"] for row in rows)
            assert one.episodes == sum(row["episodes"] for row in rows)
    together = read_waits(store, group_by=["preset"], policies=["v3"])
    assert [list(waits) for _, waits in together] == [["v3"]]
    assert together[0][1]["v3"].episodes == sum(waits["v3"].episodes for _, waits in found)


def test_no_episode_at_all_has_an_axis() -> None:
    spec = latency({"never": Waits(np.zeros(0, np.int64), 3)}, title="x")
    low, high = spec["encoding"]["x"]["scale"]["domain"]
    assert 0 < low < high
    assert spec["description"].endswith("never: 0 % in the end")
    assert pytest.approx(0) == spec["data"]["values"][0]["share"]
