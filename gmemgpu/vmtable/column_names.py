"""Which column of a table says what: names in their usual spellings, the unit in a name, and what a user maps."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from gmemgpu.columns.message import shown, shown_name
from gmemgpu.units import NS_PER_S

__all__ = ["COLUMNS", "ENDS", "Found", "MAPPED_BY", "REQUIRED", "find_columns", "known_names", "squashed"]

_TIME_UNITS = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": NS_PER_S,
    "sec": NS_PER_S,
    "seconds": NS_PER_S,
    "min": 60 * NS_PER_S,
    "minutes": 60 * NS_PER_S,
    "h": 3600 * NS_PER_S,
    "hours": 3600 * NS_PER_S,
    "d": 86_400 * NS_PER_S,
    "days": 86_400 * NS_PER_S,
}
# Of guest memory MB means MiB: hypervisors count in binary whatever they write.
_SIZE_UNITS = {
    "b": 1,
    "bytes": 1,
    "kib": 1 << 10,
    "kb": 1 << 10,
    "mib": 1 << 20,
    "mb": 1 << 20,
    "gib": 1 << 30,
    "gb": 1 << 30,
    "tib": 1 << 40,
    "tb": 1 << 40,
}
_NO_UNITS: dict[str, int] = {}

COLUMNS: dict[str, tuple[Mapping[str, int], str]] = {
    "arrival": (
        _TIME_UNITS,
        "arrival arrived arrival_time created created_at creation_time create_time creation_date started started_at "
        "submission_time start start_time launched launched_at launch_time booted_at boot_time begin vmcreated",
    ),
    "departure": (
        _TIME_UNITS,
        "departure departed departure_time deleted deleted_at deletion_time terminated terminated_at termination_time "
        "destroyed destroyed_at ended ended_at end end_time stopped stopped_at stop stop_time finished_at finish_time "
        "vmdeleted",
    ),
    "lifetime": (_TIME_UNITS, "lifetime life life_time duration runtime run_time"),
    "vcpus": (
        _NO_UNITS,
        "vcpus vcpu n_vcpus num_vcpus vcpu_count cpus cpu n_cpus num_cpus cpu_count cores n_cores core_count "
        "vmcorecount",
    ),
    "memory": (_SIZE_UNITS, "memory mem ram memory_size mem_size ram_size guest_memory vmmemory"),
    "kind": (
        _NO_UNITS,
        "kind confidential is_confidential snp is_snp sev_snp sev cvm is_cvm confidential_computing "
        "confidential_compute security_type launch_security vm_kind",
    ),
    "tenant": (
        _NO_UNITS,
        "tenant tenant_id batch batch_id project project_id subscription subscription_id account account_id customer "
        "customer_id owner owner_id user user_id",
    ),
    "host": (
        _NO_UNITS,
        "host host_id hostname host_name hypervisor hypervisor_hostname compute_node compute_host server machine "
        "machine_id",
    ),
    "id": (_NO_UNITS, "id vm_id vm vm_uuid uuid instance_id instance vm_name instance_name name"),
    "node": (_NO_UNITS, "node numa_node"),
    "gmems": (_NO_UNITS, "gmems"),
    "folio_pages": (_NO_UNITS, "folio_pages"),
}
"""What a table may say: the units that a name may end in, and its usual names, of which an earlier one goes first."""

REQUIRED = ("arrival", "vcpus", "memory")
ENDS = ("departure", "lifetime")
"""One of these says the end."""

MAPPED_BY = '--map {0}=COLUMN, or in a spec vm_table.columns = {{{0} = "COLUMN"}}'
"""How to say which column it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """
    The columns of a table.

    Parameters
    ----------
    places : dict of str to int
        Place in the table, from 0, of each of `COLUMNS` that is there.
    units : dict of str to int
        Unit that a name ends in, in ns or bytes; nothing for a name that ends in none.
    unused : tuple of str
        Names that say nothing here.
    problems : tuple of str
        What is wrong.
    """

    places: dict[str, int]
    units: dict[str, int]
    unused: tuple[str, ...]
    problems: tuple[str, ...]


def squashed(name: str) -> str:
    """
    Return a name as it is compared: letters and digits alone, in lower case.

    Parameters
    ----------
    name : str
        As a file has it.

    Returns
    -------
    str
        ``createdat`` for ``Created-At``.
    """
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _spellings() -> dict[str, tuple[str, int | None, int]]:
    # Squashed name to column, unit and rank.
    known: dict[str, tuple[str, int | None, int]] = {}
    for column, (units, names) in COLUMNS.items():
        for rank, name in enumerate(names.split()):
            known.setdefault(squashed(name), (column, None, rank))
            for unit, factor in units.items():
                known.setdefault(squashed(name) + unit, (column, factor, rank))
    return known


_KNOWN = _spellings()


def known_names(names: Sequence[str]) -> set[str]:
    """
    Return which of `COLUMNS` some names stand for.

    Parameters
    ----------
    names : sequence of str
        Of a table.

    Returns
    -------
    set of str
        Empty if none of the names is known.
    """
    return {_KNOWN[squashed(name)][0] for name in names if squashed(name) in _KNOWN}


