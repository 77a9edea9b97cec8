"""Dumps are scanned region by region, whatever their size, and what they are is seen in them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rmp_dumps import entry, table, write_sparse

from gmemgpu.compiled import is_installed
from gmemgpu.errors import TraceError
from gmemgpu.rmp.dump_scan import DumpScan, Scanner, scan_dumps
from gmemgpu.rmp.entry import LAYOUTS, Layout
from gmemgpu.rmp.host_form import BOOKKEEPING_BYTES, Form, HostForm, host_form
from gmemgpu.rmp.scan import scan_regions
from gmemgpu.units import GIB, PAGES_PER_REGION

R = PAGES_PER_REGION
N_REGIONS = 3
SCANNERS: dict[str, Scanner] = {"numpy": scan_regions}
if is_installed():
    from gmemgpu.rmp.compiled_scan import scan_regions_compiled

    SCANNERS["numba"] = scan_regions_compiled
places = st.sampled_from([0, 1, 512, R - 1, R, R + 512 * 3, 3 * R - 1]) | st.integers(0, 3 * R - 1)
owned = st.fixed_dictionaries({"asid": st.integers(1, 12), "large": st.booleans(), "vmsa": st.booleans()})
firmware = st.just({"immutable": True})


def scanned(path: Path, scanner: Scanner = scan_regions) -> DumpScan:
    return scan_dumps([(path, host_form(path))], scanner)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dumps")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("form", ["rmp", "rmp-table"])
@pytest.mark.parametrize("scanner", SCANNERS)
@settings(max_examples=settings.default.max_examples * 2 // 25)
@given(pages=st.dictionaries(places, owned | firmware, min_size=1, max_size=8))
def test_every_page_is_counted_for_its_owner(
    folder: Path, layout: Layout, form: Form, scanner: str, pages: dict[int, dict[str, int]]
) -> None:
    begin = BOOKKEEPING_BYTES if form == "rmp-table" else 0
    path = folder / f"{layout}-{form}-{scanner}"
    path.unlink(missing_ok=True)
    write_sparse(path, N_REGIONS, {pfn: entry(layout, gpa=0x1000, **of) for pfn, of in pages.items()}, begin=begin)
    found = host_form(path)
    assert (found.form, found.layout) == (form, layout)
    got = scan_dumps([(path, found)], SCANNERS[scanner])
    # A page at a time, from what was written.
    held: dict[int, int] = {}
    large = [0] * N_REGIONS
    for pfn, of in pages.items():
        covers = range(pfn, pfn + 512) if of.get("large") and pfn % 512 == 0 else [pfn]
        head = pages.get(pfn - pfn % 512, {})
        if len(covers) == 1 and head.get("large"):
            continue
        held |= dict.fromkeys(covers, of.get("asid", 0))
        large[pfn // R] += len(covers) if len(covers) > 1 else 0
    of_region = [sorted(pfn for pfn in held if pfn // R == r) for r in range(N_REGIONS)]
    regions, totals = got.regions, got.owners
    assert regions.owners is not None
    assert totals is not None
    assert regions.scan.assigned.tolist() == [len(one) for one in of_region]
    assert regions.scan.first.tolist() == [one[0] % R // 512 if one else -1 for one in of_region]
    assert regions.first_pfn.tolist() == [one[0] if one else -1 for one in of_region]
    assert regions.owners.first_asid.tolist() == [held[one[0]] if one else -1 for one in of_region]
    assert regions.owners.large.tolist() == large
    for asid in range(13):
        mine = [sum(held[pfn] == asid for pfn in one) for one in of_region]
        assert totals.pages[asid] == sum(mine)
        assert totals.regions[asid] == sum(n > 0 for n in mine)
        assert totals.alone[asid] == sum(n == len(one) > 0 for n, one in zip(mine, of_region, strict=True))
        for r, n in enumerate(mine):
            named = dict(zip(regions.owners.asid[r].tolist(), regions.owners.pages[r].tolist(), strict=True))
            assert asid not in named or named[asid] == n
    assert regions.known.tolist() == [R] * N_REGIONS
    assert got.odd == 0


def test_segments_lie_where_their_number_says(tmp_path: Path) -> None:
    one = write_sparse(tmp_path / "0", 1, {R - 1: entry("raw", asid=3)})
    two = write_sparse(tmp_path / "1", 2, {7: entry("raw", asid=3)})
    files = [(path, host_form(path)) for path in (one, two)]
    apart = scan_dumps(files, scan_regions, segment_bytes=4 * GIB).regions
    assert apart.scan.assigned.tolist() == [1, 0, 0, 0, 1, 0]
    assert apart.known.tolist() == [R, 0, 0, 0, R, R]
    assert apart.first_pfn.tolist() == [R - 1, -1, -1, -1, 4 * R + 7, -1]
    joined = scan_dumps(files, scan_regions).regions
    assert joined.scan.assigned.tolist() == [1, 1, 0]
    with pytest.raises(TraceError, match="tells of 2 GiB, more than a segment of 1 GiB covers; correct --segment"):
        scan_dumps(files, scan_regions, segment_bytes=GIB)


@pytest.mark.parametrize("scanner", SCANNERS)
def test_bitmaps(tmp_path: Path, scanner: str) -> None:
    bits = np.zeros(131 * R, bool)
    pages = [0, 3, R + 77, 130 * R + 5]
    bits[pages] = True
    bits[2 * R : 3 * R] = True
    path = tmp_path / "bits"
    path.write_bytes(np.packbits(bits, bitorder="little").tobytes())
    assert host_form(path).form == "bitmap"
    got = scanned(path, SCANNERS[scanner])
    assert got.owners is None
    assert got.regions.scan.assigned[[0, 1, 2, 3, 130]].tolist() == [2, 1, R, 0, 1]
    assert got.regions.first_pfn[[0, 1, 2, 3, 130]].tolist() == [0, R + 77, 2 * R, -1, 130 * R + 5]
    assert len(got.regions) == 131


def test_a_part_of_a_region_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "part"
    path.write_bytes(table(R + 512, {3: entry("raw", asid=3), R + 511: entry("raw", asid=3)}).tobytes())
    got = scan_dumps([(path, host_form(path, "rmp"))], scan_regions)
    assert got.regions.known.tolist() == [R, 512]
    assert got.regions.scan.assigned.tolist() == [1, 1]


def test_odd_entries_are_counted(tmp_path: Path) -> None:
    pages = {5: entry("raw", asid=3), R + 6: (1, 0), 2 * R + 9: (1 | 8, 0)}
    got = scanned(write_sparse(tmp_path / "odd", 3, pages))
    assert (got.odd, got.first_odd_pfn) == (2, R + 6)


def test_more_asids_than_there_are_is_no_rmp(tmp_path: Path) -> None:
    path = write_sparse(tmp_path / "asid", 1, {5: entry("rmpread", asid=1 << 20)})
    with pytest.raises(TraceError, match="byte 80: ASID 1048576, more than any processor has"):
        scanned(path)


def test_forms_and_layouts_can_be_told(tmp_path: Path) -> None:
    zeros = tmp_path / "zeros"
    zeros.write_bytes(bytes(16 * R))
    with pytest.raises(TraceError, match=r"zeros only.*--form rmp \(entries of 262,144 pages\) or --form bitmap"):
        host_form(zeros)
    assert scan_dumps([(zeros, host_form(zeros, "rmp"))], scan_regions).regions.scan.assigned.tolist() == [0]
    assert len(scan_dumps([(zeros, host_form(zeros, "bitmap"))], scan_regions).regions) == 128
    damaged = write_sparse(tmp_path / "damaged", 1, {1: entry("raw", asid=3), 2: (1, 0), 3: entry("raw", asid=4)})
    with pytest.raises(TraceError, match=r"byte 32: is no entry of an RMP in either layout, as 33\.3% of those"):
        host_form(damaged)
    assert host_form(damaged, layout="raw").layout == "raw"


def test_bookkeeping_shows_by_what_it_holds(tmp_path: Path) -> None:
    path = write_sparse(tmp_path / "t", 1, {5: entry("raw", asid=3)}, begin=BOOKKEEPING_BYTES)
    with path.open("r+b") as file:
        file.truncate(16 * 1000 + BOOKKEEPING_BYTES)
        file.write(b"\xff" * 64)
    found = host_form(path)
    assert found.form == "rmp-table"
    assert "what comes first are no entries" in found.why
    assert scan_dumps([(path, found)], scan_regions).regions.first_pfn.tolist() == [5]
    # A BIOS reserves whole MiB, bookkeeping included: https://github.com/AMDESE/AMDSEV/issues/271 has 1033 of them.
    path = write_sparse(tmp_path / "bios", 1, {5000: entry("raw", asid=3)})
    with path.open("r+b") as file:
        file.truncate(1 << 20)
    assert host_form(path).form == "rmp-table"


@pytest.mark.parametrize(
    ("size", "message"),
    [(16 * R + 8, "end within an entry: it was cut off; dump it again"), (1 << 43, "more than any host has")],
)
def test_wrong_sizes(tmp_path: Path, size: int, message: str) -> None:
    path = write_sparse(tmp_path / "w", 1, {5: entry("raw", asid=3)})
    with path.open("r+b") as file:
        file.truncate(size)
    form = HostForm("rmp", "raw", "")
    with pytest.raises(TraceError, match=message):
        scan_dumps([(path, form)], scan_regions)


def test_memory_does_not_grow_with_the_dump(tmp_path: Path) -> None:
    # 4 GiB of dump for 1 TiB of memory.
    pages = {r * R + 9 * r: entry("raw", asid=1 + r % 500) for r in range(0, 1024, 8)}
    path = write_sparse(tmp_path / "large", 1024, pages)
    code = (
        "import sys\n"
        "from gmemgpu.cli.main import main\n"
        "assert main(['scan', sys.argv[1], '--json', '--backend', 'numpy']) == 0\n"
        # Not ru_maxrss: that begins with what the starting process held when it forked.
        "(peak,) = (line for line in open('/proc/self/status') if line.startswith('VmHWM:'))\n"
        "print(peak.split()[1], file=sys.stderr)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert '"busy_page": 128' in ran.stdout
    assert int(ran.stderr.split()[-1]) < 512 << 10
