"""What `gmemgpu scan` prints for people: at most 80 columns."""

from __future__ import annotations

from typing import Any

from gmemgpu.cli.message import tell

__all__ = ["print_host"]

_LISTED = 20
_OWNERS_LISTED = 10


def print_host(found: dict[str, Any], notes: list[str], signs: Any) -> None:
    """
    Print what files of a host tell.

    Parameters
    ----------
    found : dict
        As ``--json`` has it.
    notes : list of str
        What whoever reads the figures must know first.
    signs : (n,) str
        State of each region.
    """
    from gmemgpu.rmp.host_view import map_lines

    for note in notes:
        tell(f"warning: {note}")
    if "summary" in found:
        _print_summary(found)
    if "log" in found:
        _print_log(found["log"])
    if "bits" in found:
        _print_bits(found["bits"], len(signs))
    print("\nmap: a sign a region of 1 GiB, from the region of that number on")
    for line in map_lines(signs):
        print(line)


def _print_summary(found: dict[str, Any]) -> None:
    from gmemgpu.cli.terminal import print_table

    summary = found["summary"]
    first = summary["first_block_median"]
    lines = [
        ("regions", f"{summary['regions']:,} of 1 GiB, {summary['assigned_pages']:,} pages assigned"),
        ("free, can be optimized", f"{summary['free']:,}"),
        ("blocked by one page", f"{summary['busy_page']:,}"),
        ("by at most 512 pages", f"{summary['busy_block']:,}"),
        ("by at most 1 %", f"{summary['busy_percent']:,}"),
        ("first assigned block", "–" if first is None else f"{first} of 0 to 511, median of busy regions"),
        ("RMP bytes of a pass", f"{summary['pass_bytes']:,} a scanner, no bit being set"),
    ]
    if found["unknown_regions"]:
        lines.append(("no file tells of", f"{found['unknown_regions']:,} regions between, which count nowhere"))
    if "pages_2m" in summary:
        share = summary["pages_2m"] / max(summary["assigned_pages"], 1)
        lines.append(("in 2 MiB entries", f"{share:.1%} of the assigned pages"))
        lines.append(
            ("busy, no guest's data", f"{summary['busy_without_guest_pages']:,}: firmware and VMSA pages alone")
        )
    print_table([], lines)
    print("\na pool for the pages of regions that few hold:")
    steps = [(f"{step['at_most_pages']:,}", f"{step['regions']:,}", f"{step['pages']:,}") for step in found["pool"]]
    print_table(["at most pages", "regions freed", "pages in the pool"], steps, right=[0, 1, 2])
    owners = found.get("owners", [])
    if owners:
        print("\nwhose the pages are:")
        rows = [
            (_owner(one["asid"]), f"{one['pages']:,}", f"{one['regions']:,}", f"{one['alone']:,}")
            for one in owners[:_OWNERS_LISTED]
        ]
        print_table(["owner", "pages", "regions", "alone in"], rows, right=[1, 2, 3])
        _print_rest(len(owners) - _OWNERS_LISTED, "owners")
    if found["one_page"]:
        print("\nblocked by one page:")
        pages = [
            (f"{one['region']:,}", f"{one['pfn']:#x}", "not told" if one["asid"] is None else _owner(one["asid"]))
            for one in found["one_page"][:_LISTED]
        ]
        print_table(["region", "pfn", "owner"], pages, right=[0, 1])
        _print_rest(len(found["one_page"]) - _LISTED, "regions")


def _print_rest(n: int, what: str) -> None:
    if n > 0:
        print(f"… and {n:,} more {what}; --json has all")


def _owner(asid: int) -> str:
    return f"ASID {asid}" if asid else "firmware, RMP"


def _print_log(log: dict[str, Any]) -> None:
    from gmemgpu.cli.terminal import print_table

    lines = [
        ("lines on the RMP", f"{log['lines']:,}"),
        ("regions blocked, at least", f"{log['blocked_at_least']:,}; a log does not tell what is free"),
        ("pages assigned, at least", f"{log['assigned_pages_at_least']:,}"),
        ("regions of the RMP itself", f"{log['regions_of_the_rmp']:,}"),
        ("leaked pages", f"{log['leaked_pages']:,} in {log['regions_with_leaked_pages']:,} regions, until reset"),
        ("RMPUPDATEs failed", f"{log['failed_rmpupdates']:,}"),
        ("RMPOPT passes begun", f"{log['passes_begun']:,}"),
    ]
    print_table([], lines)


def _print_bits(bits: dict[str, Any], n_regions: int) -> None:
    from gmemgpu.cli.terminal import print_table

    if "set_on_all" in bits:
        lines = [
            ("regions", f"{n_regions:,}"),
            ("bit set on all CPUs", f"{bits['set_on_all']:,} ({bits['cpus']:,} CPUs, as in the fullest region)"),
            ("on some", f"{bits['set_on_some']:,}"),
            ("on none", f"{bits['set_on_none']:,}"),
        ]
        print_table([], lines)
        return
    print("\nfree regions, and their bits in rmpopt-table:")
    lines = [
        ("set on all CPUs", f"{bits['free_set_on_all']:,} ({bits['cpus']:,} CPUs, as in the fullest region)"),
        ("on some", f"{bits['free_set_on_some']:,}"),
        ("on none", f"{bits['free_set_on_none']:,}: what a pass would win"),
        ("the table does not tell", f"{bits['free_not_told']:,}"),
        ("busy, yet set", f"{bits['busy_but_set']:,}: the files are not of one moment"),
    ]
    print_table([], lines)