_OPENDC = {"submission_time": "arrival_ms", "duration": "lifetime_ms", "cpu_count": "vcpus"}
"""Columns of OpenDC's tables of tasks, and what they say; so does no name of theirs."""
_OPENDC_MEMORY = "mem_capacity"


def find_columns(names: Sequence[str], mapping: Mapping[str, str]) -> Found:
    """
    Find what a table says, by the names of its columns and by what its user says of them.

    Parameters
    ----------
    names : sequence of str
        Of the table, in its order.
    mapping : mapping of str to str
        One of `COLUMNS`, with a unit or without, to the table's name for it.

    Returns
    -------
    Found
        What is mapped goes before what is found by name.
    """
    problems: list[str] = []
    places: dict[str, int] = {}
    units: dict[str, int] = {}
    plain = {squashed(name) for name in names}
    if {squashed(name) for name in (*_OPENDC, _OPENDC_MEMORY)} <= plain:
        if not any(squashed(key).startswith("memory") for key in mapping):
            ask = f"--map memory_mib={_OPENDC_MEMORY} or --map memory_kib={_OPENDC_MEMORY}"
            problems.append(
                f"is a table of OpenDC's, whose {_OPENDC_MEMORY} is in MiB or KiB as the version that wrote it has it; "
                f"say which: {ask} (in a spec vm_table.columns)"
            )
        mapping = {**{said: name for name, said in _OPENDC.items()}, **mapping}
    for key, name in mapping.items():
        column, unit, _ = _KNOWN.get(squashed(key), ("", None, 0))
        if not column:
            problems.append(
                f"vm_table.columns: {shown(key)} is no column of a VM table; there are {', '.join(COLUMNS)}"
            )
            continue
        alike = [i for i, other in enumerate(names) if other == name]
        alike = alike or [i for i, other in enumerate(names) if squashed(other) == squashed(name)]
        if len(alike) != 1:
            fault = "is there several times" if alike else f"is not there; it has {_listed(names)}"
            problems.append(f"vm_table.columns.{column}: the column {shown(name)} {fault}")
            continue
        if column in places:
            problems.append(f"vm_table.columns: {column} is mapped twice; keep one")
        other = next((one for one, place in places.items() if place == alike[0] and one != column), None)
        if other:
            problems.append(f"vm_table.columns: {shown(name)} cannot be both {other} and {column}; keep one")
        places[column] = alike[0]
        unit = unit or _unit_at_the_end(name, COLUMNS[column][0])
        if unit:
            units[column] = unit
    taken = set(places.values())
    candidates: dict[str, list[tuple[int, int, int | None]]] = {}
    for i, name in enumerate(names):
        column, unit, rank = _KNOWN.get(squashed(name), ("", None, 0))
        if column and column not in places and i not in taken:
            candidates.setdefault(column, []).append((rank, i, unit))
    if "lifetime" in places or "departure" in places:
        # Who maps one end does not want the other.
        candidates = {column: found for column, found in candidates.items() if column not in ENDS}
    for column, found in candidates.items():
        rank, place, unit = min(found)
        if sum(other == rank for other, _, _ in found) > 1:
            twice = [names[i] for other, i, _ in found if other == rank]
            problems.append(f"{column} is there {len(twice)} times: {_listed(twice)}; keep one")
        places[column] = place
        if unit:
            units[column] = unit
    unused = tuple(name for i, name in enumerate(names) if i not in places.values())
    problems.extend([] if problems else _lacks(names, places, unused))
    return Found(places=places, units=units, unused=unused, problems=tuple(problems))


def _lacks(names: Sequence[str], places: Mapping[str, int], unused: Sequence[str]) -> list[str]:
    ends = [end for end in ENDS if end in places]
    lacking = [column for column in REQUIRED if column not in places]
    if not lacking and len(ends) == 1:
        return []
    if not lacking and ends:
        return ["both departure and lifetime are there; one of them says the end: remove the other, or map one"]
    lacking += [] if ends else ["departure or lifetime"]
    near = []
    for column in (*[c for c in REQUIRED if c not in places], *([] if ends else ENDS)):
        spellings = [spelling for spelling, (of, _, _) in _KNOWN.items() if of == column]
        for name in unused:
            if get_close_matches(squashed(name)[:40], spellings, n=1, cutoff=0.7):
                near.append(f"{shown_name(name)} for {column}")
    return [
        f"its first line names {_listed(names)}; a VM table needs arrival, vcpus, memory and departure or lifetime, "
        f"and this one has no {', no '.join(lacking)}"
        + (f" (near: {', '.join(near[:4])})" if near else "")
        + f"; say which column it is: {MAPPED_BY.format(lacking[0].split()[0])}"
    ]


def _listed(names: Sequence[str]) -> str:
    text = ", ".join(shown_name(name) for name in names[:12])
    return f"{text} and {len(names) - 12} more" if len(names) > 12 else text


def _unit_at_the_end(name: str, units: Mapping[str, int]) -> int | None:
    words = [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word]
    return units.get(words[-1]) if len(words) > 1 else None
