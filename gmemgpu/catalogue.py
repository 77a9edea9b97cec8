"""Readers of policy and cost files, the packaged ones and a user's: all mistakes of a file at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

from gmemgpu.errors import Problem, SpecError
from gmemgpu.model.cost import Costs, cost_problems
from gmemgpu.model.policy import ORACLE, Policy, Timer, policy_problems
from gmemgpu.toml_file import packaged_toml, read_toml, unknown_key

__all__ = [
    "named_policies",
    "default_costs",
    "read_policies",
    "read_costs",
    "policies_from_tables",
    "costs_from_table",
]

_POLICY_KEYS = tuple(field.name for field in fields(Policy))
_COST_KEYS = tuple(field.name for field in fields(Costs))


def _policy(table: Mapping[str, Any], where: str, problems: list[Problem]) -> Policy | None:
    found = len(problems)
    for key in table:
        if key not in _POLICY_KEYS:
            problems.append(Problem(f"{where}.{key}", unknown_key(key, _POLICY_KEYS)))
    values: dict[str, Any] = {}
    for key in _POLICY_KEYS:
        if key not in table:
            if key in ("name", "hook"):
                problems.append(Problem(f"{where}.{key}", "is missing; every policy has a name and a hook"))
            continue
        value: Any = table[key]
        sound = isinstance(value, bool) if key == "boot" else isinstance(value, str)
        if not sound:
            expected = "true or false" if key == "boot" else "text in quotes"
            problems.append(Problem(f"{where}.{key}", f"{value!r} is not {expected}"))
        elif key == "timer":
            try:
                values[key] = Timer.parse(value)
            except ValueError as error:
                problems.append(Problem(f"{where}.timer", str(error)))
        elif key == "name" and not value.strip():
            problems.append(Problem(f"{where}.name", "is empty"))
        else:
            values[key] = value
    # A periodic policy needs no hook said; a policy that has other faults is still checked for its choices.
    policy = Policy(**{"name": "?", "hook": "none", **values})
    problems.extend(policy_problems(policy, where))
    return policy if len(problems) == found else None


def policies_from_tables(tables: object, where: str) -> tuple[Policy, ...]:
    """
    Turn the ``[[policy]]`` tables of a file into policies.

    Parameters
    ----------
    tables : list of dict
        As a TOML reader gives them.
    where : str
        The file, for messages.

    Returns
    -------
    tuple of Policy

    Raises
    ------
    SpecError
        With every problem of every table.
    """
    problems: list[Problem] = []
    if not isinstance(tables, list) or not all(isinstance(table, Mapping) for table in tables):
        raise SpecError(Problem(f"{where}: policy", "is not a list of tables; write [[policy]] above each policy"))
    policies: list[Policy] = []
    for i, table in enumerate(tables):
        policy = _policy(table, f"{where}: policy[{i}]", problems)
        if policy is None:
            continue
        if policy.is_oracle:
            problems.append(Problem(f"{where}: policy[{i}].name", '"oracle" is the bound, which cannot be redefined'))
        if any(policy.name == other.name for other in policies):
            problems.append(Problem(f"{where}: policy[{i}].name", f'"{policy.name}" is taken by an earlier policy'))
        policies.append(policy)
    if problems:
        raise SpecError(problems)
    return tuple(policies)


def read_policies(path: str | Path) -> tuple[Policy, ...]:
    """
    Read a policies file: ``[[policy]]`` tables.

    Raises
    ------
    SpecError
        With every problem of the file.
    """
    document = read_toml(path)
    problems = [Problem(f"{path}: {key}", unknown_key(key, ("policy",))) for key in document if key != "policy"]
    try:
        policies = policies_from_tables(document.get("policy", []), str(path))
    except SpecError as error:
        raise SpecError([*problems, *error.problems]) from None
    if not policies and not problems:
        problems.append(Problem(str(path), "holds no policy; add a [[policy]] table"))
    if problems:
        raise SpecError(problems)
    return policies


def costs_from_table(table: Mapping[str, Any], where: str, base: Costs | None = None) -> Costs:
    """
    Turn a cost table into `Costs`; names left out keep `base`'s value.

    Parameters
    ----------
    table : mapping
        Cost name to integer ns, or to a table with ``ns`` and ``source``.
    where : str
        The file, for messages.
    base : Costs, optional
        The packaged costs if left out.

    Raises
    ------
    SpecError
        With every problem of the table.
    """
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in _COST_KEYS:
            problems.append(Problem(f"{where}: {key}", unknown_key(key, _COST_KEYS)))
            continue
        if isinstance(value, Mapping):
            problems.extend(
                Problem(f"{where}: {key}.{name}", unknown_key(name, ("ns", "source")))
                for name in value
                if name not in ("ns", "source")
            )
            if "ns" not in value:
                problems.append(Problem(f"{where}: {key}.ns", "is missing; write the cost in integer ns"))
                continue
            value = value["ns"]
        values[key] = value
    start = dict.fromkeys(_COST_KEYS, 0) if base is None else {key: getattr(base, key) for key in _COST_KEYS}
    if base is None:
        problems.extend(Problem(f"{where}: {key}", "is missing") for key in _COST_KEYS if key not in table)
    costs = Costs(**{**start, **values})
    problems.extend(cost_problems(costs, where))
    if problems:
        raise SpecError(problems)
    return costs


def read_costs(path: str | Path) -> Costs:
    """
    Read a costs file; what it leaves out keeps the packaged value.

    Raises
    ------
    SpecError
        With every problem of the file.
    """
    return costs_from_table(read_toml(path), str(path), default_costs())


@cache
def named_policies() -> tuple[Policy, ...]:
    """Give every policy of the package, the oracle last."""
    return (*policies_from_tables(packaged_toml("policies")["policy"], "policies.toml"), ORACLE)


@cache
def default_costs() -> Costs:
    """Give the packaged cost table."""
    return costs_from_table(packaged_toml("costs"), "costs.toml")
