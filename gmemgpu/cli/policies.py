"""``gmemgpu policies``: the named policies, each as its seven choices and where it comes from."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gmemgpu.model.policy import Policy

__all__ = ["add_arguments", "policies_markdown", "run"]

_CHOICES = ("hook", "timer", "busy", "scope", "gate", "executor", "boot")
_HEADINGS = ["policy", *_CHOICES, "origin"]


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
        from gmemgpu.cli.terminal import print_table

        print_table(_HEADINGS, map(_cells, policies))
    return 0


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
