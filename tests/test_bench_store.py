"""The made-up store of `bench.store` is a store: it merges, and nothing is missing."""

from __future__ import annotations

from pathlib import Path

from bench.store import N_POLICIES, N_SEEDS, fill, run_step, store_of
from gmemgpu import open_results


def test_it_is_filled_and_merged(tmp_path: Path) -> None:
    store = store_of(tmp_path / "out", N_SEEDS)
    fill(store)
    assert store.missing() == []
    assert run_step("merge", tmp_path / "out", N_SEEDS)["s"] > 0
    assert len(open_results(tmp_path / "out").table()) == N_SEEDS * N_POLICIES
