"""A sweep's specification: read from TOML or a mapping, every mistake reported at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gmemgpu.catalogue import (
    named_policies,
    policies_from_tables,
    read_costs,
    read_policies,
)
from gmemgpu.errors import Problem, SpecError
from gmemgpu.model.cost import Costs
from gmemgpu.model.policy import ORACLE, Policy
from gmemgpu.sweeping.cluster.options import ClusterOptions, options_from_table
from gmemgpu.sweeping.document import Document, read_document
from gmemgpu.sweeping.scenario import Scenario, anchor_paths, input_hashes, relative_paths, scenarios_from_document
from gmemgpu.toml_file import unknown_key
from gmemgpu.units import INT64_MAX
from gmemgpu.validation import validated

__all__ = ["SweepSpec", "read_spec", "policy_table"]

KEYS = (
    "name",
    "include",
    "seeds",
    "policies",
    "policy",
    "policies_file",
    "costs",
    "backend",
    "cluster",
    "workload",
    "scenario",
)
"""What a spec may say at its top level."""

BACKENDS = ("auto", "numpy", "reference", "cupy")
MAX_SEEDS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSpec:
    """
    What to sweep.

    Parameters
    ----------
    name : str
        For people; has no effect on results.
    seeds : tuple of int
        One trace of each scenario for each.
    policies : tuple of Policy
        In the order of the spec, the oracle last: ratios to the bound always exist.
    costs : Costs
    backend : str
        Engine by name, or ``auto``.
    cluster : ClusterOptions
        What jobs ask for, if the sweep runs on a cluster; has no effect on results.
    scenarios : tuple of Scenario
        Points of the workload space.
    axes : tuple of str
        Names of the columns that tell scenarios apart, ``preset`` not among them.
    input_hashes : dict of Path to str
        SHA-256 of every file that a scenario reads.
    canonical : dict
        JSON-ready; two sweeps are the same if these are equal (and code and versions are).
    """

    name: str
    seeds: tuple[int, ...]
    policies: tuple[Policy, ...]
    costs: Costs
    backend: str
    cluster: ClusterOptions
    scenarios: tuple[Scenario, ...]
    axes: tuple[str, ...]
    input_hashes: dict[Path, str]
    canonical: dict[str, Any]


def read_spec(spec: str | Path | Mapping[str, Any]) -> SweepSpec:
    """
    Read a sweep specification.

    Parameters
    ----------
    spec : str, Path or mapping
        A TOML file, whose relative paths start from its own folder; or the same as a mapping, whose relative paths
        start from the working directory.

    Returns
    -------
    SweepSpec

    Raises
    ------
    SpecError
        With every problem of the file and of the files that it names.
    """
    if isinstance(spec, Mapping):
        document = Document(source="spec", folder=Path(), values=anchor_paths(dict(spec), Path()))
    else:
        document = read_document(spec, anchor_paths)
    values = document.values
    problems = [Problem(document.where(key), unknown_key(key, KEYS)) for key in values if key not in KEYS]
    name = _text(document, "name", Path(document.source).stem, problems)
    seeds = _seeds(document, problems)
    policies = _policies(document, problems)
    costs = _costs(document, problems)
    backend = _text(document, "backend", "auto", problems)
    if backend not in BACKENDS:
        problems.append(Problem(document.where("backend"), f'"{backend}" is unknown; use {", ".join(BACKENDS)}'))
    cluster = _cluster(document, problems)
    scenarios, axes = scenarios_from_document(document, problems)
    hashes = input_hashes(scenarios, problems)
    if problems:
        raise SpecError(problems)
    return SweepSpec(
        name=name,
        seeds=seeds,
        policies=policies,
        costs=costs,
        backend=backend,
        cluster=cluster,
        scenarios=scenarios,
        axes=axes,
        input_hashes=hashes,
        canonical={
            "seeds": list(seeds),
            "policies": [policy.name for policy in policies],
            "policy": {policy.name: policy_table(policy) for policy in policies},
            "costs": asdict(costs),
            **relative_paths({key: values.get(key) for key in ("workload", "scenario")}, document.folder),
            "inputs": {os.path.relpath(path, document.folder): found for path, found in hashes.items()},
        },
    )


def policy_table(policy: Policy) -> dict[str, Any]:
    """Write a policy's choices as a policies file would: what it is, without where it comes from."""
    table: dict[str, Any] = {key: getattr(policy, key) for key in ("hook", "busy", "scope", "gate", "executor", "boot")}
    return {**table, "timer": str(policy.timer)}


