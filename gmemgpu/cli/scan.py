"""``gmemgpu scan``: what a host's RMP holds, from a dump, a bitmap, the kernel's log or debugfs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from gmemgpu.cli.message import tell
from gmemgpu.errors import InputError, Problem, SpecError
from gmemgpu.units import REGION_BYTES, parse_bytes

if TYPE_CHECKING:
    import pyarrow as pa

    from gmemgpu.rmp.findings import Findings
    from gmemgpu.rmp.host_form import HostForm
    from gmemgpu.rmp.image import Words
    from gmemgpu.rmp.scan import RegionScan

__all__ = ["add_arguments", "region_scanner", "run"]

_FORMS = ("rmp", "rmp-table", "bitmap", "log", "rmpopt-table")
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
    from gmemgpu.rmp.findings import dump_findings, log_findings, table_findings
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
    kinds = ("rmp-segments", "dump", "bitmap", "log", "rmpopt-table")
    by_kind: dict[str, list[tuple[Path, HostForm]]] = {kind: [] for kind in kinds}
    for path, form in files:
        kind = form.form if form.form in by_kind else "dump"
        by_kind[kind].append((path, form))
    _check_kinds(by_kind)
    if not arguments.json:
        for path, form in files:
            tell(f"{path}: {form.why}")
    if by_kind["log"]:
        found = log_findings([path for path, _ in by_kind["log"]])
    elif by_kind["dump"] or by_kind["bitmap"]:
        table = by_kind["rmpopt-table"][0][0] if by_kind["rmpopt-table"] else None
        dumps = by_kind["dump"] or by_kind["bitmap"]
        mapped = _mapped(by_kind["rmp-segments"], segment_bytes)
        found = dump_findings(dumps, scanner, segment_bytes=segment_bytes, rmpopt_table=table, mapped_gib=mapped)
    else:
        found = table_findings(by_kind["rmpopt-table"][0][0])
    _finish(arguments, files, found)
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


def _mapped(tables: list[tuple[Path, HostForm]], segment_bytes: int | None) -> dict[int, int] | None:
    from gmemgpu.rmp.segment_table import mapped_segments

    if not tables:
        return None
    if segment_bytes is None:
        fault = "say what a segment covers: RMP_CFG bits 13:8, as a power of two; the segment table does not"
        raise SpecError(Problem("--segment", fault))
    return mapped_segments(tables[0][0].read_bytes())


def _check_kinds(by_kind: dict[str, list[tuple[Path, HostForm]]]) -> None:
    present = [kind for kind, files in by_kind.items() if files]
    entries = present[1:] if present[0] == "rmp-segments" else present
    together = entries in (["dump"], ["dump", "rmpopt-table"])
    if present[0] != "rmp-segments":
        together = together or len(present) == 1 or present == ["bitmap", "rmpopt-table"]
    if present == ["rmp-segments"]:
        path, form = by_kind["rmp-segments"][0]
        raise SpecError(Problem(str(path), f"is {form.why}, and holds no entries; give the segments' files after it"))
    if not together:
        named = "; ".join(f"{path}: {form.form}" for files in by_kind.values() for path, form in files)
        fault = f"cannot be scanned together ({named}); only a dump or a bitmap goes with an rmpopt-table"
        raise SpecError(Problem("FILE", fault))
    for kind in ("rmpopt-table", "rmp-segments"):
        if len(by_kind[kind]) > 1:
            raise SpecError(Problem("FILE", f"more than one file is {kind}; give one"))


def _finish(arguments: argparse.Namespace, files: list[tuple[Path, HostForm]], found: Findings) -> None:
    if arguments.json:
        read = [{"file": str(path), "form": form.form, "layout": form.layout, "why": form.why} for path, form in files]
        document = {"files": read, "notes": found.notes, **found.document, "map": "".join(found.signs.tolist())}
        print(json.dumps(document, indent=1))
    else:
        from gmemgpu.cli.host_report import print_host

        print_host(found.document, found.notes, found.signs)
    if arguments.output is not None:
        _write(found.table(), Path(arguments.output))
        tell(f"{arguments.output}: {len(found.signs):,} regions")


def _write(table: pa.Table, path: Path) -> None:
    import pyarrow.parquet

    from gmemgpu.atomic import is_wrong_path, written_output
    from gmemgpu.errors import StoreError

    try:
        with written_output(path) as file:
            pyarrow.parquet.write_table(table, file, compression="zstd")
    except OSError as error:
        reason = f"cannot be written: {error.strerror or error}"
        if is_wrong_path(error):
            raise SpecError(Problem("--output", f"{path} {reason}; choose a folder that you may write to")) from None
        raise StoreError(f"{path}: {reason}; make room there or choose another folder") from None
