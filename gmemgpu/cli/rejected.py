"""Warnings of loads that say little about policies: VMs that found no room, and guests none of which goes."""

from __future__ import annotations

from pathlib import Path

from gmemgpu.cli.message import tell

__all__ = ["warn_of_rejected", "warn_of_rejected_in", "warn_of_nothing_freed_in"]

_REPORTED_FROM = 0.01
_SHOWN = 10
_NAMED = 3
_REMEDY = "take a larger host, or fewer or smaller VMs (running, sizes.scale)"


def warn_of_rejected(admitted: int, rejected: int, where: str = "", remedy: str = _REMEDY) -> bool:
    """
    Write a warning to standard error if more than one in a hundred VMs was rejected.

    Parameters
    ----------
    admitted, rejected : int
        VMs of a trace, or of several.
    where : str
        What they arrived in, for the message.
    remedy : str
        What to do about it.

    Returns
    -------
    bool
        Whether it was written.
    """
    if rejected <= _REPORTED_FROM * (admitted + rejected):
        return False
    tell(f"gmemgpu: warning: {where}{rejected:,} of {admitted + rejected:,} VMs were rejected; {remedy}")
    return True


def warn_of_rejected_in(directory: Path) -> None:
    """
    Write such a warning for each scenario of a sweep that needs one, ten at most.

    Parameters
    ----------
    directory : Path
        Of the finished sweep.
    """
    # Not Arrow's group_by, whose import takes longer than all else of a small table.
    import numpy as np

    from gmemgpu.metrics.columns import chunks
    from gmemgpu.report.grouping import codes_of
    from gmemgpu.sweeping.store.read import read_rows

    rows = read_rows(directory, ("label", "policy", "admitted", "rejected")).table
    label, labels = codes_of(rows["label"])
    # A trace has a row for each policy.
    first = codes_of(rows["policy"])[0] == 0
    admitted, rejected = (
        np.bincount(label[first], np.concatenate(list(chunks(rows[name])))[first], len(labels)).tolist()
        for name in ("admitted", "rejected")
    )
    n_shown = 0
    for name, n_admitted, n_rejected in zip(labels, admitted, rejected, strict=True):
        if n_shown == _SHOWN:
            tell("gmemgpu: warning: other scenarios may have more than their host can hold, too")
            return
        n_shown += warn_of_rejected(int(n_admitted), int(n_rejected), f'scenario "{name}": ')


def warn_of_nothing_freed_in(directory: Path) -> None:
    """
    Write a warning if in some scenarios of a sweep no region ever became free; it names the first few.

    Parameters
    ----------
    directory : Path
        Of the finished sweep.
    """
    import numpy as np

    from gmemgpu.metrics.columns import chunks
    from gmemgpu.report.grouping import codes_of
    from gmemgpu.sweeping.store.read import read_rows

    rows = read_rows(directory, ("label", "seed", "episodes")).table
    label, labels = codes_of(rows["label"])
    seed, episodes = (np.concatenate(list(chunks(rows[name]))) for name in ("seed", "episodes"))
    some = np.bincount(label, episodes != 0, len(labels)) > 0
    idle = [name for name, freed in zip(labels, some, strict=True) if not freed]
    if not idle:
        return
    # A sweep has the same seeds for each scenario.
    n_seeds = len(np.unique(seed))
    seeds = "the seed" if n_seeds == 1 else f"any of {n_seeds:,} seeds"
    names = ", ".join(f'"{name}"' for name in idle[:_NAMED])
    if len(idle) > _NAMED:
        names += f" and {len(idle) - _NAMED:,} more"
    where = f"scenario {names}" if len(idle) == 1 else f"{len(idle):,} scenarios ({names})"
    tell(
        f"gmemgpu: warning: {where}: no guest that went left a region free in {seeds}, so there is nothing for a "
        "policy to win back; take a longer horizon_ns, shorter lifetimes or larger guests"
    )
