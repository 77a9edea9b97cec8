"""What a file from a host is, by what is in it: a dump of the RMP, a bitmap, a kernel's log, an rmpopt-table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from gmemgpu.columns.lines import packing_of, text_stream
from gmemgpu.errors import Problem, TraceError
from gmemgpu.rmp.dump_file import DumpFile, opened_dump
from gmemgpu.rmp.entry import ENTRY_BYTES, LAYOUTS, Layout, implausible
from gmemgpu.rmp.kernel_log import MARK
from gmemgpu.rmp.rmpopt_table import LINE
from gmemgpu.rmp.segment_table import SEGMENT_TABLE_BYTES, mapped_segments
from gmemgpu.units import PAGES_PER_REGION

__all__ = ["BOOKKEEPING_BYTES", "FORMS", "Form", "HostForm", "PIECE_BYTES", "host_form"]

_REGION_BYTES = PAGES_PER_REGION // 8
"""Of a bitmap: what a GiB takes."""
Form = Literal["rmp", "rmp-table", "rmp-segments", "bitmap", "log", "rmpopt-table"]
FORMS: tuple[Form, ...] = ("rmp", "rmp-table", "bitmap", "log", "rmpopt-table")
"""Those that can be told. What names the segments of an RMP is seen in it, or is none."""

BOOKKEEPING_BYTES = 16 << 10
"""Before the entries of a contiguous RMP: Linux, Documentation/arch/x86/amd-memory-encryption.rst; APM 2, 15.36.3."""
PIECE_BYTES = PAGES_PER_REGION * ENTRY_BYTES
_MIB = 1 << 20
_START_BYTES = 1 << 16

_FOREIGN = {
    b"PAR1": "a Parquet file",
    b"ARROW1": "an Arrow file",
    b"SQLite format 3\x00": "an SQLite file",
    b"PK\x03\x04": "a zip file",
    b"\x7fELF": "an ELF file (a vmcore holds the RMP at its physical address: cut it out first)",
    b"KDUMP   ": "a compressed vmcore (write the RMP's address range out of it first)",
}


@dataclass(frozen=True, slots=True)
class HostForm:
    """
    What a file is.

    Parameters
    ----------
    form : Form
        Its kind.
    layout : Layout or None
        How its entries are laid out; None if it has none.
    why : str
        What says so: a line for people.
    """

    form: Form
    layout: Layout | None
    why: str


def host_form(path: Path, form: Form | None = None, layout: Layout | None = None) -> HostForm:
    """
    Return what a file is.

    Parameters
    ----------
    path : Path
        A regular file.
    form : Form, optional
        Taken as it is.
    layout : Layout, optional
        Taken as it is if the file has entries.

    Returns
    -------
    HostForm
        Never from the name.

    Raises
    ------
    TraceError
        If the file cannot be read, is empty or is none of these.
    """
    with opened_dump(path) as dump:
        start = dump.file.read(_START_BYTES)
        if not start:
            raise TraceError(Problem(str(path), "is empty; take it again"))
        if form is None:
            foreign = next((what for magic, what in _FOREIGN.items() if start.startswith(magic)), None)
            if foreign is not None:
                fault = f"is {foreign}; scan reads dumps of an RMP, bitmaps, kernel logs and rmpopt-table"
                raise TraceError(Problem(str(path), fault))
            if (packing := packing_of(start)) is not None:
                with text_stream(path) as stream:
                    start = bytes(stream.read(_START_BYTES))
                return _text_form(path, start, packing)
            if _is_text(start):
                return _text_form(path, start, None)
        if form in ("log", "rmpopt-table"):
            return HostForm(form, None, "as told")
        if dump.size_bytes == SEGMENT_TABLE_BYTES and (mapped := mapped_segments(start[:SEGMENT_TABLE_BYTES])):
            total = sum(mapped.values())
            why = f"bookkeeping and segment table of an RMP: {len(mapped)} segments, {total:,} GiB of memory"
            return HostForm("rmp-segments", None, why)
        return _dump_form(dump, start, form, layout)


def _is_text(start: bytes) -> bool:
    odd = sum(start.count(code) for code in (*range(9), *range(14, 27), *range(28, 32), 127))
    high = len(start) - len(start.translate(None, bytes(range(128, 256))))
    return b"\0" not in start and 20 * (odd + high) <= len(start)


def _text_form(path: Path, start: bytes, packing: str | None) -> HostForm:
    packed = f", {packing}" if packing else ""
    if packing and not _is_text(start):
        fault = f"is a dump compressed by {packing}; decompress it first: what is read in pieces must be a plain file"
        raise TraceError(Problem(str(path), fault))
    first = next((line for line in start.decode("utf-8", "replace").splitlines() if line.strip()), "")
    if LINE.fullmatch(first.rstrip()) or first.startswith("Memory @"):
        return HostForm("rmpopt-table", None, f'rmpopt-table of debugfs{packed}: begins with "Memory @"')
    return HostForm("log", None, f"kernel log{packed}: text, lines with {MARK.strip()!r} are read")


def _dump_form(dump: DumpFile, start: bytes, form: Form | None, layout: Layout | None) -> HostForm:
    if form == "bitmap":
        return HostForm("bitmap", None, "bitmap, a bit a page from PFN 0, as told")
    why: list[str] = []
    if form is None:
        form = _bookkept(dump, start, why)
    begin = BOOKKEEPING_BYTES if form == "rmp-table" else 0
    if layout is None:
        faults = _faults(dump, begin)
        if faults is None:
            # Nothing is assigned, so all layouts say the same: but a bitmap of zeros is of 128 times the memory.
            if not why:
                return HostForm(form, LAYOUTS[0], f"{_named(form)}, as told, of zeros: nothing is assigned")
            n_pages = (dump.size_bytes - begin) // ENTRY_BYTES
            fault = (
                f"holds zeros only, so nothing says what it is; give --form rmp (entries of {n_pages:,} pages) or "
                f"--form bitmap ({dump.size_bytes * 8:,} pages)"
            )
            raise TraceError(Problem(str(dump.path), fault))
        sound = [name for name in LAYOUTS if faults[name][0] == 0.0]
        if len(sound) == 1:
            layout = sound[0]
        elif why and not dump.size_bytes % _REGION_BYTES and min(share for share, _ in faults.values()) > 0.5:
            return HostForm("bitmap", None, "bitmap, a bit a page from PFN 0: is neither text nor entries of an RMP")
        else:
            best = min(LAYOUTS, key=lambda name: faults[name][0])
            share, offset = faults[best]
            fault = (
                f"byte {offset}: is no entry of an RMP in either layout, as {share:.1%} of those near it; give --form "
                "bitmap if it is one, or --layout raw or rmpread, or dump it again"
            )
            raise TraceError(Problem(str(dump.path), fault))
        why.append(f"every entry at the first that is not 0 fits the {layout} layout")
    else:
        why.append(f"{layout} layout as told")
    return HostForm(form, layout, f"{_named(form)}: {'; '.join(why)}")


def _named(form: Form) -> str:
    return "RMP with 16 KiB of bookkeeping before its entries" if form == "rmp-table" else "RMP entries from PFN 0"


def _bookkept(dump: DumpFile, start: bytes, why: list[str]) -> Form:
    head = np.frombuffer(start[: min(len(start), BOOKKEEPING_BYTES) // ENTRY_BYTES * ENTRY_BYTES], np.uint64)
    head = head.reshape(-1, 2)
    used = head.any(axis=1)
    if used.any() and all(implausible(head, layout)[used].any() for layout in LAYOUTS):
        rest = _faults(dump, BOOKKEEPING_BYTES) if dump.size_bytes > BOOKKEEPING_BYTES else None
        if rest is not None and any(share == 0.0 for share, _ in rest.values()):
            why.append("what comes first are no entries, what follows are")
            return "rmp-table"
    over = dump.size_bytes % PIECE_BYTES
    if over == BOOKKEEPING_BYTES < dump.size_bytes or (over and over % _MIB == 0):
        # BIOSes reserve the whole RMP, which firmware wants aligned to 1 MiB.
        why.append("by its size; else give --form rmp")
        return "rmp-table"
    why.append("by its size; else give --form rmp-table")
    return "rmp"


def _faults(dump: DumpFile, begin: int) -> dict[Layout, tuple[float, int]] | None:
    # Of the entries of the first piece that are not 0: what share a layout would not have, and where the first is.
    for number, piece in dump.pieces(begin, PIECE_BYTES):
        whole = (dump.size_bytes - begin - number * PIECE_BYTES) // ENTRY_BYTES
        entries = piece.view(np.uint64).reshape(-1, 2)[:whole]
        used = np.flatnonzero(entries.any(axis=1))
        if len(used):
            found: dict[Layout, tuple[float, int]] = {}
            for layout in LAYOUTS:
                wrong = implausible(entries, layout)[used]
                first = used[int(wrong.argmax())]
                found[layout] = float(wrong.mean()), begin + number * PIECE_BYTES + int(first) * ENTRY_BYTES
            return found
    return None
