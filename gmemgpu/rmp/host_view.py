"""What files of a host tell together: a state of each region, and a table of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gmemgpu.model.trace import Int32Array
from gmemgpu.rmp.kernel_log import LogFindings
from gmemgpu.rmp.regions import OWNERS_KEPT, Regions
from gmemgpu.units import PAGE_BYTES, PAGES_PER_BLOCK, PAGES_PER_REGION, REGION_BYTES

__all__ = ["LogRegions", "State", "log_regions", "map_lines", "region_columns", "region_states", "table_states"]


class State(StrEnum):
    """State of a region; the value is its sign on the map."""

    FREE = "."
    FREE_UNSET = "!"
    ONE_PAGE = "1"
    ONE_BLOCK = ":"
    TENTH = "+"
    BUSY = "#"
    RMP = "r"
    LEAKED = "l"
    SET = "*"
    SET_IN_PART = "~"
    UNSET = "-"
    UNKNOWN = "?"

    @property
    def text(self) -> str:
        """What it means, in the words of the legend."""
        return _TEXTS[self]


_TEXTS = {
    State.FREE: "free: can be optimized",
    State.FREE_UNSET: "free, and its bit is not set on every CPU",
    State.ONE_PAGE: "one page assigned",
    State.ONE_BLOCK: "at most 512",
    State.TENTH: "at most 10 %",
    State.BUSY: "more",
    State.RMP: "holds the RMP",
    State.LEAKED: "pages leaked",
    State.SET: "bit set on all CPUs of the table",
    State.SET_IN_PART: "on some",
    State.UNSET: "on none",
    State.UNKNOWN: "no file tells",
}
_SIGNS_PER_LINE = 64

Signs = NDArray[np.str_]


def region_states(assigned: Int32Array, known: Int32Array, cpus: Int32Array | None = None) -> Signs:
    """
    Return the state of each region.

    Parameters
    ----------
    assigned : (n,) int32
        Assigned pages.
    known : (n,) int32
        Pages that a file tells of.
    cpus : (n,) int32, optional
        CPUs that have the region's bit, -1 where no table tells.

    Returns
    -------
    (n,) str
        Values of `State`.
    """
    tenth = PAGES_PER_REGION // 10
    cases = [
        (known == 0) & (assigned == 0),
        assigned > tenth,
        assigned > PAGES_PER_BLOCK,
        assigned > 1,
        assigned == 1,
    ]
    states = [State.UNKNOWN, State.BUSY, State.TENTH, State.ONE_BLOCK, State.ONE_PAGE]
    if cpus is not None and len(cpus):
        cases.append((cpus >= 0) & (cpus < cpus.max()))
        states.append(State.FREE_UNSET)
        cases.append((cpus == 0) & (cpus.max() == 0))
        states.append(State.FREE_UNSET)
    return np.select(cases, [str(state) for state in states], str(State.FREE))


def table_states(cpus: Int32Array) -> Signs:
    """
    Return the state of each region of an rmpopt-table.

    Parameters
    ----------
    cpus : (n,) int32
        CPUs that have the region's bit, -1 where the table does not tell.

    Returns
    -------
    (n,) str
        Values of `State`; all CPUs are as many as the fullest region has.
    """
    cases = [cpus < 0, cpus == 0, cpus < cpus.max()]
    return np.select(cases, [str(State.UNKNOWN), str(State.UNSET), str(State.SET_IN_PART)], str(State.SET))


@dataclass(frozen=True, slots=True, eq=False)
class LogRegions:
    """
    What a log tells of each region: what is assigned at least.

    Parameters
    ----------
    assigned : (n,) int32
        Pages whose entries were dumped and are assigned.
    leaked : (n,) int32
        Pages that were leaked.
    rmp : (n,) bool
        Whether it holds part of the RMP.
    first_pfn, first_asid : (n,) int64
        The lowest of the assigned pages and its owner, -1 for none.
    """

    assigned: Int32Array
    leaked: Int32Array
    rmp: NDArray[np.bool_]
    first_pfn: NDArray[np.int64]
    first_asid: NDArray[np.int64]

    def states(self) -> Signs:
        """Return the state of each region: never free, for a log does not tell."""
        signs = region_states(self.assigned, np.zeros(len(self.assigned), np.int32))
        unknown = signs == str(State.UNKNOWN)
        return np.select([unknown & (self.leaked > 0), self.rmp], [str(State.LEAKED), str(State.RMP)], signs)


def log_regions(found: LogFindings) -> LogRegions:
    """
    Compute what a log tells by region.

    Parameters
    ----------
    found : LogFindings
        Of one boot.

    Returns
    -------
    LogRegions
        Up to the last region that is named.
    """
    pages = found.assigned()
    extents = [(low // PAGE_BYTES, high // PAGE_BYTES + 1) for low, high in found.table]
    ends = [end for _, end in (*extents, *found.leaked)]
    n = -(-max([*ends, *(pfn + 1 for pfn in pages)], default=0) // PAGES_PER_REGION)
    regions = LogRegions(
        np.zeros(n, np.int32), np.zeros(n, np.int32), np.zeros(n, bool), np.full(n, -1, np.int64), np.full(n, -1)
    )
    for first, end in extents:
        regions.rmp[first // PAGES_PER_REGION : -(-end // PAGES_PER_REGION)] = True
    for first, end in _apart(found.leaked):
        at = np.arange(first // PAGES_PER_REGION, -(-end // PAGES_PER_REGION))
        low, high = at * PAGES_PER_REGION, (at + 1) * PAGES_PER_REGION
        regions.leaked[at] += (np.minimum(high, end) - np.maximum(low, first)).astype(np.int32)
    for pfn in sorted(pages, reverse=True):
        region = pfn // PAGES_PER_REGION
        regions.assigned[region] += 1
        regions.first_pfn[region], regions.first_asid[region] = pfn, pages[pfn]
    return regions


def _apart(extents: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    # A page that is leaked twice counts once.
    reached = 0
    for first, end in sorted(extents):
        if end > reached:
            yield max(first, reached), end
            reached = end


def region_columns(regions: Regions, signs: Signs, cpus: Int32Array | None) -> pa.Table:
    """
    Build the table of all regions.

    Parameters
    ----------
    regions : Regions
        What dumps say.
    signs : (n,) str
        As of `region_states`.
    cpus : (n,) int32, optional
        CPUs that have the region's bit, -1 where no table tells.

    Returns
    -------
    pyarrow.Table
        A row a region. Counts are of pages.
    """
    columns: dict[str, pa.Array] = {
        "region": pa.array(np.arange(len(regions), dtype=np.int64)),
        "address": pa.array(np.arange(len(regions), dtype=np.int64) * REGION_BYTES),
        "state": pa.array(signs.tolist(), pa.string()).dictionary_encode(),
        "known_pages": pa.array(regions.known),
        "assigned_pages": pa.array(regions.scan.assigned),
        "first_block": pa.array(regions.scan.first),
        "first_pfn": pa.array(regions.first_pfn),
    }
    of = regions.owners
    if of is not None:
        held = of.asid.ravel() >= 0
        ends = np.concatenate([[0], np.cumsum((of.asid >= 0).sum(axis=1))]).astype(np.int32)
        columns |= {
            "pages_2m": pa.array(of.large),
            "firmware_pages": pa.array(of.firmware),
            "vmsa_pages": pa.array(of.vmsa),
            "first_asid": pa.array(of.first_asid),
            f"top_{OWNERS_KEPT}_asid": pa.ListArray.from_arrays(ends, of.asid.ravel()[held]),
            f"top_{OWNERS_KEPT}_pages": pa.ListArray.from_arrays(ends, of.pages.ravel()[held]),
        }
    if cpus is not None:
        columns["cpus"] = pa.array(cpus)
    return pa.table(columns)


def map_lines(signs: Signs) -> Iterator[str]:
    """
    Draw a map of regions, a sign each, and the legend.

    Parameters
    ----------
    signs : (n,) str
        Values of `State`.

    Yields
    ------
    str
        Lines of at most 80 characters; equal ones in a row are given once and then counted.
    """
    text = "".join(signs.tolist())
    before, more = "", 0
    for begin in range(0, len(text), _SIGNS_PER_LINE):
        line = text[begin : begin + _SIGNS_PER_LINE]
        if line == before:
            more += 1
            continue
        if more:
            yield f"{'':8} … {more:,} such line{'s' if more > 1 else ''} more"
        yield f"{begin:8,} {line}"
        before, more = line, 0
    if more:
        yield f"{'':8} … {more:,} such line{'s' if more > 1 else ''} more"
    legend = ""
    for state in State:
        if str(state) in text:
            word = f"{state} {state.text}"
            if legend and len(legend) + len(word) > 76:
                yield legend
                legend = ""
            legend = f"{legend}; {word}" if legend else word
    yield legend
