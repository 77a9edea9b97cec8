"""
The functions of Linux whose calls make a trace, and the names that probes on them go by.

None is a tracepoint. They and their arguments are those of arch/x86/virt/svm/sev.c at 0cbc02584157 (`rmp_make_private`,
`rmp_make_shared`, `psmash`), arch/x86/kvm/svm/sev.c at 1a27afa0511e (`sev_gmem_*`), virt/kvm/guest_memfd.c at 01f492e18
(`kvm_gmem_*`), fs/inode.c (`evict`), and the postings of the RMPOPT series (`snp_*`); other kernels may differ.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["ARMING", "CONSOLE", "FUNCTIONS", "PASS_BEGINS", "RMPUPDATES", "WORKER", "Probe", "probe_of"]


@dataclass(frozen=True, slots=True)
class Probe:
    """
    A function.

    Parameters
    ----------
    arguments : tuple of str
        Its arguments, in order.
    needed : tuple of str
        Those without which a call says nothing.
    gives : str
        What a call is in a trace.
    """

    arguments: tuple[str, ...]
    needed: tuple[str, ...]
    gives: str


FUNCTIONS = {
    "rmp_make_private": Probe(("pfn", "gpa", "level", "asid", "immutable"), ("pfn", "level", "asid"), "assign"),
    "rmp_make_shared": Probe(("pfn", "level"), ("pfn", "level"), "release or share"),
    "psmash": Probe(("pfn",), ("pfn",), "nothing: a 2 MiB entry becomes 512"),
    "sev_vm_destroy": Probe(("kvm",), ("kvm",), "vm_destroy"),
    "sev_gmem_prepare": Probe(("kvm", "pfn", "gfn", "max_order"), ("kvm", "pfn"), "the VM of the assign that follows"),
    "sev_gmem_invalidate": Probe(("start", "end"), (), "the release in it is none to share"),
    "kvm_gmem_free_folio": Probe((), (), "the release in it is none to share"),
    "evict": Probe(("inode",), ("inode",), "evict_begin"),
    "kvm_gmem_destroy_inode": Probe(("inode",), ("inode",), "evict_end"),
    "kvm_gmem_free_inode": Probe(("inode",), ("inode",), "inode_free"),
    "snp_rmpopt_all_physmem": Probe((), (), "a count: RMPOPT was armed (v10)"),
    "snp_perform_rmp_optimization": Probe((), (), "a count: RMPOPT was armed (v3)"),
    "snp_enable_rmpopt": Probe((), (), "a count: RMPOPT was armed (as applied)"),
    "rmpopt_work_handler": Probe((), (), "a count: a pass began (v3 to v10); its return: it ended"),
    "console": Probe((), (), "a count: a pass began, of the lines that the kernel logs"),
}
"""Name to what is known of it."""

CONSOLE = "console"
"""The tracepoint printk:console, by which lines of the log come into a trace: with its clock."""

PASS_BEGINS = re.compile("SEV-SNP: (?:Attempt RMP optimizations|RMP optimizations enabled)")
"""What v1 to v10 log when a pass begins."""

WORKER = "rmpopt_work_handler"
"""The function that the delayed work calls: one call is one pass."""

RMPUPDATES = ("rmp_make_private", "rmp_make_shared", "psmash")
"""Those that return whether they did it; of a function that returns nothing, what a probe fetches is by chance."""

ARMING = ("snp_rmpopt_all_physmem", "snp_perform_rmp_optimization", "snp_enable_rmpopt")

_RETURN = re.compile("_ret|_return|__return|_exit|_retval")
_PREFIX = re.compile(r"(?:[pref]_|kprobe_|kretprobe_)?")
_SUFFIX = re.compile(r"(?:_[0-9]+)?")
_NAMES = sorted(FUNCTIONS, key=len, reverse=True)
_EVENT = re.compile(rf"{_PREFIX.pattern}({'|'.join(_NAMES)})({_RETURN.pattern})?{_SUFFIX.pattern}")


def probe_of(event: str) -> tuple[str, bool] | None:
    """
    Return the function that an event is of.

    Parameters
    ----------
    event : str
        Its name without the group: ``psmash``, ``p_psmash_0``, ``psmash_ret``, ``psmash__return``.

    Returns
    -------
    (str, bool) or None
        The function, and whether the event is its return; None if it is none of `FUNCTIONS`.
    """
    match = _EVENT.fullmatch(event)
    if match is None:
        return None
    return match[1], match[2] is not None or event.startswith(("r_", "kretprobe_"))
