from __future__ import annotations

import math
import statistics

import numpy as np
import pytest

from gmemgpu.vmtable.exact_math import exact_cos_turns, exact_exp, exact_log, exact_power, normal_quantile

SPREAD = np.linspace(-600, 600, 20_001)


def test_exp_and_log_are_good_to_the_last_place() -> None:
    np.testing.assert_allclose(exact_exp(SPREAD), [math.exp(x) for x in SPREAD], rtol=5e-16)
    positive = np.concatenate([exact_exp(SPREAD), np.linspace(0.5, 2, 4001)])
    np.testing.assert_allclose(exact_log(positive), [math.log(x) for x in positive], rtol=5e-16, atol=1e-18)


def test_the_ends_of_the_reduced_ranges() -> None:
    assert exact_exp(np.array([0.0])).tolist() == [1.0]
    assert exact_log(np.array([1.0, 0.5, 2.0, 2.0**-52])).tolist() == [0.0, *(math.log(x) for x in (0.5, 2, 2**-52))]
    np.testing.assert_allclose(exact_power(np.array([3.0, 0.25]), 0.5), [math.sqrt(3), 0.5], rtol=1e-14)


def test_cosine_of_turns() -> None:
    turns = np.linspace(-3, 3, 6001)
    np.testing.assert_allclose(exact_cos_turns(turns), np.cos(2 * np.pi * turns), atol=5e-15)
    assert exact_cos_turns(np.array([0.0, 5.0])).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("p", [1e-300, 1e-16, 1e-9, 0.001, 0.0749, 0.0751, 0.5, 0.9, 0.999999, 1 - 2**-53])
def test_normal_quantile_agrees_with_the_standard_library(p: float) -> None:
    assert normal_quantile(np.array([p]))[0] == pytest.approx(statistics.NormalDist().inv_cdf(p), rel=1e-14, abs=1e-15)


def test_bits_are_the_same_everywhere() -> None:
    # A machine on which this fails would draw other traces from the same seeds.
    x = np.array([-7.25, 0.1, 1.0, 33.3])
    assert [float(v).hex() for v in exact_exp(x)] == EXP_BITS
    assert [float(v).hex() for v in exact_log(np.abs(x))] == LOG_BITS
    assert [float(v).hex() for v in normal_quantile(np.array([1e-7, 0.02, 0.3, 0.97]))] == QUANTILE_BITS


EXP_BITS = ["0x1.7455fe323fafep-11", "0x1.1aec7b35a00d4p+0", "0x1.5bf0a8b14576ap+1", "0x1.078401f5a3ec8p+48"]
LOG_BITS = ["0x1.fb22e98a1c24ep+0", "-0x1.26bb1bbb55515p+1", "0x0.0p+0", "0x1.c0b61ad3275b2p+1"]
QUANTILE_BITS = ["-0x1.4cc1f26b18707p+2", "-0x1.06e13e8aadfdbp+1", "-0x1.0c7e39582c5fap-1", "0x1.e17bb09d8913ep+0"]
