from __future__ import annotations

import math

import numpy as np
import pytest

from gmemgpu.vmtable.lifetime import (
    Lifetime,
    constant,
    hyperexponential,
    lognormal_mixture,
    piecewise_log_linear,
    weibull,
)
from gmemgpu.vmtable.random_stream import Purpose, Stream

N = 100_000


def draw(life: Lifetime, n: int = N) -> np.ndarray:
    return life.draw_s(n, Stream(1, Purpose.LIFETIME_COMPONENT), Stream(1, Purpose.LIFETIME))


def residual(life: Lifetime, n: int = N) -> np.ndarray:
    streams = (Purpose.STOCK_COMPONENT, Purpose.STOCK_LIFETIME, Purpose.STOCK_RESIDUAL)
    return life.draw_residual_s(n, *(Stream(1, purpose) for purpose in streams))


FAMILIES = {
    "mixture": lognormal_mixture([0.7, 0.3], [60.0, 600.0], [0.4, 0.6]),
    "hyperexponential": hyperexponential([2.0, 1.0], [10.0, 1000.0]),
    "weibull": weibull(100.0, 0.7),
    "piecewise": piecewise_log_linear([1, 10, 100, 1000], [0, 0.2, 0.2, 1.0]),
    "constant": constant(50.0),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_mean_of_draws_is_the_mean(name: str) -> None:
    life = Lifetime(FAMILIES[name])
    assert draw(life).mean() == pytest.approx(life.mean_s, rel=0.02)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(("cap_s", "offset_s"), [(None, 0.0), (150.0, 0.0), (150.0, 40.0), (None, 40.0)])
def test_what_is_left_of_running_vms(name: str, cap_s: float | None, offset_s: float) -> None:
    # Renewal theory: the mean rest is E[T²] / 2 E[T], and the rest passes t with probability E[(T − t)⁺] / E[T].
    life = Lifetime(FAMILIES[name], cap_s, offset_s)
    lives, left = draw(life, 4 * N), residual(life)
    assert left.mean() == pytest.approx((lives**2).mean() / (2 * lives.mean()), rel=0.04)
    for t in (10.0, 45.0, 100.0):
        assert (left > t).mean() == pytest.approx(np.maximum(lives - t, 0).mean() / lives.mean(), abs=0.01)


def test_cap_and_offset() -> None:
    lives = draw(Lifetime(FAMILIES["mixture"], cap_s=100.0, offset_s=7.0))
    assert lives.max() == 107
    assert lives.min() > 7


def test_weibull_mean_is_the_gamma_function() -> None:
    assert Lifetime(weibull(17.7, 0.418)).mean_s == pytest.approx(17.7 * math.gamma(1 + 1 / 0.418), rel=0.01)


def test_piecewise_quantiles_meet_the_knots_and_no_flat_stretch() -> None:
    (part,) = piecewise_log_linear([1, 10, 100, 1000], [0, 0.2, 0.2, 1.0])
    assert part.quantile(np.array([0.1, 0.2, 0.6])) == pytest.approx([math.sqrt(10), 10, math.sqrt(1e5)])
    lives = draw(Lifetime([part]))
    assert not np.any((lives > 10.001) & (lives < 99.999))


def test_components_are_met_by_weight_on_arrival_and_by_weight_times_mean_when_running() -> None:
    life = Lifetime([*constant(1.0), *constant(99.0)])
    assert (draw(life) > 50).mean() == pytest.approx(0.5, abs=0.01)
    # Of running VMs 99 % are long; 98/99 of those have more than 1 s left.
    assert (residual(life) > 1).mean() == pytest.approx(0.98, abs=0.002)
