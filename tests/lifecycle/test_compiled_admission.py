"""Compiled placement against the plain one: the same VMs in the same blocks and pages, full hosts and all."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gmemgpu.lifecycle.admission import GivenBack, endless_draws, place_vms
from gmemgpu.placement.choice import build_allocator, compiled_pays
from gmemgpu.placement.displaced import Displaced, no_displaced
from gmemgpu.placement.host_map import HostMap
from gmemgpu.placement.kernel_pages import KernelPages
from gmemgpu.vmtable.random_stream import Purpose, Stream
from gmemgpu.workload.preset import preset

pytest.importorskip("numba")

NOT_COMPILED = "NUMBA_DISABLE_JIT" in os.environ
SOME = preset("iaas-mixed").memory.model_copy(update={"placement": "lifo"})


@st.composite
def _cases(draw: st.DrawFn) -> tuple[HostMap, list[np.ndarray], GivenBack, Displaced]:
    nodes, node_blocks = draw(st.integers(1, 3)), draw(st.sampled_from([40, 100]))
    free = []
    for first in range(0, nodes * node_blocks, node_blocks):
        cuts = sorted(draw(st.sets(st.integers(0, node_blocks), max_size=6)))
        free.append(tuple((first + low, high - low) for low, high in zip(cuts[::2], cuts[1::2], strict=False)))
    n = draw(st.integers(0, 25))

    def column(low: int, high: int) -> np.ndarray:
        return np.array(draw(st.lists(st.integers(low, high), min_size=n, max_size=n)), np.int64)

    # Pages by the hundred fill common blocks, so that lists of blocks with room come about.
    n_blocks, node, n_pages = column(1, 30), column(-1, nodes - 1), column(0, 6) * draw(st.sampled_from([1, 100]))
    arrival = np.sort(column(0, 40))
    rows = []
    for vm in range(n):
        cut = draw(st.integers(0, int(n_blocks[vm])))
        parts = {(0, cut), (cut, int(n_blocks[vm])), (-1, -1)} - {(0, 0), (int(n_blocks[vm]),) * 2}
        for first, end in sorted(parts):
            if draw(st.booleans()) and (first >= 0 or n_pages[vm]):
                rows.append((int(arrival[vm]) + draw(st.integers(1, 12)), vm, first, end))
    t_ns, vms, first, end = np.array(rows, np.int64).reshape(-1, 4).T
    returns = GivenBack(t_ns=t_ns, vm=vms, first_block=first, end_block=end)
    host_map = HostMap(node_blocks=node_blocks, free=tuple(free), assigned=(), in_use=())
    share = draw(st.sampled_from([0.0, 0.0, 0.2, 1.0]))
    return host_map, [arrival, n_blocks, n_pages, node], returns, some_displaced(n_blocks, share)


def some_displaced(n_blocks: np.ndarray, share: float) -> Displaced:
    rng = np.random.default_rng(3)
    places = [np.flatnonzero(rng.random(n) < share) for n in n_blocks]
    first = np.cumsum([0, *map(len, places)])
    return Displaced(first=first, block=np.concatenate([np.zeros(0, np.int64), *places]))


def assert_equal_placements(
    host_map: HostMap,
    columns: list[np.ndarray],
    returns: GivenBack,
    displaced: Displaced,
    placement: str,
    vmsa: str,
) -> None:
    from gmemgpu.lifecycle.compiled_admission import place_vms_compiled

    memory = SOME.model_copy(update={"placement": placement, "vmsa": vmsa})
    allocator = build_allocator(host_map, memory, Stream(7, Purpose.PLACEMENT))
    draws = endless_draws(Stream(7, Purpose.VMSA))
    snp = np.ones(len(columns[0]), np.bool_)
    plain = place_vms(
        *columns,
        snp,
        returns,
        allocator=allocator,
        kernel_pages=KernelPages(allocator, memory.vmsa, draws),
        displaced=displaced,
        displaced_draws=endless_draws(Stream(7, Purpose.DISPLACED_PLACE)),
    )
    compiled = place_vms_compiled(
        *columns,
        returns,
        host_map=host_map,
        memory=memory,
        stream=Stream(7, Purpose.VMSA),
        displaced=displaced,
        displaced_stream=Stream(7, Purpose.DISPLACED_PLACE),
    )
    for name in ("admitted", "extent_vm", "extent_pfn", "extent_pages", "page_vm", "page_pfn"):
        one, other = getattr(compiled, name), getattr(plain, name)
        assert one.dtype == other.dtype, name
        np.testing.assert_array_equal(one, other, name)


@settings(max_examples=settings.default.max_examples * (6 if NOT_COMPILED else 15) // 10)
@given(_cases(), st.sampled_from(["lifo", "first_fit"]), st.sampled_from(["packed", "scatter"]))
def test_drawn_hosts(case: tuple[HostMap, list[np.ndarray], GivenBack, Displaced], placement: str, vmsa: str) -> None:
    assert_equal_placements(*case, placement, vmsa)


@pytest.mark.parametrize("vmsa", ["packed", "scatter"])
@pytest.mark.parametrize("placement", ["lifo", "first_fit"])
@pytest.mark.parametrize("share", [0.0, 0.1])
def test_a_long_day_on_a_small_host(share: float, placement: str, vmsa: str) -> None:
    # So long that the keys of free extents, most of them stale by then, are collected anew many times.
    rng = np.random.default_rng(7)
    n, node_blocks = 2000, 60
    arrival = np.sort(rng.integers(0, 4 * n, n))
    n_blocks = rng.integers(1, 12, n)
    vm = np.concatenate([np.arange(n), np.arange(n)])
    pages = np.repeat([True, False], n)
    returns = GivenBack(
        t_ns=arrival[vm] + rng.integers(1, 60, 2 * n),
        vm=vm,
        first_block=np.where(pages, -1, 0),
        end_block=np.where(pages, -1, n_blocks[vm]),
    )
    host_map = HostMap(node_blocks=node_blocks, free=(((0, 50),), ((60, 60),)), assigned=(), in_use=())
    columns = [arrival, n_blocks, rng.integers(1, 5, n), rng.integers(-1, 2, n)]
    displaced = some_displaced(n_blocks, share) if share else no_displaced(n)
    assert_equal_placements(host_map, columns, returns, displaced, placement, vmsa)


def test_it_pays_for_many_vms_of_a_placement_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", object())
    assert compiled_pays(SOME, 10**6)
    assert not compiled_pays(SOME, 10)
    assert not compiled_pays(SOME.model_copy(update={"placement": "scatter"}), 10**6)
    monkeypatch.delitem(sys.modules, "numba")
    assert not compiled_pays(SOME, 10**6)


@pytest.mark.skipif(NOT_COMPILED, reason="is that run")
def test_the_text_of_compiled_code_without_a_compiler() -> None:
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", __file__],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        check=True,
    )
