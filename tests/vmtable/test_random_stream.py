from __future__ import annotations

import math

import numpy as np
import pytest

from gmemgpu.vmtable.random_stream import NEVER_NS, Purpose, Stream, seconds_to_ns

N = 200_000


def test_the_generator_is_philox_with_key_seed_and_purpose() -> None:
    assert Stream(7, Purpose.BATCH_SIZE).raw(2).tolist() == [8893702929424106994, 13357943582879616415]
    assert Stream(7, Purpose.BATCH_SIZE, index=5).raw(2).tolist() == [15963921523711275334, 5333909295952163252]


def test_a_longer_draw_begins_with_the_shorter_one() -> None:
    for draw in ("uniform", "uniform_open", "normal", "exponential"):
        short = getattr(Stream(1, Purpose.SIZE), draw)(10)
        assert getattr(Stream(1, Purpose.SIZE), draw)(1000)[:10].tolist() == short.tolist()


def test_streams_of_other_seeds_purposes_and_indices_differ() -> None:
    draws = {
        tuple(Stream(*key).raw(4).tolist())
        for key in [
            (1, Purpose.SIZE),
            (2, Purpose.SIZE),
            (1, Purpose.SNP),
            (1, Purpose.SIZE, 1),
            (2**64 - 1, Purpose.SIZE),
        ]
    }
    assert len(draws) == 5


def test_uniform_numbers_stay_inside_their_range() -> None:
    class Extreme(Stream):
        def __init__(self, value: int) -> None:
            self.value = value

        def raw(self, n: int) -> np.ndarray:
            return np.full(n, self.value, dtype=np.uint64)

    for value in (0, 2**64 - 1):
        assert 0 <= Extreme(value).uniform(1)[0] < 1
        assert 0 < Extreme(value).uniform_open(1)[0] < 1
        assert np.isfinite(Extreme(value).normal(1)[0])
        assert np.isfinite(Extreme(value).exponential(1)[0])
        assert Extreme(value).integers(1, 50, 101)[0] in (50, 100)
        assert Extreme(value).choice(1, [0.1, 0.2, 0.7])[0] in (0, 2)


@pytest.mark.parametrize(
    ("draw", "cdf"),
    [
        (lambda s: s.uniform(N), lambda x: x),
        (lambda s: s.exponential(N), lambda x: 1 - math.exp(-x)),
        (lambda s: s.normal(N), lambda x: 0.5 * (1 + math.erf(x / math.sqrt(2)))),
        (lambda s: s.lognormal(N, 3.0, 0.5), lambda x: 0.5 * (1 + math.erf(math.log(x / 3) / 0.5 / math.sqrt(2)))),
        (lambda s: s.weibull(N, 2.0, 0.418), lambda x: 1 - math.exp(-((x / 2) ** 0.418))),
    ],
)
def test_distributions(draw, cdf) -> None:
    values = np.sort(draw(Stream(3, Purpose.SIZE)))
    expected = np.array([cdf(x) for x in values])
    distance = np.abs(expected - (np.arange(N) + 0.5) / N).max()
    assert distance < 1.63 / math.sqrt(N)  # Kolmogorov-Smirnov, 1 %


def test_choice_meets_indices_by_weight_and_never_a_weight_of_0() -> None:
    counts = np.bincount(Stream(1, Purpose.SIZE).choice(N, [3, 0, 1]), minlength=3) / N
    assert counts == pytest.approx([0.75, 0, 0.25], abs=0.005)
    assert counts[1] == 0


def test_times_become_whole_microseconds_and_are_cut() -> None:
    assert seconds_to_ns([0.0, 1.0000004, 1.0000006, 1e300]).tolist() == [
        0,
        10**9,
        1_000_001_000,
        NEVER_NS,
    ]


def test_purposes_of_memory_do_not_collide_with_those_of_vms() -> None:
    assert len({purpose.value for purpose in Purpose}) == len(Purpose)
    assert Purpose.TOUCHED == 64
