"""The latest word of a kernel's log on each page, among lines of any origin."""

from __future__ import annotations

import pytest

from gmemgpu.errors import TraceError
from gmemgpu.rmp.host_view import log_regions
from gmemgpu.rmp.kernel_log import read_kernel_log
from gmemgpu.units import PAGES_PER_REGION

R = PAGES_PER_REGION

# The first lines as in https://github.com/AMDESE/AMDSEV/issues/245 and 271.
LOG = """\
[    0.000000] SEV-SNP: RMP table physical range [0x0000000011500000 - 0x0000000051dfffff]
Nov 05 10:00:00 host kernel: usb 1-1: new high-speed USB device
[255267.410514] SEV-SNP: RMPUPDATE failed for PFN 56700, pg_level: 1, ret: 2
[255267.410540] SEV-SNP: PFN 0x56700 unassigned, dumping non-zero entries in 2M PFN region: [0x56600 - 0x56800]
[255267.410543] SEV-SNP: PFN: 0x56600, [0x80000000000007fd - 0x0000000000000000]
<6>[255267.410545] SEV-SNP: PFN: 0x56601, [0x8000000000000005 - 0x0000000000000000]
Nov 05 10:00:01 host kernel: SEV-SNP: Leaking PFN range 0x100000-0x100002
Nov 05 10:00:01 host kernel: SEV-SNP: PFN 0x100000, RMP entry: [0x0018000000001001 - 0x0000000000000000]
Nov 05 10:00:02 host kernel: SEV-SNP: PFN 0x140200, RMP entry: [0x0028000000200003 - 0x0000000000000000]
[   244.520000] SEV-SNP: Attempt RMP optimizations on physical address range @1GB alignment [0x0 - 0x10000000000]
[   255.000000] SEV-SNP: PFN 0x1, RMP entr
"""


def found(log: str):  # type: ignore[no-untyped-def]
    return read_kernel_log(enumerate(log.splitlines(), 1), "dmesg")


def test_every_kind_of_line() -> None:
    log = found(LOG)
    assert (log.n_lines, log.n_failed, log.n_passes, log.damaged) == (9, 1, 1, [11])
    pages = log.assigned()
    assert len(pages) == 2 + 1 + 512
    assert (pages[0x56600], pages[0x100000], pages[0x140200], pages[0x1403FF]) == (0, 3, 5, 5)
    regions = log_regions(log)
    assert "".join(regions.states()) == "rr??1:"  # the table ends beyond 1 GiB
    assert regions.assigned.tolist() == [0, 2, 0, 0, 1, 512]
    assert regions.leaked.tolist() == [0, 0, 0, 0, 2, 0]
    assert regions.first_pfn.tolist() == [-1, 0x56600, -1, -1, 0x100000, 0x140200]
    assert regions.first_asid.tolist() == [-1, 0, -1, -1, 3, 5]


def test_the_last_word_counts() -> None:
    entry = "SEV-SNP: PFN 0x201, RMP entry: [0x0018000000001001 - 0x0]"
    assert found(entry).assigned() == {0x201: 3}
    later = "SEV-SNP: PFN 0x201, RMP entry: [0x0000000000000000 - 0x0]"
    assert found(f"{entry}\n{later}").assigned() == {}
    block = "SEV-SNP: PFN 0x3ff unassigned, dumping non-zero entries in 2M PFN region: [0x200 - 0x400]"
    assert found(f"{entry}\n{block}").assigned() == {}
    assert found(f"{block}\n{entry}").assigned() == {0x201: 3}


def test_leaks_that_overlap_count_once() -> None:
    leaks = f"SEV-SNP: Leaking PFN range {R - 1:#x}-{R + 5:#x}\nSEV-SNP: Leaking PFN range {R:#x}-{R + 7:#x}"
    assert log_regions(found(leaks)).leaked.tolist() == [1, 7]
    assert "".join(log_regions(found(leaks)).states()) == "ll"


@pytest.mark.parametrize(
    "line",
    [
        "SEV-SNP: PFN 0x10000000000, RMP entry: [0x5 - 0x0]",
        "SEV-SNP: Leaking PFN range 0x5-0x5",
        "SEV-SNP: PFN 0x3ff unassigned, dumping non-zero entries in 2M PFN region: [0x201 - 0x401]",
        "SEV-SNP: RMP table physical range [0x5000 - 0x1000]",
        "SEV-SNP: PFN 56700, RMP entry: [0x5 - 0x0]",
    ],
)
def test_damaged_lines_say_nothing(line: str) -> None:
    with pytest.raises(TraceError, match=r"dmesg: has no whole line on the RMP.*line 1 is damaged; take it with dmesg"):
        found(line)
