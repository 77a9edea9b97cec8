"""MODEL.md section 7, tracker_updates: what a policy's book-keeping would be told. Answers by hand in comments."""

from __future__ import annotations

import pytest
from by_hand import ev, policy, row, trace

from gmemgpu.catalogue import choose_policies, named_policies

# Folios: 3 + 4 of assigns, 2 + 4 of releases, 3 of a share; without the pages of no inode 3, 2 and 3.
EVENTS = [
    ev(0, "assign", pages=1025, folio=512),
    ev(5, "snp_shutdown_end"),  # off until the init: events count all the same
    ev(10, "release", pages=513, folio=512),
    ev(10, "invalidate", pages=9), ev(10, "freed", pages=9), ev(10, "use", pages=9), ev(10, "unuse", pages=9),
    ev(15, "snp_init"),
    ev(20, "share", pages=3),
    ev(30, "assign", pages=4, inode=-1),
    ev(40, "release", pages=4, inode=-1),  # of pages of which three were shared: as it stands
    ev(50, "release", pages=0), ev(50, "vm_destroy"), ev(50, "evict_end"),
]  # fmt: skip
ALL, OWNED, CLEARED = 7 + 6 + 3, 3 + 2 + 3, 6 + 3


@pytest.mark.parametrize(
    ("hook", "choices", "updates"),
    [
        ("vm_destroy", {}, 0),
        ("conversion", {"scope": "region"}, 0),
        ("none", {"gate": "free"}, ALL),  # whether or not a pass ever runs
        ("vm_destroy", {"gate": "gmem_free"}, OWNED),
        ("region_free", {}, ALL),
        ("region_free", {"gate": "free"}, ALL),  # one count serves both
        ("region_free", {"gate": "gmem_free"}, ALL),
        ("conversion", {"scope": "dirty"}, CLEARED),
        ("none", {"scope": "dirty_retry"}, CLEARED),
        ("region_free", {"scope": "dirty"}, ALL + CLEARED),
        ("free_folio", {"scope": "dirty", "gate": "gmem_free"}, OWNED + CLEARED),
        ("none", {"scope": "dirty_retry", "gate": "free"}, ALL + CLEARED),
    ],
)
def test_a_count_and_a_bitmap_are_told_folio_by_folio(hook: str, choices: dict[str, str], updates: int) -> None:
    assert row(trace(*EVENTS), policy(hook, **choices))["tracker_updates"] == updates


def test_a_clock_may_have_a_bitmap() -> None:
    assert row(trace(*EVENTS), policy("none", "periodic(60 s)", scope="dirty"))["tracker_updates"] == CLEARED


@pytest.mark.parametrize(
    ("warmup", "horizon", "updates"),
    [(0, 100, 25), (10, 100, 2 * 5 + 4 + 2 * 4), (11, 100, 2 * 3 + 4 + 2 * 4), (11, 40, 2 * 3 + 4), (50, 100, 0)],
)
def test_of_events_from_the_warm_up_to_the_horizon(warmup: int, horizon: int, updates: int) -> None:
    # A release or share counts for both, an assign once.
    both = policy("region_free", scope="dirty")
    assert row(trace(*EVENTS, warmup=warmup, horizon=horizon), both)["tracker_updates"] == updates


def test_named_policies() -> None:
    wanted = {"merged": 0, "oracle": 0, "hugetlb_1g_freed": 0, "dirty_10s": 9, "refcount": 16, "gmem_tracked": 17}
    found = {one.name: row(trace(*EVENTS), one) for one in choose_policies(wanted, named_policies())}
    assert {name: of["tracker_updates"] for name, of in found.items()} == wanted
