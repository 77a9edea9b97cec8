"""Searching long sorted lists whose answer is usually near."""

from __future__ import annotations

from bisect import bisect_right

__all__ = ["after"]

_NEAR = 64


def after(times_ns: list[int], t_ns: int, start: int) -> int:
    """
    Find the first index from `start` on whose time is later than `t_ns`.

    A bisection of the next few entries first: one over a million touches memory all over the place.
    """
    near = start + _NEAR
    if near < len(times_ns) and times_ns[near] <= t_ns:
        return bisect_right(times_ns, t_ns, near)
    return bisect_right(times_ns, t_ns, start, min(near, len(times_ns)))
