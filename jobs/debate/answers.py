"""What the rows say to a question: figures, whether its claims stand, and which assumptions change them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from questions import Claim, Figure, Key, Question, Table

from gmemgpu.errors import GmemgpuError
from gmemgpu.report.comparison import ComparedGroup, Comparison, ComparisonTable, compare
from gmemgpu.report.figure_text import difference_text, scale_of

__all__ = [
    "PRICES_NS",
    "Results",
    "comparison_of",
    "contradictions",
    "figure",
    "name_of",
    "outcome",
    "quantities_of",
    "variations",
]

PRICES_NS = (1, 10, 50)
"""What an update of a tracker may cost; at 0 it is `core_s`."""


def quantities_of(table: Table) -> list[str]:
    """Return what is compared: what a table shows, and with CPU time what it becomes at each price of an update."""
    prices = [f"core_s_at_{price}ns" for price in PRICES_NS] if "core_s" in table.quantities else []
    return list(dict.fromkeys((*table.quantities, *prices)))


class Results:
    """
    Tables of a results directory, each compared once.

    Parameters
    ----------
    directory : Path
        With a sweep in a folder of each spec's name.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._compared: dict[str, ComparisonTable] = {}

    def compared(self, table: Table) -> ComparisonTable:
        """Return the comparisons of a table, group by group."""
        key = table.model_dump_json()
        if key not in self._compared:
            self._compared[key] = compare(
                self._directory / table.spec,
                baseline=table.baseline,
                group_by=table.group_by,
                policies=table.policies,
                quantities=quantities_of(table),
            )
        return self._compared[key]

    def groups(self, table: Table, where: Mapping[str, Key] | None = None) -> list[ComparedGroup]:
        """Return the groups of a table that agree with `where`, or with the table's own choice."""
        where = table.where if where is None else where
        return [
            group
            for group in self.compared(table).groups
            if all(group.keys[key] == value for key, value in where.items())
        ]


def comparison_of(group: ComparedGroup, policy: str, quantity: str) -> Comparison:
    """Return one comparison of a group."""
    return next(one for one in group.comparisons if (one.policy, one.quantity.key) == (policy, quantity))


def name_of(keys: Mapping[str, Key], chosen: Sequence[str]) -> str:
    """Return what a group is called by some of its keys: a scenario or preset by its name, an axis by its last word."""
    return ", ".join(
        str(keys[key]) if key in ("scenario", "preset") else f"{key.rpartition('.')[2]} {keys[key]}" for key in chosen
    )


def figure(one: Figure, question: Question, results: Results) -> float:
    """Return a figure; a `GmemgpuError` if no row has it."""
    found = [
        comparison_of(group, policy, one.quantity).found
        for group in results.groups(question.table_of(one), one.where)
        for policy in one.policy
    ]
    values = [
        {"difference": each.difference, "value": each.value, "baseline": each.baseline}[one.field]
        for each in found
        if each is not None
    ]
    if not values:
        raise GmemgpuError(f"question {question.number}: {', '.join(one.policy)}, {one.quantity}: no row has it")
    value = {"max": max(values), "min": min(values), "max_abs": max(map(abs, values))}[one.pick]
    if one.per is not None:
        below = figure(one.per, question, results)
        if not below:
            raise GmemgpuError(f"question {question.number}: {', '.join(one.policy)}, {one.quantity}: per 0")
        value /= below
    return value * one.scale


def outcome(claim: Claim, one: Comparison) -> str:
    """Return better, worse, none for no difference that matters, or can't tell."""
    found = one.found
    if found is None:
        return "can't tell"
    if one.verdict == "same" or abs(found.difference) + (found.half_width or 0.0) <= claim.least:
        return "none"
    if one.verdict != "can't tell" and abs(found.difference) <= claim.least:
        return "can't tell"
    return one.verdict


def contradictions(question: Question, results: Results) -> Iterator[str]:
    """Yield what the rows say against the answer to a question."""
    here = f"question {question.number}"
    for claim in question.claim:
        groups = results.groups(question.table_of(claim), claim.where)
        if not groups:
            yield f"{here}: {claim.text}: no group is {claim.where}"
        for group in groups:
            one = comparison_of(group, claim.policy, claim.quantity)
            got = outcome(claim, one)
            if got != claim.expect:
                found = one.found
                said = "no row has it" if found is None else difference_text(found, scale_of(one.quantity, [one]))
                where = ", ".join(f"{key} {value}" for key, value in group.keys.items())
                yield (
                    f"{here}: {claim.text}: {claim.policy}, {claim.quantity} must be {claim.expect} and is {got} "
                    f"({said}; {where})"
                )
    for check in question.check:
        value = figure(check, question, results)
        if check.at_least is not None and value < check.at_least:
            yield f"{here}: {', '.join(check.policy)}, {check.quantity}: {value:.6g} is below {check.at_least:g}"
        if check.at_most is not None and value > check.at_most:
            yield f"{here}: {', '.join(check.policy)}, {check.quantity}: {value:.6g} is above {check.at_most:g}"


def variations(claim: Claim, question: Question, results: Results) -> Iterator[tuple[str, Comparison, str]]:
    """
    Yield how a claim fares under other assumptions.

    Yields
    ------
    name : str
        Of the assumption.
    one : Comparison
        What is compared there.
    got : str
        As of `outcome`.
    """
    table = question.table_of(claim)
    base = table.where if claim.where is None else claim.where
    fixed = {key: value for key, value in base.items() if key not in table.vary}
    for group in results.groups(table, fixed):
        one = comparison_of(group, claim.policy, claim.quantity)
        name = name_of(group.keys, table.vary)
        yield name, one, outcome(claim, one)
    if claim.quantity == "core_s":
        for group in results.groups(table, base):
            free = comparison_of(group, claim.policy, "core_s").found
            for price in PRICES_NS:
                one = comparison_of(group, claim.policy, f"core_s_at_{price}ns")
                if free is not None and one.found is not None and one.found.difference != free.difference:
                    yield f"update {price} ns", one, outcome(claim, one)
