"""Readers of policy and cost files, the packaged ones and a user's: all mistakes of a file at once."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from gmemgpu.errors import Problem, SpecError
from gmemgpu.model.cost import Costs
from gmemgpu.model.policy import ORACLE, Policy
from gmemgpu.toml_file import packaged_toml, read_toml, unknown_key
from gmemgpu.validation import validated

__all__ = ["named_policies", "read_policies", "read_costs", "policies_from_tables"]


def policies_from_tables(tables: object, where: str) -> tuple[Policy, ...]:
    """
    Return the ``[[policy]]`` tables of a file as policies.

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
    if not isinstance(tables, list):
        raise SpecError(Problem(f"{where}: policy", "is not a list of tables; write [[policy]] above each policy"))
    problems: list[Problem] = []
    policies: dict[str, Policy] = {}
    for i, table in enumerate(tables):
        place = f"{where}: policy[{i}]"
        try:
            policy = validated(Policy, table, place)
        except SpecError as error:
            problems.extend(error.problems)
            continue
        if policy.name in policies:
            problems.append(Problem(f"{place}.name", f'"{policy.name}" is taken by an earlier policy'))
        policies[policy.name] = policy
    if problems:
        raise SpecError(problems)
    return tuple(policies.values())


def read_policies(path: str | Path) -> tuple[Policy, ...]:
    """
    Read a policies file: ``[[policy]]`` tables.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    tuple of Policy
        In the order of the file.

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


def read_costs(path: str | Path) -> Costs:
    """
    Read a costs file: names of `Costs`, each with integer ns or a table of ``ns`` and ``source``.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Costs
        What the file leaves out has its default.

    Raises
    ------
    SpecError
        With every problem of the file.
    """
    return validated(Costs, read_toml(path), f"{path}: ")


@cache
def named_policies() -> tuple[Policy, ...]:
    """
    Return every policy of the package.

    Returns
    -------
    tuple of Policy
        In the order of ``policies.toml``, the oracle last.
    """
    return (*policies_from_tables(packaged_toml("policies")["policy"], "policies.toml"), ORACLE)
