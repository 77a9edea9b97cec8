"""The small variant of every preset: all engines that run here, all named policies, the same integers."""

from __future__ import annotations

import pytest

from gmemgpu.catalogue import named_policies
from gmemgpu.engine.registry import available_engines
from gmemgpu.engine.verify import verify
from gmemgpu.generator import generate
from gmemgpu.model.cost import Costs
from gmemgpu.model.metric import METRIC_NAMES
from gmemgpu.workload.preset import preset, preset_names, small_variant


@pytest.mark.parametrize("name", preset_names())
def test_engines_agree(name: str) -> None:
    trace = generate(small_variant(preset(name)), 7).trace
    found = verify(trace, named_policies(), Costs())
    assert found.differences == ()
    assert found.state_differences == ()
    assert found.n_states == 16 * trace.host.n_regions
    assert found.n_events == len(trace.t_ns) > 100
    assert found.n_compared == len(named_policies()) * len(METRIC_NAMES)
    assert found.engines == tuple(engine.name for engine in available_engines())
    assert {"reference", "numpy"} <= set(found.engines)
