"""
What the generator draws, against the figures published for or computed from Azure Public Dataset V1.

"30 d" and "7.16 d" figures are of its processed form (Bergsma et al., SOSP 2021): all arrivals of 30 days, and the
550,264 VMs with lifetimes of days 20.8 to 28; the 24-hour sample in ``jobs/data`` is the first of those. Files of that
length do not ship.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from gmemgpu.vmtable.native_csv import read_native_csv
from gmemgpu.vmtable.random_stream import Purpose, Stream
from gmemgpu.vmtable.tenant import running_vms
from gmemgpu.workload.draw import draw_vm_table, tenants_of
from gmemgpu.workload.preset import preset, workload_from_mapping
from gmemgpu.workload.spec import Workload

S = 10**9
SLOT_S = 300
DAY_S = 86_400
SAMPLE = Path(__file__).parents[2] / "jobs" / "data" / "azure_v1_vm_arrivals_sample_24h.csv.gz"

# Where lifetime bins end: every 300 s up to 3900 s, then every hour up to 86,700 s, then every day.
EDGES_S = np.concatenate([np.arange(0, 3901, 300), np.arange(7500, 86_701, 3600), np.arange(173_100, 518_701, 86_400)])
# CDF in %: the fitted mixture, and Kaplan-Meier over 669,435 VMs of 9.16 days.
FITTED_CDF = {900: 25.0, 1800: 49.5, 3600: 65.1, 7500: 72.6, 14_700: 78.3, 29_100: 84.8, 86_700: 93.0}
KAPLAN_MEIER = {
    600: 12.6,
    900: 24.1,
    1800: 52.0,
    3600: 64.6,
    7500: 73.6,
    14_700: 79.0,
    29_100: 84.3,
    86_700: 94.1,
    173_100: 96.2,
    345_900: 97.1,
}


@dataclass(frozen=True)
class Arrived:
    """VMs as a provider sees them: slots of arrival and of end, lives by bin; one row a VM, batches numbered from 0."""

    slot: np.ndarray
    batch: np.ndarray
    low_s: np.ndarray
    high_s: np.ndarray
    end_slot: np.ndarray
    known: np.ndarray
    size: np.ndarray

    def batch_sizes(self) -> np.ndarray:
        return np.bincount(self.batch)

    def counts(self, slots: int) -> np.ndarray:
        per_slot = np.bincount(self.slot)
        return per_slot[: len(per_slot) // slots * slots].reshape(-1, slots).sum(axis=1)

    def batches_per_slot(self) -> np.ndarray:
        return np.bincount(self.slot[np.unique(self.batch, return_index=True)[1]])


@pytest.fixture(scope="module")
def region() -> Arrived:
    """Draw a region for 30 days, at the rate of 452,901 batches in 29.98 days, none thinned."""
    workload = workload_from_mapping(
        {
            "horizon_ns": "30 d",
            "stock": {"vms": 0},
            "arrivals": {"batches_per_day": 452_901 / 29.98, "p_coloc": 1.0, "zipf_max": 400},
        },
        "",
        Path(),
    )
    vms = draw_vm_table(workload, 1)
    life_s = (vms.departure_ns - vms.arrival_ns) / S
    bin_of = np.searchsorted(EDGES_S, life_s, side="right")
    known = bin_of < len(EDGES_S)
    return Arrived(
        slot=vms.arrival_ns // (SLOT_S * S),
        batch=vms.batch,
        low_s=life_s,
        high_s=life_s,
        end_slot=vms.departure_ns // (SLOT_S * S),
        known=known,
        size=vms.memory_bytes,
    )


@pytest.fixture(scope="module")
def sample() -> Arrived:
    """Give the shipped day of the trace."""
    records = read_native_csv(SAMPLE)
    low_s = records.least_ns / S
    return Arrived(
        slot=records.arrival_ns // (SLOT_S * S),
        batch=np.unique(records.batch, return_inverse=True)[1],
        low_s=low_s,
        high_s=records.most_ns / S,
        # Deletion − creation in the original is the lower edge of the bin.
        end_slot=records.arrival_ns // (SLOT_S * S) + (low_s / SLOT_S).astype(np.int64),
        known=~records.endless,
        size=records.memory_bytes,
    )


def binned_log_life(vms: Arrived) -> np.ndarray:
    upper = np.searchsorted(EDGES_S, vms.low_s[vms.known], side="right")
    return np.log((EDGES_S[upper - 1] + EDGES_S[upper]) / 2)


def intraclass_correlation(values: np.ndarray, group: np.ndarray) -> float:
    """One-way analysis of variance with unequal groups of two and more."""
    sizes = np.bincount(group)
    keep = sizes[group] >= 2
    values, group = values[keep], np.unique(group[keep], return_inverse=True)[1]
    sizes = np.bincount(group)
    n, k = len(values), len(sizes)
    means = np.bincount(group, values) / sizes
    between = (sizes * (means - values.mean()) ** 2).sum() / (k - 1)
    within = ((values - means[group]) ** 2).sum() / (n - k)
    typical = (n - (sizes**2).sum() / n) / (k - 1)
    return float((between - within) / (between + (typical - 1) * within))


def modal_slot_shares(vms: Arrived) -> tuple[float, float]:
    """Share of lives up to 1 h that end in their batch's commonest slot: mean over batches, and weighted by VM."""
    short = vms.known & (vms.low_s < 3600)
    batch, slot = vms.batch[short], vms.end_slot[short]
    pairs, counts = np.unique(batch.astype(np.int64) * 10**9 + slot, return_counts=True)
    sizes = np.bincount(batch)
    commonest = np.zeros(len(sizes), dtype=np.int64)
    np.maximum.at(commonest, pairs // 10**9, counts)
    several = sizes >= 2
    by_batch = (commonest[several] / sizes[several]).mean()
    return float(by_batch), float(commonest[several].sum() / sizes[several].sum())


@pytest.mark.parametrize(("life_s", "percent"), FITTED_CDF.items())
def test_lifetimes_follow_the_fit(region: Arrived, life_s: int, percent: float) -> None:
    assert 100 * (region.low_s <= life_s).mean() == pytest.approx(percent, abs=1.0)


def test_lifetimes_follow_the_trace(region: Arrived) -> None:
    distance = max(abs((region.low_s <= life_s).mean() - percent / 100) for life_s, percent in KAPLAN_MEIER.items())
    assert distance <= 0.03


def test_the_shipped_day_has_lifetimes_like_the_nine_days(sample: Arrived) -> None:
    # Actuarial Kaplan-Meier: half of those censored in a bin count as at risk. One day is off by several points.
    bin_of = np.searchsorted(EDGES_S, sample.low_s, side="right") - 1
    ended = np.bincount(bin_of[sample.known], minlength=len(EDGES_S))
    censored = np.bincount(bin_of[~sample.known], minlength=len(EDGES_S))
    at_risk = len(sample.low_s) - np.cumsum(ended + censored) + ended + censored / 2
    cdf = 1 - np.cumprod(1 - ended / np.maximum(at_risk, 1))
    for life_s, percent in KAPLAN_MEIER.items():
        if life_s <= 86_700:
            assert 100 * cdf[np.searchsorted(EDGES_S, life_s) - 1] == pytest.approx(percent, abs=5.0)


def test_mean_lifetime_meets_littles_law() -> None:
    # 104,371,713 VM hours over 62,400 arrivals a day × 30 days are 55.8 h; the mixture has 55.2 h.
    mean_h = tenants_of(preset("iaas-mixed")).lifetime.mean_s / 3600
    assert mean_h == pytest.approx(55.2, rel=0.001)
    assert mean_h == pytest.approx(104_371_713 / (62_400 * 30), rel=0.02)


@pytest.mark.parametrize(
    ("low", "high", "share", "by_vm"),
    [
        (1, 1, 0.572, 0.138),
        (2, 2, 0.181, 0.087),
        (3, 5, 0.130, 0.116),
        (6, 10, 0.053, 0.099),
        (11, 25, 0.041, 0.155),
        (26, 50, 0.015, 0.122),
        (51, 400, 0.009, 0.282),
    ],
)
def test_batch_sizes(region: Arrived, low: int, high: int, share: float, by_vm: float) -> None:
    # Histogram of 452,901 batches, 30 d.
    sizes = region.batch_sizes()
    of_class = (sizes >= low) & (sizes <= high)
    assert of_class.mean() == pytest.approx(share, abs=0.04)
    assert sizes[of_class].sum() / sizes.sum() == pytest.approx(by_vm, abs=0.04)


def test_batch_size_moments(region: Arrived, sample: Arrived) -> None:
    # 30 d: 4.13 and 62.4. The tail is heavy: one day has 4.42 and 85.2, 7.16 d have 5.05 and 97.7.
    sizes = region.batch_sizes()
    assert sizes.mean() == pytest.approx(4.13, rel=0.05)
    assert (sizes**2).mean() / sizes.mean() == pytest.approx(62.4, rel=0.2)
    sizes = sample.batch_sizes()
    assert sizes.mean() == pytest.approx(4.419, abs=0.001)
    assert (sizes**2).mean() / sizes.mean() == pytest.approx(85.16, abs=0.01)


@pytest.mark.parametrize(("minutes", "ratio"), [(5, 82), (15, 143), (60, 278), (180, 648)])
def test_variance_of_vm_counts(region: Arrived, minutes: int, ratio: float) -> None:
    # Variance over mean, 30 d; a Poisson process of VMs would have 1.
    counts = region.counts(minutes // 5)
    assert ratio / 1.5 < counts.var() / counts.mean() < ratio * 1.5


def test_batches_are_nearly_poisson_inside_an_hour(region: Arrived, sample: Arrived) -> None:
    # The trace has 1.17 over 30 d and 1.36 on its shipped day; the model has none of that small excess.
    def inside_an_hour(vms: Arrived) -> float:
        hours = vms.batches_per_slot()
        hours = hours[: len(hours) // 12 * 12].reshape(-1, 12)
        return float((hours.var(axis=1, ddof=1) / hours.mean(axis=1)).mean())

    assert inside_an_hour(region) == pytest.approx(1.0, abs=0.05)
    assert inside_an_hour(sample) == pytest.approx(1.363, abs=0.001)
    assert region.batches_per_slot().mean() == pytest.approx(52.4, rel=0.02)


def test_shape_of_vm_counts_per_slot(region: Arrived) -> None:
    # 30 d: mean 216.6, p99 3.2 times it, largest 1806, and each slot like the one before (0.48, by day and by hour).
    counts = region.counts(1)
    assert counts.mean() == pytest.approx(216.6, rel=0.05)
    assert np.quantile(counts, 0.99) / counts.mean() == pytest.approx(3.2, rel=0.15)
    assert 900 < counts.max() < 2500
    assert np.corrcoef(counts[1:], counts[:-1])[0, 1] > 0.1


def test_lives_in_a_batch_are_alike(region: Arrived, sample: Arrived) -> None:
    # 7.16 d: 0.859, 9.2 d: 0.845.
    def correlation(vms: Arrived) -> float:
        return intraclass_correlation(binned_log_life(vms), vms.batch[vms.known])

    assert correlation(region) == pytest.approx(0.859, abs=0.03)
    assert correlation(sample) == pytest.approx(0.852, abs=0.001)


def test_a_batch_ends_together(region: Arrived, sample: Arrived) -> None:
    # 7.16 d: 0.731 of the mean batch, 0.677 of VMs.
    assert modal_slot_shares(region) == pytest.approx((0.731, 0.677), abs=0.05)
    assert modal_slot_shares(sample) == pytest.approx((0.736, 0.678), abs=0.001)


def test_a_batch_has_one_size(region: Arrived) -> None:
    # The first 7.16 d: 80 % of batches of two and more have one size; 93 % of VMs have their predecessor's.
    sizes = region.batch_sizes()
    first = np.searchsorted(region.batch, np.arange(len(sizes)))
    unlike_first = np.bincount(region.batch, region.size != region.size[first][region.batch])
    one_kind = unlike_first == 0
    assert one_kind[sizes >= 2].mean() == pytest.approx(0.80, abs=0.03)
    together = region.batch[1:] == region.batch[:-1]
    assert (region.size[1:] == region.size[:-1])[together].mean() == pytest.approx(0.93, abs=0.02)


def test_sizes_of_arrivals() -> None:
    # Mean 2.59 vCPUs and 6.1 GB per arrival, 30 d. Batches share sizes, so the mean needs many of them.
    vms = draw_vm_table(
        workload_from_mapping(
            {
                "horizon_ns": "7 d",
                "stock": {"vms": 0},
                "snp": {"share": 0.0},
                "arrivals": {"process": "poisson", "vms_per_s": 0.5},
            },
            "",
            Path(),
        ),
        1,
    )
    assert vms.vcpus.mean() == pytest.approx(2.59, rel=0.03)
    assert vms.memory_bytes.mean() / 2**30 == pytest.approx(6.1, rel=0.03)


def test_a_host_sees_bursts_as_one_of_the_trace_does() -> None:
    # Variance over mean of a host's arrivals an hour, in two days: a region thinned to hosts, of days that no other
    # figure was fitted to, has 2.3 (median over hosts; mean 4.2). Poisson arrivals would have 1.
    workload = workload_from_mapping({"horizon_ns": "30 d", "stock": {"vms": 0}}, "", Path())
    ratios = []
    for seed in range(100):
        hours = draw_vm_table(workload, seed).arrival_ns // (3600 * S)
        counts = np.bincount(hours, minlength=720)[:720].reshape(15, 48)
        ratios.append(counts.var(axis=1, ddof=1) / counts.mean(axis=1))
    assert np.median(ratios) == pytest.approx(2.3, abs=0.2)
    assert np.mean(ratios) == pytest.approx(4.2, rel=0.15)


@pytest.fixture(scope="module")
def months() -> tuple[np.ndarray, np.ndarray]:
    """Running VMs at every hour of 30 days, and arrivals, of 60 hosts."""
    base = preset("iaas-mixed")
    workload = Workload.model_validate({**base.model_dump(), "horizon_ns": 30 * DAY_S * S})
    running, arrivals = [], []
    hours_ns = np.arange(0, 30 * 24) * 3600 * S
    for seed in range(60):
        vms = draw_vm_table(workload, seed)
        come = np.searchsorted(np.sort(vms.arrival_ns), hours_ns, side="right")
        gone = np.searchsorted(np.sort(vms.departure_ns), hours_ns, side="right")
        running.append(come - gone)
        arrivals.append(int((~vms.stock).sum()))
    return np.array(running), np.array(arrivals)


def test_a_host_is_stationary_from_the_start(months: tuple[np.ndarray, np.ndarray]) -> None:
    running, _ = months
    days = np.arange(running.shape[1]) / 24
    slopes = np.array([np.polyfit(days, host, 1)[0] for host in running])
    assert abs(slopes.mean()) < 2 * slopes.std(ddof=1) / np.sqrt(len(slopes))
    assert running[:, 0].tolist() == [110] * 60
    assert running[:, -48:].mean() == pytest.approx(110, rel=0.05)


def test_arrivals_per_running_vm(months: tuple[np.ndarray, np.ndarray]) -> None:
    # Azure V1: 0.43 a day.
    running, arrivals = months
    assert arrivals.mean() / 30 / running.mean() == pytest.approx(0.43, rel=0.1)


def test_littles_law(months: tuple[np.ndarray, np.ndarray]) -> None:
    running, arrivals = months
    mean_days = tenants_of(preset("iaas-mixed")).lifetime.mean_s / DAY_S
    assert arrivals.mean() / 30 * mean_days == pytest.approx(running.mean(), rel=0.03)


def test_without_length_bias_a_host_would_not_be_stationary() -> None:
    # Why the stock is drawn so: with whole lives in place of long-lived ones, most of it is gone within a day.
    tenants = tenants_of(preset("iaas-mixed"))
    whole = tenants.lifetime.draw_s(20_000, Stream(1, Purpose.LIFETIME_COMPONENT), Stream(1, Purpose.LIFETIME))
    left = running_vms(tenants, 1, 20_000).departure_ns / S
    assert (whole > DAY_S).mean() < 0.1
    assert (left > DAY_S).mean() > 0.9


@pytest.mark.parametrize(
    ("name", "mean_h"),
    [("azure2017", 55.2), ("azure2017_mle", 46.9), ("azure2019", 66.0), ("google_like", 17.0), ("sysdig2019", 45.5)],
)
def test_means_of_the_packaged_lifetimes(name: str, mean_h: float) -> None:
    workload = workload_from_mapping({"lifetime": {"name": name}}, "", Path())
    assert tenants_of(workload).lifetime.mean_s / 3600 == pytest.approx(mean_h, rel=0.01)


@pytest.mark.parametrize(
    ("name", "percent"),
    [
        ("azure2019", {3600: 68.6, 7500: 77.6, 14_700: 83.3, 29_100: 88.3, 86_700: 94.2, 173_100: 96.5, 345_900: 97.9}),
        ("google_like", {3600: 88}),
        ("gpu_pod", {540: 50, 4.6 * 3600: 95, 26.8 * 3600: 99}),
        ("hpc_batch", {69: 50, 482: 75}),
        ("sysdig2019", {10: 21.6, 300: 52.9, 3600: 75.5}),
    ],
)
def test_quantiles_of_the_packaged_lifetimes(name: str, percent: dict[float, float]) -> None:
    life = tenants_of(workload_from_mapping({"lifetime": {"name": name}}, "", Path())).lifetime
    drawn = life.draw_s(100_000, Stream(1, Purpose.LIFETIME_COMPONENT), Stream(1, Purpose.LIFETIME))
    for life_s, share in percent.items():
        # A fit of two figures does not meet every other to the point.
        assert 100 * (drawn <= life_s).mean() == pytest.approx(share, abs=1.5)