def _text(document: Document, key: str, default: str, problems: list[Problem]) -> str:
    value = document.values.get(key, default)
    if isinstance(value, str):
        return value
    problems.append(Problem(document.where(key), f'{value!r} is not text; write {key} = "…" in quotes'))
    return default


def _seeds(document: Document, problems: list[Problem]) -> tuple[int, ...]:
    value = document.values.get("seeds", 1)
    where = document.where("seeds")
    if isinstance(value, int) and not isinstance(value, bool):
        if 1 <= value <= MAX_SEEDS:
            return tuple(range(value))
        problems.append(Problem(where, f"{value} is outside 1 to {MAX_SEEDS}; a number n means the seeds 0 to n - 1"))
        return ()
    if not isinstance(value, list) or not value:
        problems.append(Problem(where, f"{value!r} is neither a number of seeds nor a list of them"))
        return ()
    seeds: dict[int, None] = {}  # in order, and quick to ask
    for i, seed in enumerate(value):
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= INT64_MAX:
            problems.append(Problem(f"{where}[{i}]", f"{seed!r} is no seed; write an integer from 0 to 2^63 - 1"))
        elif seed in seeds:
            problems.append(Problem(f"{where}[{i}]", f"{seed} comes twice; the same seed gives the same trace"))
        else:
            seeds[seed] = None
    return tuple(seeds)


def _policies(document: Document, problems: list[Problem]) -> tuple[Policy, ...]:
    values = document.values
    own: list[Policy] = []
    try:
        if "policies_file" in values:
            path = values["policies_file"]
            if isinstance(path, str):
                own.extend(read_policies(path))
            else:
                problems.append(Problem(document.where("policies_file"), f"{path!r} is no file name"))
    except SpecError as error:
        problems.extend(error.problems)
    try:
        own.extend(policies_from_tables(values.get("policy", []), document.where("")))
    except SpecError as error:
        problems.extend(error.problems)
    packaged = {policy.name: policy for policy in named_policies()}
    for policy in own:
        if policy.name in packaged or sum(policy.name == other.name for other in own) > 1:
            problems.append(
                Problem(document.where("policy"), f'the name "{policy.name}" is taken; give yours another name')
            )
    chosen: list[Policy] = []
    names = values.get("policies", list(packaged))
    where = document.where("policies")
    if not isinstance(names, list):
        problems.append(Problem(where, f'{names!r} is no list of names; write policies = ["v10", "refcount"]'))
        names = []
    known = {**packaged, **{policy.name: policy for policy in own}}
    for i, name in enumerate(names):
        if name not in known:
            hint = unknown_key(str(name), list(known)).removeprefix("unknown key")
            problems.append(Problem(f"{where}[{i}]", f'"{name}" is no policy{hint}'))
        elif known[name] in chosen:
            problems.append(Problem(f"{where}[{i}]", f'"{name}" comes twice'))
        else:
            chosen.append(known[name])
    # Policies that the spec defines are always wanted; the oracle is what the others are measured by.
    chosen.extend(policy for policy in own if policy not in chosen)
    return (*(policy for policy in chosen if not policy.is_oracle), ORACLE)


def _costs(document: Document, problems: list[Problem]) -> Costs:
    value = document.values.get("costs", {})
    try:
        if isinstance(value, str):
            return read_costs(value)
        if isinstance(value, Mapping):
            return validated(Costs, value, document.where("costs"))
        problems.append(Problem(document.where("costs"), f"{value!r} is neither a file name nor a table of costs"))
    except SpecError as error:
        problems.extend(error.problems)
    return Costs()


def _cluster(document: Document, problems: list[Problem]) -> ClusterOptions:
    try:
        return options_from_table(document.values.get("cluster", {}), document.where, is_spec=True)
    except SpecError as error:
        problems.extend(error.problems)
    return ClusterOptions()
