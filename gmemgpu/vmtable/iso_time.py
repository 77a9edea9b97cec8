"""Points in time as text, one at a time: ISO 8601."""

from __future__ import annotations

from datetime import UTC, datetime

from gmemgpu.units import INT64_MAX, NS_PER_S

__all__ = ["iso_ns", "iso_text"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def iso_ns(text: str) -> int:
    """
    Convert an ISO 8601 time to nanoseconds since 1970.

    Parameters
    ----------
    text : str
        With a zone, or in UTC.

    Returns
    -------
    int
        Exact to the microsecond.

    Raises
    ------
    ValueError
        If it is none.
    OverflowError
        If it is before 1970 or after 2262.

    Examples
    --------
    >>> iso_ns("1970-01-01T01:00:00.5+01:00")
    500000000
    """
    text = text.strip()
    moment = datetime.fromisoformat(f"{text[:-3].rstrip()}Z" if text.endswith("UTC") else text)
    moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    since = moment - _EPOCH
    ns = (since.days * 86_400 + since.seconds) * NS_PER_S + since.microseconds * 1_000
    if not 0 <= ns <= INT64_MAX:
        raise OverflowError("it is before 1970 or after 2262")
    return ns


def iso_text(ns: int) -> str:
    """
    Write nanoseconds since 1970 as an ISO 8601 time in UTC.

    Parameters
    ----------
    ns : int
        Not negative.

    Returns
    -------
    str
        With as many digits after the second as it takes.

    Examples
    --------
    >>> iso_text(500_000_000)
    '1970-01-01T00:00:00.5Z'
    """
    text = datetime.fromtimestamp(ns // NS_PER_S, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f"{ns % NS_PER_S:09d}".rstrip("0")
    return f"{text}{f'.{fraction}' if fraction else ''}Z"
