"""What questions.toml may hold, and what it must hold for every question."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from gmemgpu.errors import Problem, SpecError
from gmemgpu.fields import Section
from gmemgpu.metrics.quantity import quantity_named
from gmemgpu.sweeping.spec import SweepSpec, read_spec
from gmemgpu.toml_file import read_toml
from gmemgpu.validation import validated

__all__ = ["Key", "Figure", "Number", "Check", "Claim", "Table", "Question", "Debate", "read_debate", "fingerprint"]

Key: TypeAlias = str | int | float
Where: TypeAlias = dict[str, Key]


class Figure(Section):
    """One figure of a table, or the largest or least of several."""

    table: str = Field(description="Name of a table of the question.")
    policy: Annotated[tuple[str, ...], Field(min_length=1)] = Field(description="Whose figures.")
    quantity: str = Field(description="Key of a quantity of the table.")
    where: Where | None = Field(default=None, description="Which groups; those of the table if left out.")
    field: Literal["value", "baseline", "difference"] = Field(default="difference", description="What of it.")
    pick: Literal["max", "min", "max_abs"] = Field(
        default="max", description="Which of several; max_abs: the size alone."
    )
    per: Figure | None = Field(default=None, description="Another, by which it is divided.")
    scale: float = Field(default=1.0, description="What it is multiplied by: 100 makes a share %.")


class Number(Figure):
    """A figure in an answer."""

    form: str = Field(default=",.1f", description="As Python's format has it.")


class Check(Figure):
    """What a figure must be for the answer to stand."""

    at_least: float | None = Field(default=None, description="In the unit of the scaled figure.")
    at_most: float | None = Field(default=None, description="The same.")


class Claim(Section):
    """A comparison that the answer rests on; which other assumptions change it is looked up and printed."""

    text: str = Field(description="In words.")
    table: str = Field(description="Name of a table of the question.")
    policy: str = Field(description="Compared with the baseline of the table.")
    quantity: str = Field(description="Key of a quantity of the table.")
    where: Where | None = Field(default=None, description="In which groups; those of the table if left out.")
    least: float = Field(default=0.0, description="Smaller differences do not matter; in the quantity's own unit.")
    expect: Literal["better", "worse", "none"] = Field(description="What it must be; none: no difference that matters.")


class Table(Section):
    """Rows of one sweep, compared with a baseline."""

    name: str = Field(description="For figures and claims.")
    caption: str = Field(description="What it shows.")
    spec: str = Field(description="File beside this one, without .toml.")
    baseline: str = Field(default="merged", description="A policy.")
    policies: Annotated[tuple[str, ...], Field(min_length=1)] = Field(description="Compared with it, in this order.")
    quantities: Annotated[tuple[str, ...], Field(min_length=1)] = Field(description="Keys.")
    where: Where = Field(default={"scenario": "base"}, description="The groups that answer.")
    vary: tuple[str, ...] = Field(default=("scenario",), description="Columns whose other values may turn it round.")
    pivot: bool = Field(default=False, description="A line for each group, a column for each policy: one quantity.")

    @property
    def group_by(self) -> tuple[str, ...]:
        """Columns that tell groups apart."""
        return tuple(dict.fromkeys((*self.where, *self.vary)))


class Question(Section):
    """One question of the thread."""

    number: int = Field(description="From 1 on.")
    title: Annotated[str, Field(min_length=1)] = Field(description="The question.")
    asked: Annotated[str, Field(min_length=1)] = Field(description="Who asked or proposed it, and when.")
    source: Annotated[tuple[str, ...], Field(min_length=1)] = Field(description="Addresses, public ones.")
    answer: Annotated[str, Field(min_length=1)] = Field(description="One sentence, with {numbers}.")
    limits: Annotated[str, Field(min_length=1)] = Field(description="What it does not show.")
    numbers: dict[str, Number] = Field(default={}, description="For the answer.")
    check: tuple[Check, ...] = Field(default=(), description="What else must hold for it.")
    claim: Annotated[tuple[Claim, ...], Field(min_length=1)] = Field(description="What it rests on.")
    table: Annotated[tuple[Table, ...], Field(min_length=1)] = Field(description="What is shown.")

    def table_of(self, one: Figure | Claim) -> Table:
        """Return the table that a figure or claim is of."""
        return next(table for table in self.table if table.name == one.table)


class Debate(Section):
    """All questions, and what holds for all of them."""

    intro: str = Field(description="What a reader must know before.")
    outside: str = Field(description="What was not run, and what the model cannot say.")
    question: Annotated[tuple[Question, ...], Field(min_length=1)] = Field(description="In the order of the page.")


def read_debate(path: Path) -> tuple[Debate, dict[str, SweepSpec]]:
    """Read questions and the specs that they name; a `SpecError` lists every mistake."""
    debate = validated(Debate, read_toml(path), f"{path}: ")
    names = dict.fromkeys(table.spec for question in debate.question for table in question.table)
    specs = {name: read_spec(path.parent / f"{name}.toml") for name in names}
    problems = [
        Problem(f"{path}: question {question.number}", message)
        for question in debate.question
        for message in _mistakes(question, specs)
    ]
    if problems:
        raise SpecError(problems)
    return debate, specs


def _mistakes(question: Question, specs: Mapping[str, SweepSpec]) -> Iterator[str]:
    tables = {table.name: table for table in question.table}
    for table in question.table:
        spec = specs[table.spec]
        policies = [policy.name for policy in spec.policies]
        yield from (
            f'"{name}" is no policy of {table.spec}'
            for name in (table.baseline, *table.policies)
            if name not in policies
        )
        yield from (f'"{key}" is no quantity' for key in table.quantities if quantity_named(key) is None)
        yield from (
            f'"{key}" is no axis of {table.spec}' for key in table.group_by if key not in ("preset", *spec.axes)
        )
        if table.pivot and len(table.quantities) > 1:
            yield f'table "{table.name}" is a pivot of several quantities; make a table for each'
    figures: list[Figure] = [*question.numbers.values(), *question.check]
    figures += [one.per for one in figures if one.per is not None]
    asked: list[Figure | Claim] = [*figures, *question.claim]
    for one in asked:
        names = one.policy if isinstance(one, Figure) else (one.policy,)
        found = tables.get(one.table)
        if found is None:
            yield f'"{one.table}" is no table of it'
        elif not {*names} <= {*found.policies} or one.quantity not in found.quantities:
            yield f'{", ".join(names)}, {one.quantity}: not in table "{one.table}"'
    try:
        question.answer.format(**dict.fromkeys(question.numbers, ""))
    except (KeyError, IndexError, ValueError) as error:
        yield f"answer: {error} is no number of it"
    yield from (
        f"number {name} is not in the answer" for name in question.numbers if f"{{{name}}}" not in question.answer
    )


def fingerprint(debate: Debate, specs: Mapping[str, SweepSpec]) -> str:
    """Return a hash of all that the page is made of but for the rows; comments do not count."""
    told = {"debate": debate.model_dump(mode="json"), "specs": {name: spec.canonical for name, spec in specs.items()}}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
