"""Every engine that can run here gives the reference's integers, on anything that the model allows."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gmemgpu
from gmemgpu.catalogue import named_policies
from gmemgpu.compiled import why_unusable
from gmemgpu.engine.protocol import Engine
from gmemgpu.engine.registry import available_engines, engine
from gmemgpu.model.cost import Costs
from gmemgpu.model.metric import METRIC_NAMES
from gmemgpu.model.policy import Policy
from gmemgpu.model.trace import Trace
from gmemgpu.testing.strategies import costs, policies, traces

FAST = [found for found in available_engines() if found.name != "reference"]


def disagreements(trace: Trace, chosen: list[Policy], cost: Costs, engines: Sequence[Engine]) -> dict[str, object]:
    expected = engine("reference").evaluate([trace], chosen, cost)[0]
    differ: dict[str, object] = {}
    for fast in engines:
        found = fast.evaluate([trace], chosen, cost)[0]
        for policy, want, got in zip(chosen, expected, found, strict=True):
            # In the order of the columns, and all of them Python's own integers.
            assert tuple(got) == METRIC_NAMES
            others = dict(got)
            histogram = others.pop("latency_histogram")
            assert type(histogram) is list
            assert {type(value) for value in (*others.values(), *histogram)} == {int}
            differ |= {
                f"{fast.name}: {policy.name}.{metric}": (want[metric], got[metric])
                for metric in METRIC_NAMES
                if want[metric] != got[metric]
            }
    return differ


# What is drawn, and what the judge says of it, is the dearer part: all engines are held against it at once.
@given(trace=traces(), chosen=st.lists(policies(), min_size=1, max_size=6), cost=costs())
def test_any_policy_on_any_trace(trace: Trace, chosen: list[Policy], cost: Costs) -> None:
    assert disagreements(trace, chosen, cost, FAST) == {}


UNCOMPILED = """
import importlib.util, sys
from hypothesis import settings
settings.register_profile("few", max_examples=int(sys.argv[2]), deadline=None)
settings.load_profile("few")
from gmemgpu.engine.registry import engine
spec = importlib.util.spec_from_file_location("parity", sys.argv[1])
parity = importlib.util.module_from_spec(spec)
spec.loader.exec_module(parity)
parity.FAST[:] = [engine("numba")]
parity.test_any_policy_on_any_trace()
parity.test_conversion_policies()
"""


@pytest.mark.skipif(why_unusable() is not None, reason=why_unusable() or "")
def test_the_text_of_compiled_passes_as_plain_python() -> None:
    # Machine code checks no bounds: an index that is wrong, or a sum past 63 bits, is an error here alone.
    # Packages may come by the environment's own path, too.
    path = os.pathsep.join(filter(None, (str(Path(gmemgpu.__file__).parents[1]), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": path}
    n_examples = str(settings.default.max_examples * 2 // 5)
    command = [sys.executable, "-W", "error", "-c", UNCOMPILED, __file__, n_examples]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@st.composite
def conversion_policies(draw: Any) -> Policy:
    # Many requests of running guests, most of whose passes only fail.
    policy = draw(policies())
    return dataclasses.replace(
        policy,
        hook="none" if policy.timer.kind == "periodic" else draw(st.sampled_from(["conversion", "free_folio"])),
        scope=draw(st.sampled_from(["region", "dirty", "dirty_retry", "window"])),
        gate=draw(st.sampled_from(["all", "all", "gmem_free"])),
        busy="rerun",
    )


@given(trace=traces(), chosen=st.lists(conversion_policies(), min_size=4, max_size=8), cost=costs())
def test_conversion_policies(trace: Trace, chosen: list[Policy], cost: Costs) -> None:
    assert disagreements(trace, chosen, cost, FAST) == {}


@given(trace=traces(max_events=60))
def test_named_policies_on_any_trace(trace: Trace) -> None:
    assert disagreements(trace, list(named_policies()), Costs(), [fast for fast in FAST if fast.name != "cupy"]) == {}


@settings(max_examples=settings.default.max_examples // 5)  # so many policies take most of a second where emulated
@given(trace=traces(max_events=60))
def test_named_policies_on_a_device(trace: Trace) -> None:
    assert disagreements(trace, list(named_policies()), Costs(), [fast for fast in FAST if fast.name == "cupy"]) == {}


@given(
    trace=traces(), chosen=st.lists(policies(), min_size=1, max_size=4), scale=st.sampled_from([10**9, 3 * 10**10 + 7])
)
def test_integrals_past_63_bits(trace: Trace, chosen: list[Policy], scale: int) -> None:
    # The same events months apart: pages times nanoseconds no longer fit 63 bits, on any engine.
    stretched = dataclasses.replace(
        trace, t_ns=trace.t_ns * scale, horizon_ns=trace.horizon_ns * scale, warmup_ns=trace.warmup_ns * scale
    )
    chosen = [policy for policy in chosen if policy.timer.kind != "periodic"]  # a tick every 40 µs, for months
    assert disagreements(stretched, chosen, Costs(), FAST) == {}
