"""A sweep's specification: read from TOML or a mapping, every mistake of all its files reported at once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, ValidationError, ValidationInfo, field_validator

from gmemgpu.catalogue import named_policies, policies_from_tables, read_costs, read_policies
from gmemgpu.errors import Problem, SpecError, TraceError
from gmemgpu.fields import DurationNs, Section
from gmemgpu.model.cost import Costs
from gmemgpu.model.policy import ORACLE, Policy
from gmemgpu.rmp.sampled import ImageTimes
from gmemgpu.sweeping.spec.document import Document, read_document, shown
from gmemgpu.sweeping.spec.expectation import Expectation, expectations_of
from gmemgpu.sweeping.spec.keys import input_files, map_paths
from gmemgpu.sweeping.spec.scenario import Scenario, scenarios_of
from gmemgpu.toml_file import unknown_key
from gmemgpu.units import format_duration_ns
from gmemgpu.validation import problems_of, validated
from gmemgpu.workload.table_account import table_lines

__all__ = ["SweepSpec", "read_spec", "policy_table"]

MAX_SEEDS = 1_000_000
MAX_IMAGES = 10_000
"""Of a trace, by `rmp_every`: what they say lies in memory at once."""

_NO_CLUSTER = (
    "is no part of a spec: a spec says what to compute, not where; put these settings into dask-jobqueue's own "
    "jobqueue.yaml and start `gmemgpu sweep … --cluster slurm --jobs N`"
)


class SweepSpec(Section):
    """
    What to sweep; made by `read_spec` alone, which knows the files that say it.

    Its fields are the keys of a spec. `axes`, `input_hashes` and `canonical` follow from them.
    """

    name: str = Field(default="sweep", description="For people; no effect on results. The file's name if left out.")
    include: str | None = Field(default=None, description="Another spec, over whose keys those of this one are laid.")
    seeds: tuple[int, ...] = Field(
        default=(0,),
        description="A number n, which means the seeds 0 to n - 1, or a list. Each gives a trace of each scenario.",
    )
    policies_file: str | None = Field(default=None, description="A TOML file with [[policy]] tables of your own.")
    policy: tuple[Policy, ...] = Field(
        default=(), validate_default=True, description="Policies of your own; they are always evaluated."
    )
    policies: tuple[Policy, ...] = Field(
        default=(),
        validate_default=True,
        description="Names of policies, all of the package if left out. The oracle comes along, as the last.",
    )
    costs: Costs = Field(
        default_factory=Costs,
        description="Costs in ns that differ from the package's: a table, or the name of a TOML file with one.",
    )
    backend: Literal["auto", "numpy", "numba", "reference", "cupy"] = Field(
        default="auto",
        description="The engine; auto takes the fastest for so many evaluations. All give the same integers.",
    )
    workload: Any = Field(default={}, description="Keys of a workload; a list in place of a single value is an axis.")
    scenarios: tuple[Scenario, ...] = Field(
        default=(),
        alias="scenario",
        validate_default=True,
        description="Tables, each with a name and laid over workload in turn; workload alone if left out.",
    )
    rmp_every: Annotated[DurationNs, Field(gt=0)] | None = Field(
        default=None,
        description="Images of the RMP are made and scanned so often, from the warm-up on: how many regions are free, "
        "and what keeps others from being so. No effect on policies.",
    )
    rmp_at: tuple[DurationNs, ...] = Field(
        default=(), validate_default=True, description="And at these times of each trace."
    )
    expect: tuple[Expectation, ...] = Field(
        default=(),
        validate_default=True,
        description="Tables of a policy, a scenario (each if left out) and metrics: integers, or [least, most]. "
        "`gmemgpu sweep` says whether they came true; no effect on results.",
    )
    _document: Document = PrivateAttr()

    def model_post_init(self, context: Document, /) -> None:
        """Keep the document; pydantic calls this once all is valid."""
        self._document = context

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the columns that tell scenarios apart, in file order; ``preset`` is not among them."""
        return tuple(self.scenarios[0].axes)

    @property
    def n_rows(self) -> int:
        """Number of (scenario, seed, policy) combinations."""
        return len(self.scenarios) * len(self.seeds) * len(self.policies)

    @property
    def images(self) -> ImageTimes | None:
        """When images of the RMP are made; None for never."""
        if self.rmp_every is None and not self.rmp_at:
            return None
        return ImageTimes(every_ns=self.rmp_every, at_ns=self.rmp_at)

    @property
    def source(self) -> str:
        """The file that says it, for messages."""
        return self._document.source

    @property
    def file_name(self) -> str | None:
        """Name of the file that says it, without its folder; None if none does, or the name is no text."""
        if not self._document.is_file:
            return None
        name = Path(self.source).name
        return None if any("\ud800" <= letter <= "\udfff" for letter in name) else name

    @cached_property
    def input_hashes(self) -> dict[Path, str]:
        """SHA-256 of every file that a scenario reads, hexadecimal; a `SpecError` if one has gone by now."""
        found: dict[Path, str] = {}
        for path in input_files(scenario.workload for scenario in self.scenarios):
            try:
                with path.open("rb") as file:
                    found[path] = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                raise SpecError(_unreadable(path, error)) from None
        return found

    @cached_property
    def canonical(self) -> dict[str, Any]:
        """The spec, ready for JSON; two sweeps are the same if these are equal (and code and versions are)."""
        folder = self._document.folder
        said = {key: self._document.values.get(key) for key in ("workload", "scenario")}
        return {
            "seeds": list(self.seeds),
            "policies": [policy.name for policy in self.policies],
            "policy": {policy.name: policy_table(policy) for policy in self.policies},
            "costs": asdict(self.costs),
            **({} if self.images is None else {"rmp_every": self.rmp_every, "rmp_at": list(self.rmp_at)}),
            **map_paths(said, lambda text: os.path.relpath(text, folder)),  # the same wherever both lie
            "inputs": {os.path.relpath(path, folder): found for path, found in self.input_hashes.items()},
        }

    def table_notes(self) -> tuple[str, ...]:
        """
        List how VM tables are read, and what is added to them.

        Returns
        -------
        tuple of str
            For people; each once. Of a table that cannot be read there is none: its shards fail, and say why.
        """
        lines: dict[str, None] = {}
        for scenario in self.scenarios:
            if scenario.workload.vm_table is not None:
                with suppress(TraceError):
                    lines.update(dict.fromkeys(table_lines(scenario.workload, self.seeds[0], all_hosts=True)))
        return tuple(lines)

    # Validators that may find several mistakes at once, or mistakes in other files, report them to the document.

    @field_validator("seeds", mode="plain")
    @classmethod
    def _seeds(cls, value: Any, info: ValidationInfo) -> tuple[int, ...]:
        document = _document(info)
        if isinstance(value, int) and not isinstance(value, bool):
            if 1 <= value <= MAX_SEEDS:
                return tuple(range(value))
            message = f"{value} is outside 1 to {MAX_SEEDS}; a number n means the seeds 0 to n - 1"
            document.report("seeds", message)
        elif not isinstance(value, list) or not 1 <= len(value) <= MAX_SEEDS:
            document.report("seeds", f"{shown(value)} is neither a number of seeds nor a list of 1 to {MAX_SEEDS}")
        else:
            seeds: dict[int, None] = {}  # in order, and quick to ask
            for i, seed in enumerate(value):
                if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
                    document.report(f"seeds[{i}]", f"{shown(seed)} is no seed; write an integer from 0 to 2^63 - 1")
                elif seed in seeds:
                    document.report(f"seeds[{i}]", f"{seed} comes twice; the same seed gives the same trace")
                else:
                    seeds[seed] = None
            return tuple(seeds)
        return ()

    @field_validator("policy", mode="plain")
    @classmethod
    def _own(cls, value: Any, info: ValidationInfo) -> tuple[Policy, ...]:
        document = _document(info)
        own: tuple[Policy, ...] = ()
        try:
            if info.data.get("policies_file") is not None:
                own = read_policies(info.data["policies_file"])
        except SpecError as error:
            document.problems.extend(error.problems)
        try:
            own = (*own, *policies_from_tables(list(value) if value == () else value, document.file("policy")))
        except SpecError as error:
            document.problems.extend(error.problems)
        taken = {policy.name for policy in named_policies()}
        for policy in own:
            if policy.name in taken:
                document.report("policy", f'the name "{policy.name}" is taken; give yours another name')
            taken.add(policy.name)
        return own

    @field_validator("policies", mode="plain")
    @classmethod
    def _choose(cls, value: Any, info: ValidationInfo) -> tuple[Policy, ...]:
        document = _document(info)
        own: tuple[Policy, ...] = info.data["policy"]
        known = {policy.name: policy for policy in (*own, *named_policies())}
        names = value if "policies" in document.values else [policy.name for policy in named_policies()]
        if not isinstance(names, list):
            document.report("policies", f'{shown(value)} is no list of names; write policies = ["v10", "refcount"]')
            names = []
        chosen: dict[str, Policy] = {}
        for i, name in enumerate(names):
            if not isinstance(name, str):
                document.report(f"policies[{i}]", f'{shown(name)} is no name; write names in quotes, as in "v10"')
            elif name not in known:
                hint = unknown_key(name, list(known)).removeprefix("unknown key")
                document.report(f"policies[{i}]", f'"{name}" is no policy{hint}')
            elif name in chosen:
                document.report(f"policies[{i}]", f'"{name}" comes twice')
            else:
                chosen[name] = known[name]
        # Policies that the spec defines are always wanted; the oracle is what the others are measured by.
        chosen |= {policy.name: policy for policy in own if policy.name not in chosen}
        return (*(policy for policy in chosen.values() if not policy.is_oracle), ORACLE)

    @field_validator("costs", mode="plain")
    @classmethod
    def _read_costs(cls, value: Any, info: ValidationInfo) -> Costs:
        document = _document(info)
        try:
            if isinstance(value, str):
                return read_costs(value)
            if isinstance(value, Mapping):
                return validated(Costs, value, document.where("costs"))
            document.report("costs", f"{shown(value)} is neither a file name nor a table of costs")
        except SpecError as error:
            document.problems.extend(error.problems)
        return Costs()

    @field_validator("scenarios", mode="plain")
    @classmethod
    def _resolve(cls, value: Any, info: ValidationInfo) -> tuple[Scenario, ...]:
        document = _document(info)
        scenarios = scenarios_of(document)
        for path in input_files(scenario.workload for scenario in scenarios):
            try:
                path.open("rb").close()
            except OSError as error:
                document.problems.append(_unreadable(path, error))
        return scenarios

    @field_validator("rmp_at")
    @classmethod
    def _some_image_each(cls, value: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        every_ns = info.data.get("rmp_every")
        if every_ns is None and not value:
            return value
        document, key = _document(info), "rmp_at" if every_ns is None else "rmp_every"
        times = ImageTimes(every_ns=every_ns, at_ns=value)
        for scenario in info.data["scenarios"]:
            begin_ns, end_ns = scenario.workload.warmup_ns, scenario.workload.horizon_ns
            span = f"{format_duration_ns(begin_ns)} to {format_duration_ns(end_ns)}"
            if every_ns is not None and (end_ns - begin_ns) // every_ns > MAX_IMAGES:
                message = (
                    f'more than {MAX_IMAGES:,} images of each trace of scenario "{scenario.label}"; make them rarer'
                )
                document.report(key, message)
            elif not times.between(begin_ns, end_ns):
                message = f'no image counts of scenario "{scenario.label}", {span}; choose times in between'
                document.report(key, message)
        return tuple(sorted(set(value)))

    @field_validator("expect", mode="plain")
    @classmethod
    def _expectations(cls, _: Any, info: ValidationInfo) -> tuple[Expectation, ...]:
        policies, scenarios = info.data["policies"], info.data["scenarios"]
        names, labels = [policy.name for policy in policies], [scenario.label for scenario in scenarios]
        return expectations_of(_document(info), names, labels)


def read_spec(spec: str | Path | Mapping[str, Any], *, seeds: int | None = None) -> SweepSpec:
    """
    Read a sweep specification.

    Parameters
    ----------
    spec : str, Path or mapping
        A TOML file, whose relative paths start from its own folder; or the same as a mapping, whose relative paths
        start from the working directory.
    seeds : int, optional
        How many, in place of what it says.

    Returns
    -------
    SweepSpec
        A valid one.

    Raises
    ------
    SpecError
        With every problem of the file and of the files that it names.
    """
    document = read_document(spec)
    values = {"name": Path(document.source).stem, **document.values}
    if seeds is not None:
        values["seeds"] = seeds
    if "cluster" in values:
        document.report("cluster", _NO_CLUSTER)
        del values["cluster"]
    problems: list[Problem] = []
    try:
        found = SweepSpec.model_validate(values, context=document)
    except ValidationError as error:
        problems.extend(
            Problem(document.where(problem.where), problem.message) for problem in problems_of(error, "", SweepSpec)
        )
    problems.extend(document.problems)
    if problems:
        raise SpecError(problems)
    return found


def policy_table(policy: Policy) -> dict[str, Any]:
    """Return a policy's choices as a policies file would write them, without name and origin."""
    table: dict[str, Any] = {key: getattr(policy, key) for key in ("hook", "busy", "scope", "gate", "executor", "boot")}
    return {**table, "timer": str(policy.timer)}


def _document(info: ValidationInfo) -> Document:
    if not isinstance(info.context, Document):
        raise TypeError("a SweepSpec is made by read_spec, which takes a mapping too")
    return info.context


def _unreadable(path: Path, error: OSError) -> Problem:
    return Problem(str(path), f"cannot be read: {error.strerror}; check the path")
