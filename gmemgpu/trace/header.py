"""What a trace file says beside its rows: host, horizon, warm-up; the same keys in JSON and in TOML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any

from gmemgpu.errors import Problem
from gmemgpu.model.host import Host, host_problems, host_value_problems
from gmemgpu.model.trace import Trace
from gmemgpu.toml_file import unknown_key
from gmemgpu.units import INT64_MAX

__all__ = ["Header", "MAX_HORIZON_NS", "header_document", "header_from_document", "header_of", "header_problems"]

MAX_HORIZON_NS = INT64_MAX // 4
"""73 years: an event, a timer's delay and a pass on top of it still fit 63 bits."""

_KEYS = ("host", "horizon_ns", "warmup_ns")


@dataclass(frozen=True, slots=True)
class Header:
    """Host, horizon and warm-up of a trace; times in ns."""

    host: Host
    horizon_ns: int
    warmup_ns: int


def header_of(trace: Trace) -> Header:
    """Take the header out of a trace."""
    return Header(trace.host, trace.horizon_ns, trace.warmup_ns)


def header_document(header: Header) -> dict[str, Any]:
    """Give the header as the document that a trace file carries; `header_from_document` reads it back."""
    return {"host": asdict(header.host), "horizon_ns": header.horizon_ns, "warmup_ns": header.warmup_ns}


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _host(table: Mapping[str, Any], where: str, problems: list[Problem]) -> Host | None:
    found = len(problems)
    known = tuple(field.name for field in fields(Host))
    problems.extend(Problem(f"{where}.{key}", unknown_key(key, known)) for key in table if key not in known)
    values = {}
    for field in fields(Host):
        wanted = "text in quotes" if field.name == "window" else "an integer"
        if field.name not in table:
            if field.default is MISSING:
                problems.append(Problem(f"{where}.{field.name}", f"is missing; write {wanted}"))
            continue
        value = table[field.name]
        if not (isinstance(value, str) if field.name == "window" else _is_integer(value)):
            problems.append(Problem(f"{where}.{field.name}", f"{value!r} is not {wanted}"))
        else:
            values[field.name] = value
    problems.extend(host_value_problems(values, where))
    return Host(**values) if len(problems) == found else None


def header_from_document(document: Mapping[str, Any], where: str, problems: list[Problem]) -> Header | None:
    """
    Read a header out of a JSON or TOML document.

    Parameters
    ----------
    document : mapping
    where : str
        File and part, for messages.
    problems : list of Problem
        What is wrong is appended here.

    Returns
    -------
    Header or None
        None if something was wrong.
    """
    found = len(problems)
    problems.extend(Problem(f"{where}: {key}", unknown_key(key, _KEYS)) for key in document if key not in _KEYS)
    host = None
    table = document.get("host")
    if isinstance(table, Mapping):
        host = _host(table, f"{where}: host", problems)
    else:
        fault = "is missing" if table is None else f"{table!r} is no table"
        problems.append(Problem(f"{where}: host", f"{fault}; give memory_bytes, nodes, cores and threads_per_core"))
    times: dict[str, int | None] = {}
    for key, default in (("horizon_ns", None), ("warmup_ns", 0)):
        times[key] = value = document.get(key, default)
        if key not in document:
            if default is None:
                problems.append(Problem(f"{where}: {key}", "is missing; write the end of the trace in integer ns"))
        elif not _is_integer(value):
            problems.append(Problem(f"{where}: {key}", f"{value!r} is not an integer of nanoseconds"))
            times[key] = None
    horizon_ns, warmup_ns = times["horizon_ns"], times["warmup_ns"]
    problems.extend(_time_problems(horizon_ns, warmup_ns, where))
    if host is None or horizon_ns is None or warmup_ns is None or len(problems) > found:
        return None
    return Header(host, horizon_ns, warmup_ns)


def header_problems(header: Header, where: str) -> list[Problem]:
    """
    List what makes a header impossible.

    Parameters
    ----------
    header : Header
        With values of the right types.
    where : str
        Prefix of every problem's place.

    Returns
    -------
    list of Problem
        Empty if host, horizon and warm-up are sound.
    """
    return host_problems(header.host, f"{where}: host") + _time_problems(header.horizon_ns, header.warmup_ns, where)


def _time_problems(horizon_ns: int | None, warmup_ns: int | None, where: str) -> list[Problem]:
    # None is a time that could not be read, of which enough is said already.
    problems = []
    last_ns = MAX_HORIZON_NS - 1
    if horizon_ns is not None:
        if 0 < horizon_ns <= MAX_HORIZON_NS:
            last_ns = horizon_ns - 1
        else:
            fault = f"{horizon_ns} is outside 1 to {MAX_HORIZON_NS} ns; write the end of the trace"
            problems.append(Problem(f"{where}: horizon_ns", fault))
    if warmup_ns is not None and not 0 <= warmup_ns <= last_ns:
        fault = f"{warmup_ns} is outside 0 to {last_ns} ns; it must end before the horizon"
        problems.append(Problem(f"{where}: warmup_ns", fault))
    return problems
