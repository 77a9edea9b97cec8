"""When batches of VMs arrive, and how many VMs of each come to this host."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from gmemgpu.model.trace import Int64Array
from gmemgpu.units import NS_PER_S
from gmemgpu.vmtable.exact_math import FloatArray, exact_cos_turns, exact_exp, exact_log
from gmemgpu.vmtable.random_stream import Purpose, Stream, seconds_to_ns

__all__ = ["rhythmic_times", "renewal_times", "fixed_times", "zipf_weights", "batch_sizes_on_host", "gamma_quantile"]

_STEP_S = 60
"""The rate is constant over each minute."""
_STEPS_PER_DAY = 86_400 // _STEP_S
_DAYS_PER_WEEK = 7


def gamma_quantile(u: FloatArray, shape: float) -> FloatArray:
    """
    Return quantiles of the Gamma distribution of mean 1, from a table of its logarithm's density.

    Parameters
    ----------
    u : array of float64
        In (0, 1).
    shape : float
        At least 1.

    Returns
    -------
    array of float64
        Shaped as `u`.
    """
    # The density of y = ln x is exp(k (y - e^y)): smooth, and so light-tailed that a grid of equal steps is exact.
    spread = 1.0 / math.sqrt(shape)
    y = np.linspace(-12.0 * spread * spread - 8.0 * spread, 1.0 + 4.0 * spread, 1 << 13)
    density = exact_exp(np.maximum(shape * (y + 1.0 - exact_exp(y)), -700.0))
    cumulative = np.cumsum(density)
    index = np.minimum(np.searchsorted(cumulative, u * cumulative[-1]), len(y) - 1)
    return exact_exp(y[index])


def _rates_per_s(
    seed: int,
    n_days: int,
    per_day: float,
    amplitude_24h: float,
    amplitude_12h: float,
    peak_ns: int,
    weekend_factor: float,
    weekend_days: int,
    day_factor_cv: float,
) -> FloatArray:
    # The rate in every minute of n_days days.
    turns = (np.arange(_STEPS_PER_DAY) + 0.5) / _STEPS_PER_DAY - peak_ns / (86_400 * NS_PER_S)
    shape = 1.0 + amplitude_24h * exact_cos_turns(turns) + amplitude_12h * exact_cos_turns(2.0 * turns)
    low_day = np.arange(n_days) % _DAYS_PER_WEEK >= _DAYS_PER_WEEK - weekend_days
    mean_factor = 1.0 + (weekend_factor - 1.0) * weekend_days / _DAYS_PER_WEEK
    factor = np.where(low_day, weekend_factor, 1.0) / mean_factor
    if day_factor_cv > 0:
        u = Stream(seed, Purpose.DAY_FACTOR).uniform_open(n_days)
        factor = factor * gamma_quantile(u, 1.0 / (day_factor_cv * day_factor_cv))
    rates: FloatArray = (factor[:, np.newaxis] * np.maximum(shape, 0.0)).ravel() * (per_day / 86_400)
    return rates


def rhythmic_times(
    seed: int,
    horizon_ns: int,
    *,
    per_day: float,
    amplitude_24h: float = 0.0,
    amplitude_12h: float = 0.0,
    peak_ns: int = 0,
    weekend_factor: float = 1.0,
    weekend_days: int = 0,
    day_factor_cv: float = 0.0,
) -> Int64Array:
    """
    Draw a Poisson process whose rate follows the day and the week; day 0 is the first of the week.

    Parameters
    ----------
    seed : int
        Of the draws.
    horizon_ns : int
        End of the draws, in ns.
    per_day : float
        Arrivals a day, averaged over a week.
    amplitude_24h, amplitude_12h : float
        Relative amplitudes of a daily and a half-daily cosine, both highest at `peak_ns` of the day.
    peak_ns : int
        Time of the day, in ns.
    weekend_factor : float
        Rate on the last `weekend_days` of each week, over that of the others.
    weekend_days : int
        0 to 7.
    day_factor_cv : float
        Coefficient of variation of a Gamma factor of mean 1 for each day; 0 for none, at most 1.

    Returns
    -------
    (n,) array of int64
        Ascending, before the horizon, whole microseconds. A longer horizon only adds to the end.
    """
    n_days = -(-horizon_ns // (86_400 * NS_PER_S))
    rates = _rates_per_s(
        seed,
        n_days,
        per_day,
        amplitude_24h,
        amplitude_12h,
        peak_ns,
        weekend_factor,
        weekend_days,
        day_factor_cv,
    )
    cumulative = np.concatenate(([0.0], np.cumsum(rates * _STEP_S)))
    expected = float(cumulative[-1])
    n = int(expected + 8 * expected**0.5) + 16
    while True:
        # Arrivals of the unit-rate process, mapped through the inverse of the cumulative rate.
        unit = np.cumsum(Stream(seed, Purpose.ARRIVAL_GAP).exponential(n))
        if unit[-1] >= expected:
            break
        n *= 2
    unit = unit[unit < expected]
    step = np.searchsorted(cumulative, unit, side="right") - 1
    seconds = step * float(_STEP_S) + (unit - cumulative[step]) / rates[step]
    times = seconds_to_ns(seconds)
    return times[times < horizon_ns]


def renewal_times(horizon_ns: int, gaps_s: Callable[[int], FloatArray]) -> Int64Array:
    """
    Draw arrivals with independent gaps.

    Parameters
    ----------
    horizon_ns : int
        End of the draws, in ns.
    gaps_s : callable
        ``gaps_s(n)`` gives the first n gaps, in seconds, the same ones each time.

    Returns
    -------
    (n,) array of int64
        Ascending, before the horizon; the first comes after the first gap.
    """
    n = 1024
    while True:
        times = np.cumsum(seconds_to_ns(gaps_s(n)))
        if times[-1] >= horizon_ns:
            return times[times < horizon_ns]
        n *= 2


def fixed_times(horizon_ns: int, interval_ns: int) -> Int64Array:
    """
    Return arrivals at every whole multiple of an interval, after 0 and before the horizon.

    Parameters
    ----------
    horizon_ns : int
        End, excluded, in ns.
    interval_ns : int
        Between arrivals, in ns.

    Returns
    -------
    (n,) int64
        Ascending, in ns.
    """
    return np.arange(interval_ns, horizon_ns, interval_ns, dtype=np.int64)


def zipf_weights(exponent: float, largest: int) -> FloatArray:
    """
    Return the weights k**-exponent of k = 1 … largest.

    Parameters
    ----------
    exponent : float
        Of the power law.
    largest : int
        Number of weights.

    Returns
    -------
    (largest,) float64
        From k = 1 on.
    """
    k = np.arange(1, largest + 1, dtype=np.float64)
    return exact_exp(-exponent * exact_log(k))


def batch_sizes_on_host(seed: int, n: int, *, zipf_exponent: float, zipf_max: int, p_coloc: float) -> Int64Array:
    """
    Draw how many VMs of each batch come to this host: all of them with probability `p_coloc`, else one.

    Parameters
    ----------
    seed : int
        Of the draws.
    n : int
        Number of batches.
    zipf_exponent : float
        Of the whole batch's size.
    zipf_max : int
        Largest batch.
    p_coloc : float
        0 to 1.

    Returns
    -------
    (n,) array of int64
        At least 1.
    """
    sizes = 1 + Stream(seed, Purpose.BATCH_SIZE).choice(n, zipf_weights(zipf_exponent, zipf_max))
    whole = Stream(seed, Purpose.COLOCATION).below(n, p_coloc)
    return np.where(whole, sizes, 1)
