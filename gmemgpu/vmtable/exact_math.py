"""
exp, log, cosine and the normal quantile, from correctly rounded operations only.

NumPy's own exp, log and cos differ in the last bit between processors (it picks a vector variant at run time), and a
last bit may turn a rounded integer. Everything here is made of ``+ - * /``, square root, rounding and powers of two,
which IEEE 754 fixes to the bit, one NumPy call each so that no compiler can fuse two: a seed gives the same trace
anywhere.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["FloatArray", "exact_exp", "exact_log", "exact_power", "exact_cos_turns", "normal_quantile"]

FloatArray: TypeAlias = NDArray[np.float64]

# ln 2 as a head with 21 trailing zero bits, exact when multiplied by an exponent, and the rest.
_LN2_HEAD = float.fromhex("0x1.62e42fee00000p-1")
_LN2_TAIL = float.fromhex("0x1.a39ef35793c76p-33")
_PER_LN2 = 1.4426950408889634
_SQRT_HALF = 0.7071067811865476
# Taylor terms down to below half a last bit over each reduced range.
_EXP_TERMS = 14
_LOG_TERMS = 12
_SIN_TERMS = 12


def exact_exp(x: FloatArray) -> FloatArray:
    """
    Return e to the `x`, within two units of the last place, the same bits on every machine.

    Parameters
    ----------
    x : array of float64
        Below 709.

    Returns
    -------
    array of float64
        Shaped as `x`.
    """
    exponent = np.rint(x * _PER_LN2)
    r = (x - exponent * _LN2_HEAD) - exponent * _LN2_TAIL
    total = np.ones_like(r)
    for i in range(_EXP_TERMS, 0, -1):
        total = 1.0 + total * (r / i)
    result: FloatArray = np.ldexp(total, exponent.astype(np.int32))
    return result


def exact_log(x: FloatArray) -> FloatArray:
    """
    Return the natural logarithm, within two units of the last place, the same bits on every machine.

    Parameters
    ----------
    x : array of float64
        Positive.

    Returns
    -------
    array of float64
        Shaped as `x`.
    """
    mantissa, exponent = np.frexp(x)
    low = mantissa < _SQRT_HALF
    mantissa = np.where(low, mantissa * 2.0, mantissa)
    power = np.where(low, exponent - 1, exponent).astype(np.float64)
    # ln m = 2 artanh((m - 1) / (m + 1)); its argument stays below 0.172.
    s = (mantissa - 1.0) / (mantissa + 1.0)
    square = s * s
    total = np.zeros_like(s)
    for i in range(_LOG_TERMS, 0, -1):
        total = square * (total + 1.0 / (2 * i + 1))
    result: FloatArray = power * _LN2_HEAD + ((2.0 * s) * (1.0 + total) + power * _LN2_TAIL)
    return result


def exact_power(base: FloatArray, exponent: float) -> FloatArray:
    """
    Return positive `base` to the `exponent`; good to about 14 digits, the same bits on every machine.

    Parameters
    ----------
    base : array of float64
        Positive.
    exponent : float
        Of the power.

    Returns
    -------
    array of float64
        Shaped as `base`.
    """
    return exact_exp(exponent * exact_log(base))


def exact_cos_turns(turns: FloatArray) -> FloatArray:
    """
    Return the cosine of an angle in whole turns: 1 is a day of a 24 h rhythm.

    Parameters
    ----------
    turns : array of float64
        Angles.

    Returns
    -------
    array of float64
        From -1 to 1, shaped as `turns`.
    """
    # cos(2 pi t) = 1 - 2 sin²(pi t), with t in [-1/2, 1/2].
    angle = (turns - np.rint(turns)) * 3.141592653589793
    square = angle * angle
    sine = np.zeros_like(angle)
    for i in range(_SIN_TERMS, -1, -1):
        sine = 1.0 - sine * (square / ((2 * i + 2) * (2 * i + 3)))
    sine = angle * sine
    result: FloatArray = 1.0 - 2.0 * (sine * sine)
    return result


# M. J. Wichura, "Algorithm AS 241: The percentage points of the normal distribution", Applied Statistics 37 (1988),
# routine PPND16: numerator and denominator of three rational approximations, highest power first.
_CENTRE = (
    (
        2.5090809287301226727e3,
        3.3430575583588128105e4,
        6.7265770927008700853e4,
        4.5921953931549871457e4,
        1.3731693765509461125e4,
        1.9715909503065514427e3,
        1.3314166789178437745e2,
        3.3871328727963666080e0,
    ),
    (
        5.2264952788528545610e3,
        2.8729085735721942674e4,
        3.9307895800092710610e4,
        2.1213794301586595867e4,
        5.3941960214247511077e3,
        6.8718700749205790830e2,
        4.2313330701600911252e1,
        1.0,
    ),
)
_FLANK = (
    (
        7.74545014278341407640e-4,
        2.27238449892691845833e-2,
        2.41780725177450611770e-1,
        1.27045825245236838258e0,
        3.64784832476320460504e0,
        5.76949722146069140550e0,
        4.63033784615654529590e0,
        1.42343711074968357734e0,
    ),
    (
        1.05075007164441684324e-9,
        5.47593808499534494600e-4,
        1.51986665636164571966e-2,
        1.48103976427480074590e-1,
        6.89767334985100004550e-1,
        1.67638483018380384940e0,
        2.05319162663775882187e0,
        1.0,
    ),
)
_TAIL = (
    (
        2.01033439929228813265e-7,
        2.71155556874348757815e-5,
        1.24266094738807843860e-3,
        2.65321895265761230930e-2,
        2.96560571828504891230e-1,
        1.78482653991729133580e0,
        5.46378491116411436990e0,
        6.65790464350110377720e0,
    ),
    (
        2.04426310338993978564e-15,
        1.42151175831644588870e-7,
        1.84631831751005468180e-5,
        7.86869131145613259100e-4,
        1.48753612908506148525e-2,
        1.36929880922735805310e-1,
        5.99832206555887937690e-1,
        1.0,
    ),
)


def _ratio(table: tuple[tuple[float, ...], tuple[float, ...]], r: FloatArray) -> FloatArray:
    sums = []
    for coefficients in table:
        total = np.zeros_like(r)
        for coefficient in coefficients:
            total = total * r + coefficient
        sums.append(total)
    result: FloatArray = sums[0] / sums[1]
    return result


def normal_quantile(p: FloatArray) -> FloatArray:
    """
    Return the standard normal quantile (Wichura, AS 241), relative error about 1e-16.

    Parameters
    ----------
    p : array of float64
        Strictly between 0 and 1.

    Returns
    -------
    array of float64
        Shaped as `p`.
    """
    q = p - 0.5
    quantile = q * _ratio(_CENTRE, 0.180625 - q * q)
    outer = np.flatnonzero(np.abs(q) > 0.425)
    if outer.size:
        q_outer = q[outer]
        r = np.sqrt(-exact_log(np.where(q_outer < 0, p[outer], 1.0 - p[outer])))
        magnitude = np.where(r <= 5.0, _ratio(_FLANK, r - 1.6), _ratio(_TAIL, r - 5.0))
        quantile[outer] = np.copysign(magnitude, q_outer)
    return quantile
