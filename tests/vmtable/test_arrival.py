from __future__ import annotations

import numpy as np
import pytest

from gmemgpu.units import NS_PER_S
from gmemgpu.vmtable.arrival import (
    batch_sizes_on_host,
    fixed_times,
    gamma_quantile,
    renewal_times,
    rhythmic_times,
    zipf_weights,
)
from gmemgpu.vmtable.random_stream import Purpose, Stream

HOUR_NS = 3600 * NS_PER_S
DAY_NS = 24 * HOUR_NS
RHYTHM = {"amplitude_24h": 0.377, "amplitude_12h": 0.031, "peak_ns": 14 * HOUR_NS}


def test_hours_of_the_day_follow_the_rhythm() -> None:
    times = rhythmic_times(1, 100 * DAY_NS, per_day=24_000, **RHYTHM)
    hours = np.bincount(times // HOUR_NS % 24) / 100_000
    assert hours.argmax() in (13, 14)
    # (1 + .377 + .031) / (1 − .377 + .031). Azure V1's own hours differ by 2.34: two cosines leave 8 % of that out.
    assert hours.max() / hours.min() == pytest.approx(2.15, rel=0.02)
    assert len(times) == pytest.approx(2_400_000, rel=0.01)


def test_the_weekly_mean_is_the_rate_whatever_the_weekend() -> None:
    times = rhythmic_times(1, 70 * DAY_NS, per_day=10_000, weekend_factor=0.5, weekend_days=2)
    days = np.bincount(times // DAY_NS).reshape(-1, 7).mean(axis=0)
    assert days.mean() == pytest.approx(10_000, rel=0.01)
    assert days[5:].mean() / days[:5].mean() == pytest.approx(0.5, rel=0.02)


def test_day_factors_spread_days_and_keep_the_mean() -> None:
    times = rhythmic_times(1, 700 * DAY_NS, per_day=2000, day_factor_cv=0.2)
    days = np.bincount(times // DAY_NS, minlength=700)
    assert days.mean() == pytest.approx(2000, rel=0.03)
    assert days.std() / days.mean() == pytest.approx(0.2, rel=0.1)


def test_a_longer_horizon_only_adds_to_the_end() -> None:
    short = rhythmic_times(5, 3 * DAY_NS + 7, per_day=500, day_factor_cv=0.3, **RHYTHM)
    long = rhythmic_times(5, 9 * DAY_NS, per_day=500, day_factor_cv=0.3, **RHYTHM)
    assert long[: len(short)].tolist() == short.tolist()
    assert long[len(short)] >= 3 * DAY_NS + 7
    assert np.all(np.diff(long) >= 0)


def test_no_rate_no_arrivals() -> None:
    assert len(rhythmic_times(1, DAY_NS, per_day=0.0)) == 0


@pytest.mark.parametrize("shape", [1.0, 4.0, 25.0])
def test_gamma_quantiles_have_mean_1_and_the_right_variance(shape: float) -> None:
    x = gamma_quantile((np.arange(100_000) + 0.5) / 100_000, shape)
    assert x.mean() == pytest.approx(1.0, rel=0.005)
    assert x.var() == pytest.approx(1 / shape, rel=0.01)


def test_gamma_of_shape_1_is_exponential() -> None:
    u = np.array([0.01, 0.5, 0.99])
    assert gamma_quantile(u, 1.0) == pytest.approx(-np.log(1 - u), rel=0.01)


def test_renewals_stop_at_the_horizon_and_keep_their_start() -> None:
    def gaps(n: int) -> np.ndarray:
        return Stream(2, Purpose.ARRIVAL_GAP).weibull(n, 17.7, 0.418)

    short, long = renewal_times(HOUR_NS, gaps), renewal_times(100 * HOUR_NS, gaps)
    assert long[: len(short)].tolist() == short.tolist()
    # Mean gap 17.7 s × Γ(3.392) = 52.4 s.
    assert len(long) == pytest.approx(68.7 * 100, rel=0.05)
    assert long[-1] < 100 * HOUR_NS


def test_fixed_times() -> None:
    assert fixed_times(10, 3).tolist() == [3, 6, 9]
    assert fixed_times(9, 3).tolist() == [3, 6]


@pytest.mark.parametrize(("largest", "mean"), [(16, 2.13), (32, 2.51), (64, 2.91), (128, 3.32), (400, 4.00)])
def test_mean_of_the_cut_zipf(largest: int, mean: float) -> None:
    weights = zipf_weights(2.0, largest)
    assert (weights * np.arange(1, largest + 1)).sum() / weights.sum() == pytest.approx(mean, abs=0.01)


def test_a_batch_comes_whole_or_sends_one() -> None:
    def sizes(p: float) -> np.ndarray:
        return batch_sizes_on_host(1, 100_000, zipf_exponent=2.0, zipf_max=32, p_coloc=p)

    whole, none, some = sizes(1.0), sizes(0.0), sizes(0.1)
    assert none.max() == 1
    assert whole.mean() == pytest.approx(2.51, rel=0.02)
    assert set(np.unique(np.where(some > 1, some == whole, True))) == {True}
    # E[B on the host] = 1 + p (E[B] − 1).
    assert some.mean() == pytest.approx(1.151, rel=0.02)
