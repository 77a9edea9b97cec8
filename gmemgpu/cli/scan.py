"""``gmemgpu scan``: what a host's RMP holds, from a dump, a bitmap, the kernel's log or debugfs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gmemgpu.errors import InputError, Problem, SpecError
from gmemgpu.units import REGION_BYTES, parse_bytes

if TYPE_CHECKING:
    import pyarrow as pa

    from gmemgpu.model.trace import Int32Array
    from gmemgpu.rmp.host_form import HostForm
    from gmemgpu.rmp.image import Words
    from gmemgpu.rmp.scan import RegionScan

__all__ = ["add_arguments", "region_scanner", "run"]

_FORMS = ("rmp", "rmp-table", "bitmap", "log", "rmpopt-table")
_LISTED = 20
BACKENDS = ("numpy", "numba", "cupy")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``gmemgpu scan``."""
    parser.add_argument("files", metavar="FILE", nargs="+", help="of one host; segments of an RMP in order")
    parser.add_argument(
        "--form",
        choices=_FORMS,
        help="what the files are: entries of an RMP, those after 16 KiB of bookkeeping, a bit a page, a kernel log, "
        "rmpopt-table of debugfs (default: by what is in them)",
    )
    parser.add_argument(
        "--layout", choices=("raw", "rmpread"), help="of entries: as in memory on Zen 3 and 4, or RMPREAD's"
    )
    parser.add_argument("--segment", metavar="SIZE", help='memory that a segment covers (RMP_CFG), as in "64 GiB"')
    parser.add_argument("--backend", default="numpy", choices=BACKENDS, help="what counts pages (default: numpy)")
    parser.add_argument("-o", "--output", metavar="FILE", help="write a row a region: .parquet")
    parser.add_argument("--json", action="store_true", help="write JSON")


def region_scanner(backend: str) -> Callable[[Words], RegionScan]:
    """
    Return what counts the pages of images.

    Parameters
    ----------
    backend : str
        One of numpy, numba and cupy.

    Returns
    -------
    callable
        From images to a `gmemgpu.rmp.scan.RegionScan`.

    Raises
    ------
    SpecError
        If there is no such back-end.
    BackendError
        If it cannot run here; the message names why.
    """
    if backend == "numpy":
        from gmemgpu.rmp.scan import scan_regions

        return scan_regions
    if backend not in BACKENDS:
        raise SpecError(Problem("--backend", f'"{backend}" is unknown here; use {", ".join(BACKENDS)}'))
    from gmemgpu.engine.registry import engine

    engine(backend)  # says what is missing
    if backend == "numba":
        from gmemgpu.rmp.compiled_scan import scan_regions_compiled

        return scan_regions_compiled
    from gmemgpu.engine.cupy.rmp_scan import scan_through_device

    return scan_through_device


def run(arguments: argparse.Namespace) -> int:
    """Read what files of a host tell, print it and write a row a region; 0 if they could be read."""
    from gmemgpu.rmp.host_form import host_form

    paths = [Path(name) for name in arguments.files]
    _check_output(arguments.output, paths)
    segment_bytes = _segment_bytes(arguments.segment)
    scanner = region_scanner(arguments.backend)
    files: list[tuple[Path, HostForm]] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            files.append((path, host_form(path, arguments.form, arguments.layout)))
        except InputError as error:
            problems.extend(error.problems)
    if problems:
        raise SpecError(problems)
    by_kind: dict[str, list[tuple[Path, HostForm]]] = {"dump": [], "bitmap": [], "log": [], "rmpopt-table": []}
    for path, form in files:
        kind = form.form if form.form in by_kind else "dump"
        by_kind[kind].append((path, form))
    _check_kinds(by_kind)
    if not arguments.json:
        for path, form in files:
            print(f"{path}: {form.why}", file=sys.stderr)
    if by_kind["log"]:
        report = _of_logs(by_kind["log"])
    else:
        report = _of_dumps(by_kind["dump"] or by_kind["bitmap"], by_kind["rmpopt-table"], scanner, segment_bytes)
    _finish(arguments, files, *report)
    return 0


