"""How long VMs live: distributions by their quantiles, mixed, capped and shifted; and what is left of those running."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gmemgpu.vmtable.exact_math import FloatArray, exact_exp, exact_log, exact_power, normal_quantile
from gmemgpu.vmtable.random_stream import Stream

__all__ = [
    "Component",
    "Lifetime",
    "lognormal_mixture",
    "hyperexponential",
    "weibull",
    "piecewise_log_linear",
    "constant",
]

_TABLE_POINTS = 1 << 15
"""Quantiles a component is tabulated at where no formula gives what is left of a running VM's life."""


@dataclass(frozen=True, kw_only=True)
class Component:
    """
    One part of a mixture.

    Parameters
    ----------
    weight : float
        Share of arrivals; the weights of a mixture need not add up to 1.
    quantile : callable
        Lifetimes in s from probabilities in (0, 1).
    mean_s : float, optional
        Known mean; from the quantiles if left out.
    residual : callable, optional
        Rest of the lives of running VMs, in s, from two arrays of probabilities; from the quantiles if left out.
    """

    weight: float
    quantile: Callable[[FloatArray], FloatArray]
    mean_s: float | None = None
    residual: Callable[[FloatArray, FloatArray], FloatArray] | None = None

    def table_s(self) -> FloatArray:
        """Return the quantiles at `_TABLE_POINTS` mid-points."""
        return self.quantile((np.arange(_TABLE_POINTS, dtype=np.float64) + 0.5) / _TABLE_POINTS)


@dataclass(frozen=True)
class Lifetime:
    """
    A distribution of lifetimes: offset + min(mixture, cap).

    Parameters
    ----------
    components : sequence of Component
        Of the mixture.
    cap_s : float, optional
        No VM lives longer than offset + cap: what would, ends then.
    offset_s : float
        Added to every lifetime.
    """

    components: Sequence[Component]
    cap_s: float | None = None
    offset_s: float = 0.0

    @cached_property
    def _means_s(self) -> list[float]:
        # Means after the cap, without the offset.
        means = []
        for component in self.components:
            if self.cap_s is None and component.mean_s is not None:
                means.append(component.mean_s)
            else:
                # A running sum has one order of additions on every machine; np.mean has not.
                means.append(float(np.cumsum(self._capped(component.table_s()))[-1]) / _TABLE_POINTS)
        return means

    @cached_property
    def mean_s(self) -> float:
        """Mean lifetime in seconds, for Little's law."""
        total = sum(component.weight for component in self.components)
        mixed = sum(c.weight * mean for c, mean in zip(self.components, self._means_s, strict=True))
        return self.offset_s + mixed / total

    def _capped(self, seconds: FloatArray) -> FloatArray:
        return seconds if self.cap_s is None else np.minimum(seconds, self.cap_s)

    def draw_s(self, n: int, component: Stream, value: Stream) -> FloatArray:
        """
        Draw lifetimes of arriving VMs.

        Parameters
        ----------
        n : int
            Number of VMs.
        component, value : Stream
            Each gives one number a VM.

        Returns
        -------
        (n,) array of float64
            Seconds.
        """
        which = component.choice(n, [part.weight for part in self.components])
        u = value.uniform_open(n)
        seconds = np.empty(n)
        for i, part in enumerate(self.components):
            mine = np.flatnonzero(which == i)
            seconds[mine] = part.quantile(u[mine])
        return self.offset_s + self._capped(seconds)

    def draw_residual_s(self, n: int, component: Stream, value: Stream, elapsed: Stream) -> FloatArray:
        """
        Draw what is left of the lives of VMs that run at a random instant.

        Such VMs are long-lived ones: a component is met in proportion to weight × mean, a life in proportion to its
        length, and the instant falls anywhere in it. Started so, a host stays stationary.

        Parameters
        ----------
        n : int
            Number of VMs.
        component, value, elapsed : Stream
            Each gives one number a VM.

        Returns
        -------
        (n,) array of float64
            Seconds.
        """
        weights = [part.weight * mean for part, mean in zip(self.components, self._means_s, strict=True)]
        # What is left of a life has a density of P(life > left) / mean: flat up to the offset, which so takes its share
        # of the mean, and behind it that of the mixture.
        mixed_s = self.mean_s - self.offset_s
        u_component = component.uniform(n) * self.mean_s
        in_offset = u_component >= mixed_s
        scaled = np.cumsum(weights)
        which = np.searchsorted(scaled, u_component / max(mixed_s, 1e-300) * scaled[-1], side="right")
        which = np.minimum(which, len(weights) - 1)
        u, v = value.uniform_open(n), elapsed.uniform_open(n)
        seconds = np.empty(n)
        for i, part in enumerate(self.components):
            mine = np.flatnonzero(which == i)
            if not mine.size:
                continue
            if part.residual is not None and self.cap_s is None:
                seconds[mine] = part.residual(u[mine], v[mine])
            else:
                table = self._capped(part.table_s())
                biased = np.cumsum(table)
                met = np.searchsorted(biased, u[mine] * biased[-1], side="right")
                seconds[mine] = table[np.minimum(met, len(table) - 1)] * v[mine]
        return np.where(in_offset, self.offset_s * v, self.offset_s + seconds)


