"""What the files of a host tell, as figures: the document that ``gmemgpu scan --json`` prints, and a row a region."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from gmemgpu.columns.lines import text_lines
from gmemgpu.model.trace import Int32Array
from gmemgpu.rmp.dump_scan import DumpScan, OwnerCounts, Scanner, scan_dumps
from gmemgpu.rmp.host_form import HostForm
from gmemgpu.rmp.host_view import Signs, State, log_regions, region_columns, region_states, table_states
from gmemgpu.rmp.kernel_log import read_kernel_log
from gmemgpu.rmp.pool import pool_steps
from gmemgpu.rmp.rmpopt_table import read_rmpopt_table
from gmemgpu.rmp.summary import summarize
from gmemgpu.units import PAGES_PER_REGION

__all__ = ["Findings", "dump_findings", "log_findings", "table_findings"]


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """
    What files tell.

    Parameters
    ----------
    document : dict
        Figures, ready for JSON. ``complete`` says whether they are of all pages, or of those that a log names.
    notes : list of str
        What whoever reads the figures must know.
    signs : (n,) str
        State of each region, as `gmemgpu.rmp.host_view.State` has it.
    table : callable
        Returns the Arrow table of all regions.
    """

    document: dict[str, Any]
    notes: list[str]
    signs: Signs
    table: Callable[[], pa.Table]


def table_findings(path: Path) -> Findings:
    """
    Compute what an rmpopt-table tells.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    Findings
        How many regions have their bit on all CPUs, on some and on none.

    Raises
    ------
    TraceError
        If it is no such table.
    """
    cpus = _cpus(path, None)
    signs = table_states(cpus)
    names = {"set_on_all": State.SET, "set_on_some": State.SET_IN_PART, "set_on_none": State.UNSET}
    counts = {name: int((signs == str(state)).sum()) for name, state in names.items()}
    not_told = int((signs == str(State.UNKNOWN)).sum())
    document = {"complete": True, "bits": {**counts, "not_told": not_told, "cpus": int(cpus.max())}}
    return Findings(document, [], signs, lambda: pa.table({"region": np.arange(len(cpus)), "cpus": cpus}))


def _cpus(path: Path, n_regions: int | None) -> Int32Array:
    found = read_rmpopt_table(text_lines(path), str(path))
    cpus = np.full(max(found) + 1 if n_regions is None else n_regions, -1, np.int32)
    for region, count in found.items():
        if region < len(cpus):
            cpus[region] = count
    return cpus


def dump_findings(
    dumps: Sequence[tuple[Path, HostForm]],
    scanner: Scanner,
    *,
    segment_bytes: int | None = None,
    rmpopt_table: Path | None = None,
    mapped_gib: Mapping[int, int] | None = None,
) -> Findings:
    """
    Compute what dumps of the RMP, or bitmaps, tell.

    Parameters
    ----------
    dumps : sequence of (Path, HostForm)
        In order of memory.
    scanner : callable
        Counts pages, as `gmemgpu.rmp.scan.scan_regions` does.
    segment_bytes : int, optional
        Memory that a segment covers.
    rmpopt_table : Path, optional
        Of the same moment: which of the free regions have their bit.
    mapped_gib : mapping of int to int, optional
        The segments that there are, as `gmemgpu.rmp.segment_table.mapped_segments` has them.

    Returns
    -------
    Findings
        By region, by owner, and what a pool would free.

    Raises
    ------
    TraceError
        If files are damaged or do not fit together.
    """
    scanned = scan_dumps(dumps, scanner, segment_bytes=segment_bytes, mapped_gib=mapped_gib)
    regions, assigned = scanned.regions, scanned.regions.scan.assigned
    unknown = np.flatnonzero((regions.known == 0) & (assigned == 0))
    summary = asdict(summarize(regions.scan, unknown.tolist()))
    document: dict[str, Any] = {"complete": True, "summary": summary, "unknown_regions": len(unknown)}
    of = regions.owners
    if of is not None and scanned.owners is not None:
        summary["pages_2m"] = int(of.large.sum(dtype=np.int64))
        summary["busy_without_guest_pages"] = int(((assigned > 0) & (of.firmware + of.vmsa >= assigned)).sum())
        document["owners"] = _owners(scanned.owners)
    document["pool"] = [asdict(step) for step in pool_steps(assigned)]
    document["one_page"] = [
        {
            "region": int(region),
            "pfn": int(regions.first_pfn[region]),
            "asid": None if of is None else int(of.first_asid[region]),
        }
        for region in np.flatnonzero(assigned == 1)
    ]
    cpus = None if rmpopt_table is None else _cpus(rmpopt_table, len(regions))
    if cpus is not None:
        free = (assigned == 0) & (regions.known > 0)
        document["bits"] = {
            "free_set_on_all": int((free & (cpus == cpus.max()) & (cpus > 0)).sum()),
            "free_set_on_some": int((free & (cpus > 0) & (cpus < cpus.max())).sum()),
            "free_set_on_none": int((free & (cpus == 0)).sum()),
            "free_not_told": int((free & (cpus < 0)).sum()),
            "busy_but_set": int((~free & (cpus > 0)).sum()),
            "cpus": int(cpus.max()),
        }
    signs = region_states(assigned, regions.known, cpus)
    return Findings(document, _notes(scanned), signs, lambda: region_columns(regions, signs, cpus))


def _owners(totals: OwnerCounts) -> list[dict[str, int]]:
    order = np.argsort(-totals.pages, kind="stable")[: int((totals.pages > 0).sum())]
    columns = (order, totals.pages[order], totals.regions[order], totals.alone[order])
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [dict(zip(("asid", "pages", "regions", "alone"), row, strict=True)) for row in rows]


def _notes(scanned: DumpScan) -> list[str]:
    notes = []
    if scanned.odd:
        notes.append(
            f"{scanned.odd:,} assigned entries have reserved bits set or an owner that cannot be, the first at PFN "
            f"{scanned.first_odd_pfn:#x}; is the dump whole, and the layout right?"
        )
    known = scanned.regions.known
    partial = np.flatnonzero((known > 0) & (known < PAGES_PER_REGION))
    if len(partial):
        named = ", ".join(f"{region} ({known[region]:,} of {PAGES_PER_REGION:,} pages)" for region in partial[:3])
        more = f" and {len(partial) - 3} more" if len(partial) > 3 else ""
        notes.append(f"told of in part: region {named}{more}; what lies past that counts as not assigned")
    return notes


def log_findings(logs: Sequence[Path]) -> Findings:
    """
    Compute what a kernel's log tells.

    Parameters
    ----------
    logs : sequence of Path
        Files of one boot's log, in order.

    Returns
    -------
    Findings
        What is blocked at least.

    Raises
    ------
    TraceError
        If there is nothing on the RMP in them.
    """
    found = read_kernel_log(chain.from_iterable(text_lines(path) for path in logs), str(logs[0]))
    regions = log_regions(found)
    signs = regions.states()
    notes = []
    if found.damaged:
        n, first = len(found.damaged), found.damaged[0]
        notes.append(f"{n:,} lines on the RMP are damaged and left out, the first is line {first}")
    summary = {
        "lines": found.n_lines,
        "blocked_at_least": int((signs != str(State.UNKNOWN)).sum()),
        "assigned_pages_at_least": int(regions.assigned.sum(dtype=np.int64)),
        "regions_of_the_rmp": int(regions.rmp.sum()),
        "leaked_pages": int(regions.leaked.sum(dtype=np.int64)),
        "regions_with_leaked_pages": int((regions.leaked > 0).sum()),
        "failed_rmpupdates": found.n_failed,
        "passes_begun": found.n_passes,
    }
    columns = {
        "region": np.arange(len(signs)),
        "state": signs.tolist(),
        "assigned_pages_at_least": regions.assigned,
        "leaked_pages": regions.leaked,
        "rmp": regions.rmp,
        "first_pfn": regions.first_pfn,
        "first_asid": regions.first_asid,
    }
    return Findings({"complete": False, "log": summary}, notes, signs, lambda: pa.table(columns))