def _check_output(output: str | None, paths: Iterable[Path]) -> None:
    if output is None:
        return
    path = Path(output)
    if path.suffix != ".parquet":
        raise SpecError(Problem("--output", f"{path} does not end in .parquet; a row a region is Parquet"))
    if path.exists() and any(one.exists() and path.samefile(one) for one in paths):
        raise SpecError(Problem("--output", f"{path} is a file that is scanned; give the new one another name"))


def _segment_bytes(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        size = parse_bytes(text)
    except ValueError as error:
        raise SpecError(Problem("--segment", str(error))) from None
    if size < REGION_BYTES or size & (size - 1):
        raise SpecError(Problem("--segment", f'"{text}" is no power of two from 1 GiB on; RMP_CFG bits 13:8 say which'))
    return size


def _check_kinds(by_kind: dict[str, list[tuple[Path, HostForm]]]) -> None:
    present = [kind for kind, files in by_kind.items() if files]
    together = present in ([present[0]], ["dump", "rmpopt-table"], ["bitmap", "rmpopt-table"])
    if not together:
        named = "; ".join(f"{path}: {form.form}" for files in by_kind.values() for path, form in files)
        fault = f"cannot be scanned together ({named}); only a dump or a bitmap goes with an rmpopt-table"
        raise SpecError(Problem("FILE", fault))
    if len(by_kind["rmpopt-table"]) > 1:
        raise SpecError(Problem("FILE", "more than one rmpopt-table; give one, it is of one moment"))


Report = tuple[dict[str, Any], "list[str]", "Any", "Callable[[], pa.Table]"]


def _cpus(tables: list[tuple[Path, HostForm]], n: int) -> Int32Array | None:
    import numpy as np

    from gmemgpu.rmp.host_form import text_lines
    from gmemgpu.rmp.rmpopt_table import read_rmpopt_table

    if not tables:
        return None
    path = tables[0][0]
    found = read_rmpopt_table(text_lines(path), str(path))
    cpus = np.full(n or max(found) + 1, -1, np.int32)
    for region, count in found.items():
        if region < len(cpus):
            cpus[region] = count
    return cpus


def _of_dumps(
    dumps: list[tuple[Path, HostForm]],
    tables: list[tuple[Path, HostForm]],
    scanner: Callable[[Words], RegionScan],
    segment_bytes: int | None,
) -> Report:
    from dataclasses import asdict

    import numpy as np
    import pyarrow as pa

    from gmemgpu.rmp.dump_scan import scan_dumps
    from gmemgpu.rmp.host_view import region_columns, region_states, table_states
    from gmemgpu.rmp.pool import pool_steps
    from gmemgpu.rmp.summary import summarize
    from gmemgpu.units import PAGES_PER_REGION

    if not dumps:
        cpus = _cpus(tables, 0)
        assert cpus is not None
        signs = table_states(cpus)
        counts = {name: int((signs == sign).sum()) for name, sign in _TABLE_COUNTS.items()}
        found: dict[str, Any] = {"complete": True, "bits": {**counts, "cpus": int(cpus.max())}}
        return found, [], signs, lambda: pa.table({"region": np.arange(len(cpus)), "cpus": cpus})
    scanned = scan_dumps(dumps, scanner, segment_bytes=segment_bytes)
    regions, assigned = scanned.regions, scanned.regions.scan.assigned
    unknown = np.flatnonzero((regions.known == 0) & (assigned == 0))
    summary = asdict(summarize(regions.scan, unknown.tolist()))
    notes = []
    if scanned.odd:
        notes.append(
            f"{scanned.odd:,} assigned entries have reserved bits set or an owner that cannot be, the first at PFN "
            f"{scanned.first_odd_pfn:#x}; is the dump whole, and the layout right?"
        )
    partial = np.flatnonzero((regions.known > 0) & (regions.known < PAGES_PER_REGION))
    if len(partial):
        named = ", ".join(
            f"{region} ({regions.known[region]:,} of {PAGES_PER_REGION:,} pages)" for region in partial[:3]
        )
        more = f" and {len(partial) - 3} more" if len(partial) > 3 else ""
        notes.append(f"told of in part: region {named}{more}; what lies past that counts as not assigned")
    found = {"complete": True, "summary": summary, "unknown_regions": len(unknown)}
    of = regions.owners
    if of is not None and scanned.owners is not None:
        other = of.firmware + of.vmsa
        summary["pages_2m"] = int(of.large.sum(dtype=np.int64))
        summary["busy_without_guest_pages"] = int(((assigned > 0) & (other >= assigned)).sum())
        totals = scanned.owners
        order = np.argsort(-totals.pages, kind="stable")[: int((totals.pages > 0).sum())]
        found["owners"] = [
            {"asid": asid, "pages": pages, "regions": n, "alone": alone}
            for asid, pages, n, alone in zip(
                order.tolist(),
                totals.pages[order].tolist(),
                totals.regions[order].tolist(),
                totals.alone[order].tolist(),
                strict=True,
            )
        ]
    found["pool"] = [asdict(step) for step in pool_steps(assigned)]
    one = np.flatnonzero(assigned == 1)
    found["one_page"] = [
        {
            "region": int(region),
            "pfn": int(regions.first_pfn[region]),
            "asid": None if of is None else int(of.first_asid[region]),
        }
        for region in one
    ]
    cpus = _cpus(tables, len(regions))
    signs = region_states(assigned, regions.known, cpus)
    if cpus is not None:
        most = int(cpus.max())
        told = cpus >= 0
        free = (assigned == 0) & (regions.known > 0)
        found["bits"] = {
            "free_set_on_all": int((free & (cpus == most) & (most > 0)).sum()),
            "free_set_on_some": int((free & (cpus > 0) & (cpus < most)).sum()),
            "free_set_on_none": int((free & (cpus == 0)).sum()),
            "free_not_told": int((free & ~told).sum()),
            "busy_but_set": int((~free & (cpus > 0)).sum()),
            "cpus": most,
        }
    return found, notes, signs, lambda: region_columns(regions, signs, cpus)


_TABLE_COUNTS = {"set_on_all": "*", "set_on_some": "~", "set_on_none": "-", "not_told": "?"}


def _of_logs(logs: list[tuple[Path, HostForm]]) -> Report:
    from itertools import chain

    import numpy as np
    import pyarrow as pa

    from gmemgpu.rmp.host_form import text_lines
    from gmemgpu.rmp.host_view import log_regions
    from gmemgpu.rmp.kernel_log import read_kernel_log

    # Rotated files of one log follow one another.
    found = read_kernel_log(chain.from_iterable(text_lines(path) for path, _ in logs), str(logs[0][0]))
    regions = log_regions(found)
    signs = regions.states()
    notes = []
    if found.damaged:
        notes.append(
            f"{len(found.damaged):,} lines on the RMP are damaged and left out, the first is {found.damaged[0]}"
        )
    summary = {
        "lines": found.n_lines,
        "blocked_at_least": int((signs != "?").sum()),
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
    return {"complete": False, "log": summary}, notes, signs, lambda: pa.table(columns)


def _finish(
    arguments: argparse.Namespace,
    files: list[tuple[Path, HostForm]],
    found: dict[str, Any],
    notes: list[str],
    signs: Any,
    table: Callable[[], pa.Table],
) -> None:
    if arguments.json:
        read = [{"file": str(path), "form": form.form, "layout": form.layout, "why": form.why} for path, form in files]
        document = {"files": read, "notes": notes, **found, "map": "".join(signs.tolist())}
        print(json.dumps(document, indent=1))
    else:
        from gmemgpu.cli.host_report import print_host

        print_host(found, notes, signs)
    if arguments.output is not None:
        _write(table(), Path(arguments.output))
        print(f"{arguments.output}: {len(signs):,} regions", file=sys.stderr)


def _write(table: pa.Table, path: Path) -> None:
    import pyarrow.parquet

    from gmemgpu.atomic import is_wrong_path, written_whole
    from gmemgpu.errors import StoreError

    try:
        with written_whole(path) as file:
            pyarrow.parquet.write_table(table, file, compression="zstd")
    except OSError as error:
        reason = f"cannot be written: {error.strerror or error}"
        if is_wrong_path(error):
            raise SpecError(Problem("--output", f"{path} {reason}; choose a folder that you may write to")) from None
        raise StoreError(f"{path}: {reason}; make room there or choose another folder") from None