def lognormal_mixture(weights: Sequence[float], medians_s: Sequence[float], sigmas: Sequence[float]) -> list[Component]:
    """
    Build a mixture of lognormals; one of them is a plain lognormal.

    Parameters
    ----------
    weights : sequence of float
        One a component.
    medians_s : sequence of float
        In seconds.
    sigmas : sequence of float
        Standard deviations of the logarithm.

    Returns
    -------
    list of Component
        One a lognormal.

    Notes
    -----
    Weighted by length LN(m, s) becomes LN(m exp(s²), s).
    """

    def part(weight: float, median_s: float, sigma: float) -> Component:
        growth = float(exact_exp(np.array([sigma * sigma]))[0])
        half = float(exact_exp(np.array([sigma * sigma / 2]))[0])
        return Component(
            weight=weight,
            quantile=lambda u: median_s * exact_exp(sigma * normal_quantile(u)),
            mean_s=median_s * half,
            residual=lambda u, v: (median_s * growth) * exact_exp(sigma * normal_quantile(u)) * v,
        )

    return [part(*values) for values in zip(weights, medians_s, sigmas, strict=True)]


def hyperexponential(weights: Sequence[float], means_s: Sequence[float]) -> list[Component]:
    """
    Build a mixture of exponentials; what is left of an exponential life is exponential again.

    Parameters
    ----------
    weights : sequence of float
        One a component.
    means_s : sequence of float
        In seconds.

    Returns
    -------
    list of Component
        One an exponential.
    """

    def part(weight: float, mean_s: float) -> Component:
        return Component(
            weight=weight,
            quantile=lambda u: -mean_s * exact_log(u),
            mean_s=mean_s,
            residual=lambda u, v: -mean_s * exact_log(u),
        )

    return [part(*values) for values in zip(weights, means_s, strict=True)]


def weibull(scale_s: float, shape: float) -> list[Component]:
    """
    Return a Weibull distribution.

    Parameters
    ----------
    scale_s : float
        In seconds.
    shape : float
        Positive; 1 is an exponential.

    Returns
    -------
    list of Component
        One alone.
    """
    return [Component(weight=1.0, quantile=lambda u: scale_s * exact_power(-exact_log(u), 1.0 / shape))]


def piecewise_log_linear(knots_s: Sequence[float], cdf: Sequence[float]) -> list[Component]:
    """
    Return a distribution whose CDF is linear in the logarithm of time between its knots.

    Parameters
    ----------
    knots_s : sequence of float
        Ascending and positive.
    cdf : sequence of float
        From 0 to 1, as long as `knots_s`, never falling.

    Returns
    -------
    list of Component
        One an interval between knots.
    """
    # Flat stretches have no quantile inside; searchsorted must not land in one.
    cumulative = np.asarray(cdf, dtype=np.float64)
    log_knots = exact_log(np.asarray(knots_s, dtype=np.float64))

    def quantile(u: FloatArray) -> FloatArray:
        upper = np.clip(np.searchsorted(cumulative, u, side="left"), 1, len(cumulative) - 1)
        rise = cumulative[upper] - cumulative[upper - 1]
        share = (u - cumulative[upper - 1]) / rise
        return exact_exp(log_knots[upper - 1] + share * (log_knots[upper] - log_knots[upper - 1]))

    return [Component(weight=1.0, quantile=quantile)]


def constant(seconds: float) -> list[Component]:
    """
    Return the distribution in which every VM has the same lifetime.

    Parameters
    ----------
    seconds : float
        That lifetime.

    Returns
    -------
    list of Component
        One alone.
    """
    return [Component(weight=1.0, quantile=lambda u: np.full_like(u, seconds), mean_s=seconds)]
