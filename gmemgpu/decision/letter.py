"""A decision to be cited: for a mail of 72 columns in ASCII, or as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain

from gmemgpu.decision.decision import DecidedGroup, Decision
from gmemgpu.decision.sentence import assumptions, headline, notes, sentence
from gmemgpu.decision.text import columns_lines, unfinished, wrapped
from gmemgpu.report.ascii import to_ascii
from gmemgpu.report.comparison import ComparedGroup, ComparisonTable
from gmemgpu.report.comparison_grid import compact_cells
from gmemgpu.report.paired import LEVEL

__all__ = ["QUANTITIES", "WIDTH", "mail_lines", "markdown_lines"]

WIDTH = 72
"""Of a mail: a list's readers quote it twice, and their terminals have 80 columns."""

QUANTITIES = ("benefit", "never", "core_s", "coverage")
"""What the tables hold; the first needs the oracle, and in mails the last ones give way where there is no room."""

_MAX_GROUPS = 6
_FEW = 4
"""Of so few policies a table holds all."""


def mail_lines(decision: Decision, table: ComparisonTable, command: str) -> Iterator[str]:
    """
    Write a decision for a mail.

    Parameters
    ----------
    decision : Decision
        The sentences.
    table : ComparisonTable
        The policies beside the baseline, with the same groups.
    command : str
        What makes it again.

    Yields
    ------
    str
        A line of ASCII without its end, of 72 columns at most but for names and commands that are longer.
    """
    for text in _head(decision):
        yield from wrapped(to_ascii(text), WIDTH)
        yield ""
    for text, group in _groups(decision, table):
        if text:
            yield from wrapped(to_ascii(text), WIDTH)
            yield ""
        yield from _fitting(group, table.baseline)
        yield ""
    for text in _tail(decision, table):
        yield from wrapped(to_ascii(text), WIDTH)
    yield ""
    yield from wrapped(to_ascii(_provenance(decision)), WIDTH)
    yield to_ascii(f"  {command}")


def markdown_lines(decision: Decision, table: ComparisonTable, command: str) -> Iterator[str]:
    """
    Write a decision as Markdown.

    Parameters
    ----------
    decision, table, command : Decision, ComparisonTable, str
        As for `mail_lines`.

    Yields
    ------
    str
        A line without its end.
    """
    for text in _head(decision):
        yield text
        yield ""
    for text, group in _groups(decision, table):
        if text:
            yield text
            yield ""
        head, *rows = ([cell.strip() for cell in row] for row in compact_cells(group, table.baseline))
        yield _piped(head)
        yield _piped(["---", *["---:"] * (len(head) - 1)])
        for name, *cells in rows:
            yield _piped([f"`{name}`", *cells])
        yield ""
    for text in _tail(decision, table):
        yield f"* {text}"
    yield ""
    yield _provenance(decision)
    yield ""
    yield from ("```sh", command, "```")


def _head(decision: Decision) -> Iterator[str]:
    if (banner := unfinished(decision)) is not None:
        yield banner
    yield headline(decision)


def _groups(decision: Decision, table: ComparisonTable) -> Iterator[tuple[str, ComparedGroup]]:
    # What is said above a table, and the table. The only group's sentence is the headline.
    for group, compared in zip(decision.groups[:_MAX_GROUPS], table.groups, strict=False):
        own = [] if len(decision.groups) == 1 else [sentence(decision, group)]
        yield " ".join([*own, *notes(decision, group)]), _of_interest(group, compared)


def _of_interest(group: DecidedGroup, compared: ComparedGroup) -> ComparedGroup:
    # Whoever is best for some worth, or as good as the answer; all if they are few, or if that is the baseline alone.
    if len({one.policy for one in compared.comparisons}) <= _FEW:
        return compared
    names = {group.answer.policy, *group.answer.as_good, *(one.best for one in group.priced[0].ranges)}
    kept = tuple(one for one in compared.comparisons if one.policy in names)
    return replace(compared, comparisons=kept or compared.comparisons)


def _tail(decision: Decision, table: ComparisonTable) -> Iterator[str]:
    if (n_more := len(decision.groups) - _MAX_GROUPS) > 0:
        yield f"{n_more:,} more groups are not shown: gmemgpu decide DIR has their sentences."
    first = table.groups[0].comparisons
    n_policies = len({one.policy for one in first})
    held = ""
    if n_policies > _FEW:
        held = (
            f"Tables hold policies that some worth makes best, and those as good as the answer, of {n_policies} that "
            f"were held against {table.baseline}. "
        )
    yield (
        f"{held}Below the line of {table.baseline}: differences to it on the same traces, ± half of the 95 % interval "
        f"over seeds (of never: of medians). ?: not told apart at {100 * LEVEL:.0f} % over {len(first)} comparisons "
        "(Holm); =: the same in every seed."
    )
    yield from assumptions(decision)


def _provenance(decision: Decision) -> str:
    found = decision.provenance
    seeds = found.seeds
    consecutive = len(seeds) > 1 and seeds == tuple(range(seeds[0], seeds[-1] + 1))
    told = f"{seeds[0]} to {seeds[-1]}" if consecutive else ", ".join(map(str, seeds))
    return f"gmemgpu {found.version}, model {found.model}, sweep {decision.name} {found.sweep_id[:12]}, seeds {told}:"


def _piped(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _fitting(group: ComparedGroup, baseline: str) -> list[str]:
    # Columns drop out from the right until lines are narrow enough; the last one stays whatever its width.
    keys = list(dict.fromkeys(one.quantity.key for one in group.comparisons))
    dropped: list[str] = []
    while True:
        kept = tuple(one for one in group.comparisons if one.quantity.key in keys)
        cells = compact_cells(replace(group, comparisons=kept), baseline)
        rows = [[to_ascii(cell) for cell in row] for row in cells]
        lines = columns_lines(rows, left=(0,), gap=" ")
        if max(map(len, lines)) <= WIDTH or len(keys) == 1:
            break
        dropped.insert(0, keys.pop())
    note = [f"(left out for want of room: {', '.join(dropped)})"] if dropped else []
    return list(chain(lines, note))
