"""Times and spans as a person reads them: three digits or so, with their unit."""

from __future__ import annotations

from itertools import pairwise

from gmemgpu.units import NS_PER_S

__all__ = ["span_text", "time_text"]

_UNITS = ((86_400 * NS_PER_S, "d"), (3600 * NS_PER_S, "h"), (60 * NS_PER_S, "min"), (NS_PER_S, "s"))
_SMALL_UNITS = ((NS_PER_S, "s"), (10**6, "ms"), (10**3, "us"))


def span_text(span_ns: int) -> str:
    """
    Write how long something lasts.

    Parameters
    ----------
    span_ns : int
        Not negative.

    Returns
    -------
    str
        From two minutes on in the two largest units, below with a decimal point.

    Examples
    --------
    >>> span_text(5_400_000_000_000), span_text(310_800_000), span_text(0)
    ('1 h 30 min', '310.8 ms', '0 ns')
    """
    if span_ns >= 120 * NS_PER_S:
        for (unit_ns, unit), (next_ns, following) in pairwise(_UNITS):
            # Rounded to the smaller unit first, so that nothing lasts "1 h 60 min".
            n_next = (span_ns + next_ns // 2) // next_ns
            if n_next * next_ns >= unit_ns:
                whole, rest = divmod(n_next, unit_ns // next_ns)
                return f"{whole} {unit} {rest} {following}" if rest else f"{whole} {unit}"
    for unit_ns, unit in _SMALL_UNITS:
        if span_ns >= unit_ns:
            return f"{span_ns / unit_ns:.4g} {unit}"
    return f"{span_ns} ns"


def time_text(t_ns: int, *, horizon_ns: int) -> str:
    """
    Write when something happens, in seconds from the start of the trace.

    Parameters
    ----------
    t_ns : int
        Not negative.
    horizon_ns : int
        End of the trace: short ones are written with more digits.

    Returns
    -------
    str
        To the millisecond, or where the trace lasts less than a second to the microsecond or in ns.

    Examples
    --------
    >>> time_text(1_234_567_891_000, horizon_ns=3600 * NS_PER_S)
    '1,234.568 s'
    """
    if horizon_ns < 10**6:
        return f"{t_ns:,} ns"
    if horizon_ns < NS_PER_S:
        return f"{t_ns / 10**6:,.3f} ms"
    return f"{t_ns / NS_PER_S:,.3f} s"
