"""Under which conditions a store's rows came to be: what a sentence about them has to name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmemgpu.metrics.columns import chunks
from gmemgpu.model.cost import Costs
from gmemgpu.report.grouping import codes_of, combined, groups_of
from gmemgpu.sweeping.store.manifest import read_manifest, sweep_command
from gmemgpu.sweeping.store.read import StoredRows

__all__ = ["Conditions", "Provenance", "CONDITION_COLUMNS", "group_conditions", "provenance_of"]

CONDITION_COLUMNS = ("preset", "cores", "present_bytes", "horizon_ns", "warmup_ns", "admitted", "rejected")
"""What `group_conditions` reads beside the grouping columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """
    What the traces of a group have in common.

    Parameters
    ----------
    presets : tuple of str
        Their workloads; empty if they have no preset.
    cores : (int, int)
        Of their hosts, fewest and most.
    present_bytes : (int, int)
        Of their memory, least and most.
    counted_ns : (int, int)
        From the end of the warm-up to the horizon, shortest and longest.
    admitted, rejected : int
        VMs, over all traces.
    """

    presets: tuple[str, ...]
    cores: tuple[int, int]
    present_bytes: tuple[int, int]
    counted_ns: tuple[int, int]
    admitted: int
    rejected: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """
    Where the rows of a results directory are from.

    Parameters
    ----------
    version, model : str
        Of gmemgpu, and of the model.
    sweep_id : str
        Digest of the specification, the costs, the policies, the seeds and all files that were read.
    seeds : tuple of int
        Of the sweep, ascending.
    other_costs : tuple of str
        Costs of RMPOPT that are not the shipped ones.
    command : str
        What computes them again, in DIR.
    policies : mapping of str to mapping
        Keys and values of each policy.
    """

    version: str
    model: str
    sweep_id: str
    seeds: tuple[int, ...]
    other_costs: tuple[str, ...]
    command: str
    policies: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def differing(self, policy: str, other: str) -> tuple[str, ...]:
        """
        Return the keys in which two policies differ.

        Parameters
        ----------
        policy, other : str
            Names.

        Returns
        -------
        tuple of str
            In alphabetical order; empty if one is unknown.
        """
        if not {policy, other} <= self.policies.keys():
            return ()
        one, two = self.policies[policy], self.policies[other]
        return tuple(sorted(key for key in one.keys() | two.keys() if one.get(key) != two.get(key)))


def group_conditions(stored: StoredRows, group_by: Sequence[str]) -> list[Conditions]:
    """
    Collect the conditions of each group.

    Parameters
    ----------
    stored : StoredRows
        With `CONDITION_COLUMNS`, ``policy`` and the grouping columns.
    group_by : sequence of str
        At least one.

    Returns
    -------
    list of Conditions
        In the order of `gmemgpu.report.samples.samples_of`.
    """
    table = stored.table
    group, keys = groups_of([codes_of(table[name]) for name in group_by])
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(len(keys)))

    def ints(name: str) -> NDArray[np.int64]:
        found: NDArray[np.int64] = np.concatenate(list(chunks(table[name])))[order]
        return found

    def ends(values: NDArray[np.int64]) -> list[tuple[int, int]]:
        lowest, highest = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
        return list(zip(lowest.tolist(), highest.tolist(), strict=True))

    cores, present_bytes = ends(ints("cores")), ends(ints("present_bytes"))
    counted_ns = ends(ints("horizon_ns") - ints("warmup_ns"))
    of_first = codes_of(table["policy"])[0][order] == 0  # a row a trace
    admitted, rejected = (np.add.reduceat(ints(name) * of_first, starts).tolist() for name in ("admitted", "rejected"))
    preset, presets = codes_of(table["preset"])
    _, pairs = combined(group, preset, len(presets))
    names: list[list[str]] = [[] for _ in keys]
    for pair in pairs.tolist():
        if name := presets[pair % len(presets)]:
            names[pair // len(presets)].append(str(name))
    return [
        Conditions(
            presets=tuple(names[i]),
            cores=cores[i],
            present_bytes=present_bytes[i],
            counted_ns=counted_ns[i],
            admitted=admitted[i],
            rejected=rejected[i],
        )
        for i in range(len(keys))
    ]


def provenance_of(directory: str | Path) -> Provenance:
    """
    Read where a results directory's rows are from.

    Parameters
    ----------
    directory : str or Path
        Of a sweep.

    Returns
    -------
    Provenance
        As its manifest says.

    Raises
    ------
    StoreError
        If it holds no sweep.
    """
    manifest = read_manifest(directory)
    shipped: dict[str, Any] = asdict(Costs())
    costs = manifest.spec.get("costs", {})
    return Provenance(
        version=manifest.versions.get("gmemgpu", "?"),
        model=manifest.versions.get("model", "?"),
        sweep_id=manifest.sweep_id,
        seeds=tuple(sorted(manifest.spec.get("seeds", ()))),
        other_costs=tuple(sorted(name for name, value in costs.items() if shipped.get(name) != value)),
        command=sweep_command(manifest, "DIR"),
        policies=manifest.spec.get("policy", {}),
    )
