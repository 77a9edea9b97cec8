"""Scans of dumps larger than memory: what is kept is a row a region and a count an owner."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gmemgpu.errors import Problem, TraceError
from gmemgpu.model.trace import BoolArray, Int32Array, Int64Array
from gmemgpu.rmp.dump_file import DumpFile, opened_dump
from gmemgpu.rmp.entry import ENTRY_BYTES, Layout, Pages, decode, implausible
from gmemgpu.rmp.host_form import BOOKKEEPING_BYTES, PIECE_BYTES, HostForm
from gmemgpu.rmp.image import REGION_IMAGE_BYTES, WORDS_PER_REGION, Words
from gmemgpu.rmp.regions import OWNERS_KEPT, Regions, first_pages, no_regions
from gmemgpu.rmp.scan import RegionScan
from gmemgpu.units import BLOCKS_PER_REGION, PAGES_PER_BLOCK, PAGES_PER_REGION, REGION_BYTES

__all__ = ["DumpScan", "OwnerCounts", "Scanner", "scan_dumps"]

Scanner = Callable[[Words], RegionScan]

MOST_REGIONS = 1 << 20
"""1 PiB of memory: more than any host has, and what keeps the rows of all within 128 MiB."""
MOST_ASIDS = 1 << 16
_GROUP_BLOCKS = 64
"""What is computed of their entries stays in the cache: twice as fast as a whole region at once."""


@dataclass(frozen=True, slots=True, eq=False)
class OwnerCounts:
    """
    What each ASID holds on the host.

    Parameters
    ----------
    pages : (65536,) int64
        Its pages.
    regions, alone : (65536,) int32
        Regions that it has pages of, and those of which nobody else has.
    """

    pages: Int64Array
    regions: Int32Array
    alone: Int32Array


@dataclass(frozen=True, slots=True, eq=False)
class DumpScan:
    """
    What dumps say.

    Parameters
    ----------
    regions : Regions
        Every region up to the last that a file tells of.
    owners : OwnerCounts or None
        None for bitmaps.
    odd : int
        Assigned entries that no RMP would hold, by reserved bits or owner.
    first_odd_pfn : int
        The lowest of them, -1 for none.
    """

    regions: Regions
    owners: OwnerCounts | None
    odd: int
    first_odd_pfn: int


@dataclass(frozen=True, slots=True)
class _Part:
    path: Path
    begin_bytes: int
    first_region: int
    n_pages: int


def scan_dumps(
    files: Sequence[tuple[Path, HostForm]],
    scanner: Scanner,
    *,
    segment_bytes: int | None = None,
    mapped_gib: Mapping[int, int] | None = None,
) -> DumpScan:
    """
    Scan dumps of one host's RMP, or bitmaps of it.

    Parameters
    ----------
    files : sequence of (Path, HostForm)
        In order of the memory that they tell of; all of them entries, or all bitmaps.
    scanner : callable
        Counts pages and finds blocks, as `gmemgpu.rmp.scan.scan_regions` does.
    segment_bytes : int, optional
        Memory that a segment of the RMP covers: where the next file's begins. If left out it begins where the last
        file's ends.
    mapped_gib : mapping of int to int, optional
        Number of each segment that there is to the GiB of memory that its file must tell of; needs `segment_bytes`.

    Returns
    -------
    DumpScan
        By region.

    Raises
    ------
    TraceError
        If sizes are no dumps', files overlap, or owners are too many.
    """
    parts = _laid_out(files, segment_bytes, mapped_gib)
    n_regions = max(part.first_region + -(-part.n_pages // PAGES_PER_REGION) for part in parts)
    owned = files[0][1].form != "bitmap"
    regions = no_regions(n_regions, owned=owned)
    counts = _EntryScan(regions, scanner) if owned else None
    for part, (path, form) in zip(parts, files, strict=True):
        _mark_known(regions, part)
        with opened_dump(path) as dump:
            if counts is None:
                _scan_bitmap(dump, part, regions, scanner)
            else:
                assert form.layout is not None
                counts.scan(dump, part, form.layout)
    if counts is None:
        return DumpScan(regions, None, 0, -1)
    return DumpScan(regions, counts.totals, counts.odd, counts.first_odd_pfn)


def _laid_out(
    files: Sequence[tuple[Path, HostForm]], segment_bytes: int | None, mapped_gib: Mapping[int, int] | None
) -> list[_Part]:
    parts: list[_Part] = []
    problems: list[Problem] = []
    segments = list(range(len(files)) if mapped_gib is None else mapped_gib)
    if len(segments) != len(files):
        fault = f"the segment table has {len(segments)} segments, and there are {len(files)} files of entries; give all"
        raise TraceError(Problem(str(files[0][0]), fault))
    region, partial = 0, False
    for i, (path, form) in enumerate(files):
        with opened_dump(path) as dump:
            size_bytes = dump.size_bytes
        begin = BOOKKEEPING_BYTES if form.form == "rmp-table" else 0
        if form.form != "bitmap" and (size_bytes < begin or (size_bytes - begin) % ENTRY_BYTES):
            fault = f"has {size_bytes} bytes, which end within an entry: it was cut off; dump it again"
            problems.append(Problem(str(path), fault))
            continue
        n_pages = size_bytes * 8 if form.form == "bitmap" else (size_bytes - begin) // ENTRY_BYTES
        n_regions = -(-n_pages // PAGES_PER_REGION)
        if segment_bytes is not None:
            region, partial = segments[i] * (segment_bytes // REGION_BYTES), False
            if n_regions * REGION_BYTES > segment_bytes:
                fault = f"tells of {n_regions} GiB, more than a segment of {segment_bytes // REGION_BYTES} GiB covers"
                problems.append(Problem(str(path), f"{fault}; correct --segment"))
            elif mapped_gib is not None and n_pages != mapped_gib[segments[i]] * PAGES_PER_REGION:
                fault = f"has entries of {n_pages:,} pages, and {mapped_gib[segments[i]]} GiB are mapped in segment"
                problems.append(Problem(str(path), f"{fault} {segments[i]}; dump all of it, files in order"))
        elif partial:
            fault = "cannot begin where the file before ends, within a GiB; give --segment, or one file alone"
            problems.append(Problem(str(path), fault))
        if region + n_regions > MOST_REGIONS:
            fault = f"tells of memory past {MOST_REGIONS} GiB, more than any host has; is it a sparse file by mistake?"
            problems.append(Problem(str(path), fault))
        parts.append(_Part(path, begin, region, n_pages))
        region += n_regions
        partial = n_pages % PAGES_PER_REGION != 0
    if not problems and not any(part.n_pages for part in parts):
        problems.append(Problem(str(files[0][0]), "holds no entry; dump it again"))
    if problems:
        raise TraceError(problems)
    return parts


def _mark_known(regions: Regions, part: _Part) -> None:
    whole, rest = divmod(part.n_pages, PAGES_PER_REGION)
    regions.known[part.first_region : part.first_region + whole] = PAGES_PER_REGION
    if rest:
        regions.known[part.first_region + whole] = rest


def _scan_words(words: Words, first_region: int, regions: Regions, scanner: Scanner) -> None:
    found = scanner(words)
    where = slice(first_region, first_region + len(words))
    regions.scan.assigned[where] = found.assigned
    regions.scan.first[where] = found.first
    page = first_pages(words, found.first).astype(np.int64)
    start = np.arange(where.start, where.stop, dtype=np.int64) * PAGES_PER_REGION
    regions.first_pfn[where] = np.where(page < 0, -1, start + page)


def _scan_bitmap(dump: DumpFile, part: _Part, regions: Regions, scanner: Scanner) -> None:
    last = part.first_region + -(-part.n_pages // PAGES_PER_REGION)
    for number, piece in dump.pieces(part.begin_bytes, PIECE_BYTES):
        region = part.first_region + number * (PIECE_BYTES // REGION_IMAGE_BYTES)
        words = piece.view("<u8").reshape(-1, WORDS_PER_REGION)[: last - region]
        _scan_words(words, region, regions, scanner)


class _EntryScan:
    """Counts the owners of pages, a region at a time."""

    def __init__(self, regions: Regions, scanner: Scanner) -> None:
        self._regions = regions
        self._scanner = scanner
        self.totals = OwnerCounts(
            np.zeros(MOST_ASIDS, np.int64), np.zeros(MOST_ASIDS, np.int32), np.zeros(MOST_ASIDS, np.int32)
        )
        self.odd = 0
        self.first_odd_pfn = -1
        self._held = np.zeros(MOST_ASIDS, np.int64)

    def scan(self, dump: DumpFile, part: _Part, layout: Layout) -> None:
        """Scan the entries of one file."""
        for number, piece in dump.pieces(part.begin_bytes, PIECE_BYTES):
            blocks = piece.view("<u8").reshape(BLOCKS_PER_REGION, -1)
            used = np.flatnonzero(np.bitwise_or.reduce(blocks, axis=1))
            bits = np.zeros((BLOCKS_PER_REGION, PAGES_PER_BLOCK // 8), np.uint8)
            region = part.first_region + number
            self._held[:] = 0
            for begin in range(0, len(used), _GROUP_BLOCKS):
                group = used[begin : begin + _GROUP_BLOCKS]
                entries = blocks[group].reshape(-1, 2)
                pages = decode(entries, layout)
                if pages.asid.max() >= MOST_ASIDS:
                    at = int(pages.asid.argmax())
                    page = int(group[at // PAGES_PER_BLOCK]) * PAGES_PER_BLOCK + at % PAGES_PER_BLOCK
                    offset = part.begin_bytes + number * PIECE_BYTES + page * ENTRY_BYTES
                    fault = (
                        f"byte {offset}: ASID {pages.asid[at]}, more than any processor has; is the layout {layout}?"
                    )
                    raise TraceError(Problem(str(dump.path), f"{fault} --layout says otherwise"))
                bits[group] = np.packbits(pages.assigned, bitorder="little").reshape(len(group), -1)
                self._count(region, pages)
                self._judge(region, group, implausible(entries, layout) & pages.assigned & ~pages.large)
            if bits.any():
                _scan_words(bits.view("<u8").reshape(1, -1), region, self._regions, self._scanner)
                self._sum_up(region)

    def _count(self, region: int, pages: Pages) -> None:
        of = self._regions.owners
        assert of is not None
        asid = pages.asid[pages.assigned]
        if len(asid) and of.first_asid[region] < 0:
            of.first_asid[region] = asid[0]
        of.large[region] += pages.large.sum()
        of.vmsa[region] += pages.vmsa.sum()
        held = np.bincount(asid)
        self._held[: len(held)] += held

    def _sum_up(self, region: int) -> None:
        of = self._regions.owners
        assert of is not None
        owners = np.flatnonzero(self._held)
        pages = self._held[owners]
        self.totals.pages[owners] += pages
        self.totals.regions[owners] += 1
        if len(owners) == 1:
            self.totals.alone[owners] += 1
        of.firmware[region] = self._held[0]
        most = np.lexsort((owners, -pages))[:OWNERS_KEPT]
        of.asid[region, : len(most)] = owners[most]
        of.pages[region, : len(most)] = pages[most]

    def _judge(self, region: int, group: Int64Array, wrong: BoolArray) -> None:
        at = np.flatnonzero(wrong)
        if len(at):
            self.odd += len(at)
            if self.first_odd_pfn < 0:
                block, page = divmod(int(at[0]), PAGES_PER_BLOCK)
                self.first_odd_pfn = region * PAGES_PER_REGION + int(group[block]) * PAGES_PER_BLOCK + page
