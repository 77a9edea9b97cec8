"""Entries are read as Linux reads them: the page's own, and that of its 2 MiB page."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rmp_dumps import entry, table

from gmemgpu.rmp.entry import LAYOUTS, Layout, decode, implausible
from gmemgpu.units import PAGES_PER_BLOCK

N_PAGES = 3 * PAGES_PER_BLOCK
fields = st.fixed_dictionaries(
    {"asid": st.integers(1, 1023), "large": st.booleans(), "immutable": st.booleans(), "vmsa": st.booleans()}
)
places = st.sampled_from([0, 1, 511, 512, 513, 1023, 1024, 1535]) | st.integers(0, N_PAGES - 1)


@pytest.mark.parametrize("layout", LAYOUTS)
@given(pages=st.dictionaries(places, fields, max_size=8))
def test_the_head_of_a_block_speaks_for_it_if_it_is_large(layout: Layout, pages: dict[int, dict[str, int]]) -> None:
    entries = table(N_PAGES, {pfn: entry(layout, gpa=pfn << 12, **of) for pfn, of in pages.items()})
    found = decode(entries, layout)
    for pfn in range(N_PAGES):
        head = pages.get(pfn - pfn % PAGES_PER_BLOCK)
        says = head if head and head["large"] else pages.get(pfn)
        assert found.assigned[pfn] == (says is not None)
        assert found.large[pfn] == (says is not None and says is head and head["large"])
        assert found.asid[pfn] == (says["asid"] if says else -1)
        assert found.vmsa[pfn] == (layout == "raw" and says is not None and says["vmsa"])
    assert not implausible(entries, layout).any()


def test_entries_of_a_published_dump() -> None:
    # https://github.com/AMDESE/AMDSEV/issues/245: pages of an RMP, the first with a count of pages in reserved bits.
    entries = table(PAGES_PER_BLOCK, {0: (0x80000000000007FD, 0), 1: (0x8000000000000005, 0)})
    found = decode(entries, "raw")
    assert np.flatnonzero(found.assigned).tolist() == [0, 1]
    assert found.asid[:3].tolist() == [0, 0, -1]
    assert not found.large.any()
    assert not implausible(entries, "raw").any()
    assert implausible(entries, "rmpread")[:3].tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        ("raw", (1, 0)),  # assigned to nobody
        ("raw", (1 | 5 << 51 | 1 << 3, 0)),  # a reserved bit, not at a 2 MiB boundary
        ("raw", (1 << 51, 0)),  # an owner without a page
        ("raw", (0, 7)),
        ("rmpread", (0, 1)),
        ("rmpread", (0x800, 1 | 5 << 32)),  # no page's address
        ("rmpread", (0x1000, 1 | 5 << 32 | 1 << 24)),
        ("rmpread", (0x1000, 0)),
    ],
)
def test_what_no_rmp_holds(layout: Layout, words: tuple[int, int]) -> None:
    assert implausible(table(PAGES_PER_BLOCK, {1: words}), layout).nonzero()[0].tolist() == [1]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_is_not_taken_for_the_other(layout: Layout) -> None:
    entries = table(PAGES_PER_BLOCK, {7: entry(layout, asid=5, gpa=0x7000), 9: entry(layout, immutable=True)})
    (other,) = set(LAYOUTS) - {layout}
    assert implausible(entries, other)[[7, 9]].all()
