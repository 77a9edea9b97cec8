"""A small sweep to draw: two groups, of which one has a name that no page may take for a tag."""

from __future__ import annotations

from pathlib import Path

import pytest

from gmemgpu.sweeping.run.share import compute_share

HOSTILE = "<script>alert(1)</script>"

SPEC = f"""
name = "small & <b>"
seeds = 3
policies = ["never", "v3", "v10", "dirty_10s", "refcount"]

[[policy]]
name = "{HOSTILE}"
hook = "evict_end"
timer = {{ kind = "debounce", delay_ns = "1 s" }}

[[scenario]]
name = "pods"
[[scenario]]
name = "{HOSTILE}"
running = 4

[workload]
preset = "mixed-pods"
horizon_ns = "1 min"
warmup_ns = 0
host = {{ memory_bytes = "8 GiB", cores = 2 }}
sizes.scale = 0.125
arrivals.vms_per_s = 0.1
"""


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("figures")
    (folder / "s.toml").write_text(SPEC)
    # In this process: workers would each import all of it again, for the same bytes.
    compute_share(folder / "s.toml", folder / "out", index=0, of=1, backend="numpy")
    return folder / "out"


@pytest.fixture
def hostile() -> str:
    return HOSTILE
