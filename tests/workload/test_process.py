from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gmemgpu.units import GIB
from gmemgpu.vmtable.table import VmTable
from gmemgpu.workload.draw import draw_vm_table
from gmemgpu.workload.preset import workload_from_mapping

S = 10**9
HOUR_NS = 3600 * S
DAY_NS = 24 * HOUR_NS


def draw(seed: int = 1, **mapping: Any) -> VmTable:
    vms = draw_vm_table(workload_from_mapping(mapping, "", Path()), seed)
    assert np.all(np.diff(vms.arrival_ns) >= 0)
    assert np.all(vms.departure_ns > vms.arrival_ns)
    return vms


def test_none_leaves_the_stock() -> None:
    vms = draw(stock={"vms": 7}, arrivals={"process": "none"})
    assert vms.stock.tolist() == [True] * 7


def test_fixed_rate() -> None:
    vms = draw(
        horizon_ns="1 min", stock={"vms": 0}, arrivals={"process": "fixed", "interval_ns": "20 s", "batch_vms": 3}
    )
    assert vms.arrival_ns.tolist() == [20 * S] * 3 + [40 * S] * 3
    assert vms.batch.tolist() == [0, 0, 0, 1, 1, 1]


def test_poisson_arrivals_are_alone_and_at_their_rate() -> None:
    vms = draw(horizon_ns="1 d", stock={"vms": 0}, arrivals={"process": "poisson", "vms_per_s": 1.5})
    assert len(vms) == pytest.approx(1.5 * 86_400, rel=0.02)
    assert len(set(vms.batch.tolist())) == len(vms)
    counts = np.bincount(vms.arrival_ns // (60 * S))
    assert counts.var() / counts.mean() == pytest.approx(1.0, abs=0.1)


def test_weibull_gaps_bring_whole_batches() -> None:
    vms = draw(
        horizon_ns="10 d",
        stock={"vms": 0},
        arrivals={"process": "weibull_gaps", "gap_scale_ns": "17.7 s", "p_coloc": 1.0, "zipf_max": 64},
    )
    # 68.7 batches of 2.91 an hour.
    assert len(vms) / 240 == pytest.approx(200, rel=0.05)
    assert np.bincount(vms.batch).max() > 20


def test_night_batch() -> None:
    usual = {"batches_per_day": 15.0}
    vms = draw(preset="batch-night", horizon_ns="5 d", arrivals=usual)
    without = draw(horizon_ns="5 d", stock={"vms": 30}, snp={"share": 0.1}, arrivals=usual)
    night = (vms.arrival_ns % DAY_NS == 2 * HOUR_NS) & ~vms.stock
    assert len(vms) - len(without) == night.sum()
    for day in range(5):
        mine = night & (vms.arrival_ns // DAY_NS == day)
        assert 50 <= mine.sum() <= 90
        assert np.all(vms.snp[mine])
        assert set(vms.memory_bytes[mine]) == {8 * GIB}
        assert np.ptp(vms.departure_ns[mine]) <= 300 * S
        assert len(set(vms.batch[mine])) == 1
    # The usual arrivals stay the same beside it.
    assert vms.departure_ns[~night].tolist() == without.departure_ns.tolist()


def test_maintenance_ends_all_confidential_guests_at_once_and_refills() -> None:
    vms = draw(preset="maintenance", stock={"vms": 400})
    snp, plain = vms.stock & vms.snp, vms.stock & ~vms.snp
    assert vms.departure_ns[snp].min() >= HOUR_NS
    assert vms.departure_ns[snp].max() < HOUR_NS + 60 * S
    assert vms.departure_ns[plain].min() >= HOUR_NS + 600 * S
    assert vms.departure_ns[plain].max() < 2 * HOUR_NS
    assert snp.sum() == pytest.approx(200, abs=40)
    back = ~vms.stock
    assert back.sum() == 400
    assert vms.arrival_ns[back].min() >= 2 * HOUR_NS
    assert vms.arrival_ns[back].max() <= 3 * HOUR_NS
    assert vms.departure_ns[back].min() > 4 * HOUR_NS


def test_autoscale_adds_and_removes_one_by_one() -> None:
    vms = draw(preset="rolling-autoscale", arrivals={"backfill_share": 0.0})
    added = ~vms.stock
    assert np.all(vms.snp[added])
    assert added.sum() == 3 * 40
    assert vms.arrival_ns[added].reshape(3, 40).tolist() == [
        [day * DAY_NS + 8 * HOUR_NS + i * 5 * S for i in range(40)] for day in range(3)
    ]
    assert np.all(vms.departure_ns[added] - vms.arrival_ns[added] == 10 * HOUR_NS)
    assert vms.departure_ns[vms.stock].min() > 3 * DAY_NS
    assert set(vms.memory_bytes) == {8 * GIB}


def test_autoscale_cut_by_the_horizon() -> None:
    vms = draw(preset="rolling-autoscale", horizon_ns=DAY_NS + 8 * HOUR_NS + 12 * S)
    assert (~vms.stock & vms.snp).sum() == 40 + 3


def test_ordinary_vms_work_at_night_in_the_room_of_a_service() -> None:
    both = {"backfill_share": 1.0, "backfill_after_ns": "2 min"}
    vms = draw(preset="rolling-autoscale", arrivals=both, horizon_ns="36 h")
    night = ~vms.stock & ~vms.snp
    evening = 18 * HOUR_NS + np.arange(40) * 5 * S
    assert vms.arrival_ns[night].tolist() == (evening + 120 * S).tolist()
    # They make room as the service grows again.
    assert vms.departure_ns[night].tolist() == (DAY_NS + 8 * HOUR_NS + np.arange(40) * 5 * S).tolist()
    half = draw(preset="rolling-autoscale", arrivals={"backfill_share": 0.5}, horizon_ns="36 h")
    assert 8 < (~half.stock & ~half.snp).sum() < 32


def test_last_big_vm_comes_after_the_stock_and_ends_alone() -> None:
    vms = draw(preset="last-big-VM", arrivals={"refill_share": 0.0})
    assert len(vms) == 101
    assert vms.snp.tolist() == [False] * 100 + [True]
    assert (vms.memory_bytes[-1], vms.vcpus[-1], vms.departure_ns[-1]) == (512 * GIB, 64, 1800 * S)
    assert vms.departure_ns[:-1].min() > 4 * HOUR_NS
    assert np.all(vms.stock)


@pytest.mark.parametrize("share", [1.0, 0.25])
def test_ordinary_guests_move_into_the_memory_of_the_last_big_vm(share: float) -> None:
    vms = draw(preset="last-big-VM", arrivals={"refill_share": share})
    come = ~vms.stock
    assert not np.any(vms.snp[come])
    assert vms.departure_ns[come].min() > 4 * HOUR_NS
    # The same GiB but for the one guest that would not fit any more, within half an hour of its end, evenly.
    taken = vms.memory_bytes[come].sum()
    assert share * 512 * GIB - 112 * GIB < taken < share * 512 * GIB
    after = vms.arrival_ns[come] - 1800 * S
    assert after.min() >= 0
    assert after.max() < 1800 * S
    assert after.mean() == pytest.approx(900 * S, rel=0.25)


def test_gangs_take_all_slots_within_seconds_and_slots_are_filled_again() -> None:
    vms = draw(preset="spot-evict", horizon_ns="60 d", warmup_ns=0)
    ends = np.sort(vms.departure_ns[vms.departure_ns < 60 * DAY_NS])
    # Sixteen ends within half a minute happen twice a week; by chance never.
    together = ends[15:] - ends[:-15] <= 30 * S
    assert np.sum(np.diff(np.flatnonzero(together), prepend=-100) > 20) == pytest.approx(2 * 60 / 7, abs=9)
    running = np.cumsum(np.bincount(vms.arrival_ns // HOUR_NS, minlength=1440)[:1440]) - np.cumsum(
        np.bincount(np.minimum(vms.departure_ns, 60 * DAY_NS) // HOUR_NS, minlength=1441)[:1440]
    )
    assert running.max() <= 16
    assert running.mean() > 15
    # One VM lives LN(13,680 s, 1), mean 22,555 s: 3.8 losses per slot and day, and gangs.
    assert len(ends) / 16 / 60 == pytest.approx(86_400 / (22_555 + 136) + 2 / 7, rel=0.1)


def test_a_slot_never_holds_two_vms() -> None:
    vms = draw(preset="spot-evict", stock={"vms": 1}, horizon_ns="60 d")
    assert np.all(vms.arrival_ns[1:] > vms.departure_ns[:-1])


def test_gangs_without_a_gang() -> None:
    vms = draw(preset="spot-evict", arrivals={"gangs_per_week": 0.0}, horizon_ns="7 d")
    assert len(vms) > 16 * 10
