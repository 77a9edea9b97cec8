"""MODEL.md section 5, scope and gate: which regions the reference visits. Answers by hand in comments."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from by_hand import ev, host, policy, row, trace

from gmemgpu.engine.reference import ReferenceEngine
from gmemgpu.model.cost import Costs
from gmemgpu.model.host import Host
from gmemgpu.units import PAGES_PER_REGION, REGION_BYTES

# Passes take no time, so that they never meet.
QUICK = Costs(**{field.name: 0 for field in fields(Costs)})


def attempts(*events: tuple[int, ...], on: Host | None = None, warmup: int = 0, **choices: Any) -> int:
    """Count visits of passes from `warmup` on; costs are 0, so that a pass ends as it starts."""
    of = trace(*events, on=on or host(4), warmup=warmup)
    return ReferenceEngine().evaluate([of], [policy(**choices)], QUICK)[0][0]["attempts"]


def test_window_considers_all_covered_regions() -> None:
    assert attempts(ev(10, "vm_destroy")) == 4
    assert attempts(ev(10, "vm_destroy"), on=host(4, window_bytes=3 * REGION_BYTES)) == 3
    # Node windows of one region: nodes begin at regions 0 and 2, nothing covers 1 and 3.
    node = {"nodes": 2, "window": "node", "window_bytes": REGION_BYTES}
    assert attempts(ev(10, "vm_destroy"), on=host(4, **node)) == 2
    assert attempts(on=host(4, **node), boot=True) == 2


def test_host_without_coverage_has_empty_passes_only() -> None:
    found = row(trace(on=host(2, window_bytes=0)), policy("none", boot=True))
    assert (found["passes"], found["passes_empty"], found["optimizable_ns"]) == (0, 1, 200_000)


# Dirty


@pytest.mark.parametrize("scope", ["dirty", "dirty_retry"])
@pytest.mark.parametrize("kind", ["release", "share"])
@pytest.mark.parametrize("inode", [1, -1])
def test_dirty_takes_any_owner_and_needs_no_assigned_page(scope: str, kind: str, inode: int) -> None:
    # The extent covers the last page of region 0 and the first of region 1; nothing was assigned.
    last = PAGES_PER_REGION - 1
    assert attempts(ev(5, kind, 0, 2, page=last, inode=inode), ev(10, "vm_destroy"), scope=scope) == 2
    assert attempts(ev(5, kind, 0, 0, inode=inode), ev(10, "vm_destroy"), scope=scope) == 0


def test_dirty_is_up_to_the_start_and_after_the_last_attempt_s() -> None:
    def second_pass(release_ns: int) -> int:
        # Passes at 10 (if anything is dirty) and at 20.
        events = [ev(10, "vm_destroy"), ev(20, "vm_destroy"), ev(release_ns, "release")]
        return attempts(*sorted(events), warmup=20, scope="dirty")

    assert second_pass(9) == 0  # attempted at 10
    assert second_pass(10) == 0  # at exactly the start: seen by that pass
    assert second_pass(11) == 1
    assert second_pass(20) == 1
    assert second_pass(21) == 0  # too late for both


def test_dirty_from_time_zero_on_if_never_attempted() -> None:
    assert attempts(ev(0, "release"), ev(10, "vm_destroy"), scope="dirty") == 1
    # The boot pass at 0 attempted every region, and saw the release.
    assert attempts(ev(0, "release"), ev(10, "vm_destroy"), scope="dirty", boot=True, warmup=10) == 0


def test_dirty_during_a_pass_is_for_the_next() -> None:
    # Costs of COSTS: the pass runs [10, 1010), the release at 500 is later than its start.
    events = [ev(5, "release"), ev(10, "vm_destroy"), ev(500, "release"), ev(600, "vm_destroy")]
    found = row(trace(*events, on=host(4)), policy(scope="dirty"))
    assert (found["passes"], found["attempts_new"], found["attempts_cached"]) == (2, 1, 1)


def test_dirty_retry_forgets_failed_attempts_only() -> None:
    # Region 0 keeps a page: the attempt of 10 fails. Region 1 is free: that of 10 succeeds.
    events = [
        ev(0, "assign", 0, 2), ev(5, "release", 0), ev(5, "release", 1), ev(10, "vm_destroy"), ev(20, "vm_destroy"),
    ]  # fmt: skip
    assert attempts(*events, warmup=20, scope="dirty") == 0
    assert attempts(*events, warmup=20, scope="dirty_retry") == 1


def test_dirty_retry_forgets_failed_attempts_of_the_boot_pass() -> None:
    events = [ev(0, "assign", 0, 2), ev(0, "release", 0), ev(10, "vm_destroy")]
    assert attempts(*events, warmup=10, scope="dirty", boot=True) == 0
    assert attempts(*events, warmup=10, scope="dirty_retry", boot=True) == 1


def test_dirty_retry_keeps_wasted_attempts() -> None:
    # COSTS: [10, 1010) is clean at its visit and assigned at 500: wasted, not failed. Nothing is dirty at 2000.
    events = [ev(5, "release"), ev(10, "vm_destroy"), ev(500, "assign"), ev(2000, "vm_destroy")]
    found = row(trace(*events), policy(scope="dirty_retry"))
    assert (found["attempts_wasted"], found["passes"], found["passes_empty"]) == (1, 1, 1)


def test_skipped_pass_leaves_dirty_regions_dirty() -> None:
    off_and_on = [ev(8, "snp_shutdown_end"), ev(10, "vm_destroy"), ev(15, "snp_init"), ev(20, "vm_destroy")]
    assert attempts(ev(5, "release"), *off_and_on, scope="dirty") == 1


def test_attempts_of_gated_regions_do_not_happen() -> None:
    # At 10 the gate holds region 0 back, so it stays dirty until 20, when its last page has gone at 15.
    events = [
        ev(0, "assign", 0, 2), ev(5, "release"), ev(10, "vm_destroy"), ev(15, "release", 0, 2), ev(20, "vm_destroy"),
    ]  # fmt: skip
    assert attempts(*events, warmup=10, scope="dirty", gate="free") == 1
    assert attempts(*events, warmup=11, scope="dirty", gate="free") == 1


# VM, inode, region


def test_vm_names_the_regions_of_its_guest_memfds() -> None:
    events = [
        ev(0, "assign", 0, vm=1, inode=1),
        ev(1, "assign", 1, vm=1, inode=2),
        ev(2, "release", 1, vm=1, inode=2),  # "ever had"
        ev(3, "assign", 2, vm=1, inode=-1),  # a VMSA page is not of a guest_memfd
        ev(4, "assign", 3, vm=2, inode=3),
    ]
    assert attempts(*events, ev(10, "vm_destroy", vm=1), scope="vm") == 2
    assert attempts(*events, ev(10, "vm_destroy", vm=2), scope="vm") == 1
    assert attempts(*events, ev(10, "vm_destroy", vm=1), ev(10, "vm_destroy", vm=2), scope="vm") == 3
    assert attempts(*events, ev(10, "vm_destroy", vm=3), scope="vm") == 0
    assert attempts(*events, ev(10, "vm_destroy", vm=-1), scope="vm") == 0
    assert attempts(ev(0, "assign", vm=-1), ev(10, "vm_destroy", vm=-1), scope="vm") == 0
    assert attempts(*events, ev(0, "assign", 3, 0, vm=1), ev(10, "vm_destroy", vm=1), scope="vm") == 2


def test_inode_names_its_own_regions() -> None:
    events = [
        ev(0, "assign", 0, 2 * PAGES_PER_REGION, inode=1),
        ev(1, "assign", 2, inode=2),
        ev(2, "assign", 3, inode=-1),
    ]
    assert attempts(*events, ev(10, "evict_end", inode=1), hook="evict_end", scope="inode") == 2
    assert attempts(*events, ev(10, "evict_end", inode=2), hook="evict_end", scope="inode") == 1
    assert attempts(*events, ev(10, "evict_end", inode=-1), hook="evict_end", scope="inode") == 0


@pytest.mark.parametrize("scope", ["vm", "inode"])
def test_vm_and_inode_look_up_to_the_start(scope: str) -> None:
    def after(assign_ns: int) -> int:
        # The request at 10 starts its pass at 30.
        events = sorted([ev(10, "evict_begin"), ev(assign_ns, "assign")])
        return attempts(*events, hook="evict_begin", timer="fixed(20 ns)", scope=scope)

    assert (after(5), after(29), after(30), after(31)) == (1, 1, 1, 0)


def test_vm_and_inode_name_nothing_for_region_free() -> None:
    events = [ev(0, "assign"), ev(5, "release")]
    assert attempts(*events, hook="region_free", scope="vm") == 0
    assert attempts(*events, hook="region_free", scope="inode") == 0
    assert attempts(*events, hook="region_free", scope="region") == 1


def test_region_takes_the_extents_of_all_requests() -> None:
    last = PAGES_PER_REGION - 1
    events = [ev(5, "release", 0, 2, page=last), ev(6, "release", 1), ev(7, "release", 3), ev(8, "release", 2, 0)]
    assert attempts(*events, hook="free_folio", timer="fixed(10 ns)", scope="region") == 3  # 0, 1 and 3
    assert attempts(*events, hook="free_folio", timer="immediate", scope="region") == 4  # 0 and 1, 1, 3, none
    # A life-cycle event has no extent.
    assert attempts(ev(0, "assign"), ev(5, "vm_destroy"), scope="region") == 0


# Gate


def test_gates_look_at_the_state_at_the_start() -> None:
    # Region 0 free, 1 a VMSA page, 2 a guest's page, 3 both.
    events = [
        ev(0, "assign", 1, inode=-1), ev(0, "assign", 2), ev(0, "assign", 3, inode=-1), ev(0, "assign", 3, page=1),
    ]  # fmt: skip
    for boot in (False, True):
        end = () if boot else (ev(10, "vm_destroy"),)
        assert attempts(*events, *end, boot=boot, gate="all") == 4
        assert attempts(*events, *end, boot=boot, gate="gmem_free") == 2
        assert attempts(*events, *end, boot=boot, gate="free") == 1


def test_gmem_free_fails_on_a_vmsa_page() -> None:
    found = row(trace(ev(0, "assign", inode=-1), ev(10, "vm_destroy")), policy(gate="gmem_free"))
    assert (found["attempts"], found["attempts_failed"]) == (1, 1)


def test_the_last_assign_owns_a_page() -> None:
    taken = [ev(0, "assign", inode=-1), ev(1, "assign", inode=4)]
    given = [ev(0, "assign", inode=4), ev(1, "assign", inode=-1)]
    assert attempts(*taken, ev(10, "vm_destroy"), on=host(), gate="gmem_free") == 0
    assert attempts(*given, ev(10, "vm_destroy"), on=host(), gate="gmem_free") == 1
