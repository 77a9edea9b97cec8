from __future__ import annotations

import numpy as np
import pytest

from gmemgpu.lifecycle.rare_event import beta_quantile, binomial, hits, poisson_points
from gmemgpu.vmtable.random_stream import Purpose, Stream


def stream() -> Stream:
    return Stream(11, Purpose.LEAK)


@pytest.mark.parametrize("chance", [1e-4, 0.01, 0.3, 0.9])
def test_hits_come_with_their_chance(chance: float) -> None:
    length = 200_000
    places = hits(stream(), length, chance)
    spread = (length * chance * (1 - chance)) ** 0.5
    assert abs(len(places) - length * chance) < 4 * spread + 1
    assert places[0] >= 0
    assert places[-1] < length
    assert (np.diff(places) > 0).all()
    # The second half has its share, too.
    assert abs(np.count_nonzero(places >= length // 2) - len(places) / 2) < 4 * spread + 1


def test_hits_at_the_ends_of_chance() -> None:
    assert hits(stream(), 5, 1.0).tolist() == [0, 1, 2, 3, 4]
    assert hits(stream(), 5, 0.0).tolist() == []
    assert hits(stream(), 0, 0.5).tolist() == []
    first = [int(hits(Stream(i, Purpose.LEAK), 50, 0.5)[0]) for i in range(400)]
    # The first place is hit as often as not.
    assert 150 < first.count(0) < 250


def test_hits_on_a_line_of_many_pages_stay_on_it() -> None:
    length = 1 << 60
    places = hits(stream(), length, 2.0**-58)
    assert (places >= 0).all()
    assert (places < length).all()


def test_poisson_points_have_the_mean_and_variance_of_their_process() -> None:
    points = poisson_points(stream(), 1_000_000, 100.0)
    counts = np.bincount(points // 1000, minlength=1000)
    assert counts.mean() == pytest.approx(10, rel=0.05)
    assert counts.var() == pytest.approx(10, rel=0.2)
    assert (np.diff(points) >= 0).all()


def test_beta_quantiles() -> None:
    p = np.array([0.0, 0.1, 0.5, 0.9, 0.999])
    # Beta(1, 1) is uniform; Beta(2, 1) has the distribution x².
    assert beta_quantile(p, 1, 1) == pytest.approx(p, abs=1e-12)
    assert beta_quantile(p, 2, 1) == pytest.approx(np.sqrt(p), abs=1e-4)
    assert beta_quantile(p[2:3], 1.2, 1.2) == pytest.approx([0.5], abs=1e-4)
    assert beta_quantile(np.array([0.25]), 1.2, 1.2) + beta_quantile(np.array([0.75]), 1.2, 1.2) == pytest.approx(
        [1.0], abs=1e-4
    )


def test_binomial_has_mean_variance_and_limits() -> None:
    n = np.full(20_000, 100, np.int64)
    drawn = binomial(stream(), n, 0.9)
    assert drawn.mean() == pytest.approx(90, abs=0.1)
    assert drawn.var() == pytest.approx(9, rel=0.05)
    assert drawn.max() <= 100
    assert (binomial(stream(), n, 1.0) == 100).all()
    assert (binomial(stream(), n, 0.0) == 0).all()
