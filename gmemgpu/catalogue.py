"""Readers of policy and cost files, the packaged ones and a user's: all mistakes of a file at once."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from gmemgpu.errors import Problem, SpecError
from gmemgpu.model.cost import Costs
from gmemgpu.model.policy import ORACLE, Policy
from gmemgpu.toml_file import packaged_toml, read_toml, unknown_key
from gmemgpu.validation import validated

__all__ = ["named_policies", "read_policies", "read_costs", "policies_from_tables", "choose_policies", "tell_doubts"]


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
        In the order of the tables.

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
        A TOML file.

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
        A TOML file.

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


def choose_policies(
    wanted: Iterable[str | Policy | Mapping[str, Any]] | None, among: Iterable[Policy], *, where: str = "policies"
) -> tuple[Policy, ...]:
    """
    Return the policies that were asked for.

    Parameters
    ----------
    wanted : iterable of str, Policy or mapping, or None
        Names out of `among`, or policies of one's own, each a `Policy` or a mapping of its fields; None takes all of
        `among`.
    among : iterable of Policy
        Of two with one name the first counts.
    where : str
        For messages.

    Returns
    -------
    tuple of Policy
        In the order of `wanted`.

    Raises
    ------
    SpecError
        With every name that is unknown or comes twice, and every problem of a policy in a mapping.
    """
    known: dict[str, Policy] = {}
    for policy in among:
        known.setdefault(policy.name, policy)
    problems: list[Problem] = []
    chosen: dict[str, Policy] = {}
    for i, item in enumerate(known.values() if wanted is None else wanted):
        place = f"{where}[{i}]"
        if isinstance(item, str) and item not in known:
            hint = unknown_key(item, list(known)).removeprefix("unknown key")
            problems.append(Problem(place, f'"{item}" is no policy{hint}'))
            continue
        try:
            policy = known[item] if isinstance(item, str) else validated(Policy, item, place)
        except SpecError as error:
            problems.extend(error.problems)
            continue
        if policy.name in chosen:
            problems.append(Problem(place, f'"{policy.name}" comes twice; results are told apart by name'))
        chosen[policy.name] = policy
    if not chosen and not problems:
        problems.append(Problem(where, "names no policy; leave it out for all of them"))
    if problems:
        raise SpecError(problems)
    return tuple(chosen.values())


def tell_doubts(policies: Iterable[Policy], where: str, *, strict: bool = False) -> None:
    """
    Report which policies cannot do what they seem to ask for.

    Parameters
    ----------
    policies : iterable of Policy
        Those that will be evaluated.
    where : str
        For messages.
    strict : bool
        Refuse them.

    Raises
    ------
    SpecError
        With every such policy, if `strict`.

    Warns
    -----
    RuntimeWarning
        Of each, otherwise.
    """
    doubts = [Problem(f'{where}: policy "{policy.name}"', policy.doubt) for policy in policies if policy.doubt]
    if strict and doubts:
        raise SpecError(doubts)
    for doubt in doubts:
        warnings.warn(str(doubt), RuntimeWarning, stacklevel=3)
