"""How much a device is asked to do for a batch: calls, those that wait for it, bytes that it reads and writes."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from gmemgpu.catalogue import named_policies
from gmemgpu.generator import generate
from gmemgpu.workload.preset import preset, small_variant

ROOT = Path(__file__).parents[3]
CEILING = {"calls_a_batch": 2_800, "waits_a_batch": 175, "moved_kb_a_pair": 550}
"""Of all named policies on four small pods. Lower them when less is needed."""


def test_no_more_is_asked_than_before(gxx: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)
    device_host = importlib.import_module("bench.device_host")
    traces = [generate(small_variant(preset("mixed-pods")), seed).trace for seed in range(4)]
    with importlib.import_module("strict_cupy").installed() as cupy:
        figures = device_host.host_figures(cupy, traces, named_policies(), 0)
    assert {name: figures[name] for name, most in CEILING.items() if figures[name] > most} == {}
    # What is done is done for all traces of a batch at once.
    assert figures["calls_a_batch"] < 1.1 * figures["calls_a_batch_of_half_the_traces"]
