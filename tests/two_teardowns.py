"""A minute of four regions, small enough to be told in words: what the golden texts are about."""

from __future__ import annotations

from by_hand import ev, host, trace

from gmemgpu.model.trace import Trace
from gmemgpu.units import NS_PER_S, PAGES_PER_REGION

__all__ = ["two_teardowns"]

_ALL = PAGES_PER_REGION


def two_teardowns() -> Trace:
    """
    Return a trace in which a pass comes too early, a timer is put off, and a page of no guest_memfd is in the way.

    VM 1 has regions 0 and 1; its second one is converted late. VM 2 has region 2 and a VMSA page in region 3. VM 3
    comes into region 0 and goes while a pass for VM 2 waits, and VM 4 takes region 2 before that pass has come.
    """
    s = NS_PER_S
    return trace(
        ev(0, "assign", 0, _ALL, vm=1, inode=1, folio=512),
        ev(0, "assign", 1, _ALL, vm=1, inode=1, folio=512),
        ev(0, "assign", 2, _ALL, vm=2, inode=2, folio=512),
        ev(0, "assign", 3, 1, page=5, vm=2, inode=-1),
        ev(5 * s, "vm_destroy", vm=1, inode=-1),
        ev(5 * s, "evict_begin", vm=1, inode=1),
        ev(6 * s, "release", 0, _ALL, vm=1, inode=1, folio=512),
        ev(16 * s, "release", 1, _ALL, vm=1, inode=1, folio=512),
        ev(16 * s, "evict_end", vm=1, inode=1),
        ev(20 * s, "assign", 0, _ALL, vm=3, inode=3, folio=512),
        ev(30 * s, "vm_destroy", vm=2, inode=-1),
        ev(30 * s, "evict_begin", vm=2, inode=2),
        ev(30 * s + s // 2, "release", 2, _ALL, vm=2, inode=2, folio=512),
        ev(30 * s + s // 2, "evict_end", vm=2, inode=2),
        ev(31 * s, "release", 3, 1, page=5, vm=2, inode=-1),
        ev(35 * s, "vm_destroy", vm=3, inode=-1),
        ev(35 * s, "evict_begin", vm=3, inode=3),
        ev(36 * s, "release", 0, _ALL, vm=3, inode=3, folio=512),
        ev(36 * s, "evict_end", vm=3, inode=3),
        ev(43 * s, "assign", 2, _ALL, vm=4, inode=4, folio=512),
        horizon=60 * s,
        warmup=s,
        on=host(4),
    )
