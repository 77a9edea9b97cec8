"""``gmemgpu policies``: the named policies, each as its seven choices and where it comes from."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gmemgpu.model.policy import Policy

__all__ = ["add_arguments", "policies_markdown", "run"]

_CHOICES = ("hook", "timer", "busy", "scope", "gate", "executor", "boot")
_HEADINGS = ["policy", *_CHOICES, "origin"]
_MOST_TELLING = ("policy", "hook", "timer", "scope", "executor", "gate", "busy", "boot")
_LEAST_ORIGIN = 30
_GAP = 3
"""Characters: of an origin that is worth its column, and between columns."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``gmemgpu policies``."""
    parser.add_argument("names", metavar="NAME", nargs="*", help="only these (default: all)")
    parser.add_argument("--policies", metavar="FILE", help="those of a TOML file with [[policy]] tables instead")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="write JSON: one object a policy")
    form.add_argument("--markdown", action="store_true", help="write a Markdown table")


def run(arguments: argparse.Namespace) -> int:
    """Print the policies; 0 if all are known."""
    from gmemgpu.catalogue import choose_policies, named_policies, read_policies, tell_doubts

    among = read_policies(arguments.policies) if arguments.policies else named_policies()
    policies = choose_policies(arguments.names or None, among, where="NAME")
    tell_doubts(policies, arguments.policies or "policies")
    if arguments.json:
        rows = [
            {
                "name": policy.name,
                **{key: getattr(policy, key) for key in _CHOICES},
                "timer": str(policy.timer),
                "origin": policy.origin,
            }
            for policy in policies
        ]
        print(json.dumps(rows, indent=1, ensure_ascii=False))
    elif arguments.markdown:
        print(policies_markdown(policies), end="")
    else:
        from gmemgpu.cli.terminal import print_table, text_width

        cells = list(map(_cells, policies))
        kept = _columns_that_fit(cells, text_width())
        print_table([_HEADINGS[i] for i in kept], [[of_policy[i] for i in kept] for of_policy in cells])
        if left_out := [name for i, name in enumerate(_HEADINGS) if i not in kept]:
            print(f"{', '.join(left_out)}: in a wider terminal, or with --json")
    return 0


def _columns_that_fit(rows: Sequence[Sequence[str]], width: int | None) -> list[int]:
    # Of the table's columns, by their places; the origin is prose, and folds.
    if width is None:
        return list(range(len(_HEADINGS)))
    kept: list[int] = []
    left = width
    for name in (*_MOST_TELLING, "origin"):
        i = _HEADINGS.index(name)
        longest = max(len(name), *(len(row[i]) for row in rows))
        left -= _GAP + (min(longest, _LEAST_ORIGIN) if name == "origin" else longest)
        if left < 0:
            break
        kept.append(i)
    return sorted(kept)


def _cells(policy: Policy) -> list[str]:
    if policy.is_oracle:
        return [policy.name, *("–" for _ in _CHOICES), policy.origin]
    choices = [str(getattr(policy, key)) for key in _CHOICES[:-1]]
    return [policy.name, *choices, "yes" if policy.boot else "no", policy.origin]


def policies_markdown(policies: tuple[Policy, ...]) -> str:
    """
    Write policies as a Markdown table.

    Parameters
    ----------
    policies : tuple of Policy
        In the order of the lines.

    Returns
    -------
    str
        One line a policy, names and choices as code; ends in a newline.
    """
    lines = [_HEADINGS, ["---"] * len(_HEADINGS)]
    for policy in policies:
        name, *choices, origin = (cell.replace("|", "\\|") for cell in _cells(policy))
        lines.append([f"`{name}`", *choices, origin])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
