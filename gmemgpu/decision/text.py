"""A decision as plain text: sentences first, then what is best for every worth, what is dominated, what flips it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby

from gmemgpu.decision.decision import DecidedGroup, Decision
from gmemgpu.decision.figures import ends_text, figure_text, lead_text, share_text
from gmemgpu.decision.overall import Axis
from gmemgpu.decision.ranges import Range
from gmemgpu.decision.sentence import assumptions, group_name, headline, notes, regret_text, sentence, worth_asked
from gmemgpu.decision.weighing import PRICES_NS
from gmemgpu.report.paired import LEVEL, Difference

__all__ = ["decision_lines", "unfinished", "range_rows", "columns_lines", "wrapped"]

_TIED = "\xa0"
"""No line breaks at this blank."""

_MAX_GROUPS = 12
_MAX_VALUES = 12
"""Nobody reads more tables, or more lines of one; JSON has all."""

_NOTHING = 1e-6
"""Of what is at stake: a lead for which nobody would choose one policy over another."""


def wrapped(text: str, width: int, head: str = "") -> list[str]:
    """
    Cut text into lines, between words only, and never before a per cent sign.

    Parameters
    ----------
    text : str
        What to break.
    width : int
        Columns that a line may take; longer words break out.
    head : str
        Before the text; further lines are indented by two blanks then.

    Returns
    -------
    list of str
        Lines without their ends.
    """
    lines = textwrap.wrap(
        text.replace(" %", f"{_TIED}%"),
        width,
        initial_indent=head,
        subsequent_indent="  " if head else "",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(_TIED, " ") for line in lines]


def columns_lines(rows: Sequence[Sequence[str]], left: Sequence[int] = (), gap: str = "  ") -> list[str]:
    """
    Write cells in columns.

    Parameters
    ----------
    rows : sequence of sequence of str
        Lines of equally many cells.
    left : sequence of int
        Columns that are flush left; others are flush right.
    gap : str
        Between columns.

    Returns
    -------
    list of str
        Lines without trailing blanks.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        gap.join(
            cell.ljust(size) if i in left else cell.rjust(size)
            for i, (cell, size) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def unfinished(decision: Decision) -> str | None:
    """
    Return what is missing of a sweep.

    Parameters
    ----------
    decision : Decision
        The whole.

    Returns
    -------
    str or None
        None if it is finished.
    """
    n_parts, n_done = decision.n_parts, decision.n_parts_done
    if n_done >= n_parts:
        return None
    seeds = {group.weighed.n_seeds for group in decision.groups}
    span = f"{min(seeds)}" if len(seeds) == 1 else f"{min(seeds)} to {max(seeds)}"
    return (
        f"NOT FINISHED: {n_done:,} of {n_parts:,} parts ({100 * n_done / n_parts:.0f} %), {span} of "
        f"{len(decision.provenance.seeds)} seeds in each group that has any. The rest may change all of this; run the "
        "sweep again to go on."
    )


def range_rows(group: DecidedGroup, ranges: Sequence[Range]) -> list[list[str]]:
    """
    Write what is best for every worth, a row a range.

    Parameters
    ----------
    group : DecidedGroup
        The group.
    ranges : sequence of Range
        Of one price.

    Returns
    -------
    list of list of str
        Worth, its interval, best, lead over the second, the second, seeds that agree.
    """
    return [
        [
            figure_text(one.low),
            "" if one.low_ends is None else ends_text(one.low_ends),
            one.best if not one.alike else f"{one.best} ={len(one.alike)}",
            "" if one.lead is None else _lead(one.lead, group.weighed.per_day * one.at * group.weighed.in_use),
            one.second or "",
            f"{one.n_agree}/{group.weighed.n_seeds}",
        ]
        for one in ranges
    ]


def _lead(lead: Difference, stake: float) -> str:
    if abs(lead.difference) <= _NOTHING * stake:
        return "~0  "
    told = lead.p is not None and lead.p <= LEVEL
    return f"{figure_text(max(lead.difference, 0.0))} {' ' if told else '?'}"


def _fitting(head: list[str], group: DecidedGroup, width: int) -> Iterator[str]:
    # Columns go where they do not fit, by name: a line that a terminal breaks is no table.
    rows = [head, *range_rows(group, group.priced[0].ranges)]
    left_out: list[str] = []
    for name in ("over", "95 %", "seeds", None):
        lines = columns_lines(rows, left=[i for i, cell in enumerate(rows[0]) if cell in ("best", "over")])
        if name is None or max(map(len, lines)) <= width:
            break
        place = rows[0].index(name)
        rows = [[*row[:place], *row[place + 1 :]] for row in rows]
        left_out.append(name)
    yield from lines
    if left_out:
        yield from wrapped(f"left out for want of room: {', '.join(left_out)}", width)


def _ranges(decision: Decision, group: DecidedGroup, width: int) -> Iterator[str]:
    kind = decision.kind
    unit = f"{kind.unit} per {kind.per}"
    if kind.is_cpu:
        unit += f" ({figure_text(group.weighed.whole_worth / 100)} is 1 % of CPU)"
    yield from wrapped(
        f"worth in {unit}, lead in {kind.lead_unit}{', trackers free' if group.weighed.has_trackers else ''}:", width
    )
    yield from _fitting(["from", "95 %", "best", "lead  ", "over", "seeds"], group, width)
    for priced in group.priced[1:]:
        chain = ", ".join(
            one.best if not place else f"from {figure_text(one.low)} {one.best}"
            for place, one in enumerate(priced.ranges)
        )
        yield from wrapped(chain, width, f"{priced.price_ns:g} ns an update: ")


def _dominated(group: DecidedGroup, width: int) -> Iterator[str]:
    if not group.dominated:
        return
    n_seeds = group.weighed.n_seeds
    by: dict[str, list[str]] = {}
    for one in group.dominated:
        text = one.policy
        if one.n_seeds < n_seeds:
            text += f" ({one.n_seeds}/{n_seeds})"
        if group.weighed.has_trackers and one.up_to_ns < PRICES_NS[-1]:
            text += f" [{one.up_to_ns:g} ns]"
        by.setdefault(one.by, []).append(text)
    chain = "; ".join(f"{', '.join(names)} by {name}" for name, names in by.items())
    yield from wrapped(chain, width, "dominated: ")


def _axis(axis: Axis, baseline: str, width: int) -> Iterator[str]:
    stays = axis.stays
    verdict = f"{stays} is best, or as good, at all values" if stays else "flips the choice"
    least, most = (figure_text(end(one.lead for one in axis.values)) for end in (min, max))
    yield from wrapped(f"{verdict}; lead over {baseline} {least} to {most}", width, f"{axis.name}: ")
    rows = []
    for one in axis.values[:_MAX_VALUES]:
        answer = one.answer
        lead = "0" if answer.lead is None else lead_text(answer.lead)
        mark = "?" if answer.finding == "can't tell" else ""
        stake = share_text(answer.of_stake) if answer.of_stake <= 1 else "> 100 %"
        rows.append([f"  {one.value}", f"{answer.policy} {mark}".rstrip(), lead, stake])
    head = ["", "best", "lead", "of the stake"]
    yield from columns_lines([head, *rows], left=(0, 1))
    if len(axis.values) > _MAX_VALUES:
        yield f"  … {len(axis.values) - _MAX_VALUES:,} more values; --json has all"


def decision_lines(decision: Decision, width: int = 80) -> Iterator[str]:
    """
    Write a decision.

    Parameters
    ----------
    decision : Decision
        What to write.
    width : int
        Columns that a line may take; tables with long names break out.

    Yields
    ------
    str
        A line without its end.
    """
    if (banner := unfinished(decision)) is not None:
        yield from wrapped(banner, width)
        yield ""
    several = len(decision.groups) > 1
    if several:
        yield from wrapped(headline(decision), width)
        yield ""
    for group in decision.groups[:_MAX_GROUPS]:
        yield from wrapped(sentence(decision, group), width)
        if told := " ".join(notes(decision, group)):
            yield from wrapped(told, width)
        yield ""
        yield from _ranges(decision, group, width)
        yield from _dominated(group, width)
        yield ""
    if len(decision.groups) > _MAX_GROUPS:
        yield from wrapped(
            f"{len(decision.groups) - _MAX_GROUPS:,} more groups not shown: --json has all, --group-by puts scenarios "
            "together.",
            width,
        )
        yield ""
    if decision.axes:
        at = f"{worth_asked(decision)}, other axes pooled, leads in {decision.kind.lead_unit}"
        yield from wrapped(f"What flips the choice at {at}:", width)
        for axis in decision.axes:
            yield from _axis(axis, decision.baseline, width)
        yield ""
    yield from wrapped(_how_to_read(decision), width)
    yield from wrapped(" ".join(assumptions(decision)), width)
    if several:
        yield from _least_to_lose(decision, width)


def _how_to_read(decision: Decision) -> str:
    trackers = any(group.weighed.has_trackers for group in decision.groups)
    prices = " [N ns]: while an update of a tracker takes no more." if trackers else ""
    return (
        "from: the worth from which on a policy is best, on average over seeds; 95 %: where it and the one above are "
        "not told apart. lead: over the second best, at the worth of the sentence, and amid ranges that do not hold "
        "it; ?: one can't tell; seeds: in which it is best there; =N: N more come out the same. dominated: another has "
        f"no less profit for no more cost, in all seeds or in (n/N).{prices} What the sentences say of the baseline is "
        "tested on the same traces, at 5 % over all candidates. At stake: what set bits could save if all memory in "
        "use profited."
    )


def _least_to_lose(decision: Decision, width: int) -> Iterator[str]:
    # Prices at which the same policy has least to lose are told together.
    told = []
    for policy, same in groupby(decision.minimax, key=lambda one: one.best.policy):
        found = list(same)
        worst = max(found, key=lambda one: one.best.regret).best
        text = policy
        if len(decision.minimax) > 1:
            prices = dict.fromkeys(f"{one.price_ns:g}" for one in (found[0], found[-1]))
            text += f" at {' to '.join(prices)} ns an update"
        where = group_name(decision.groups[worst.group].weighed)
        regret = "best in each"
        if worst.regret:
            regret = f"at worst {regret_text(worst.regret, decision.kind)} behind, on {where}"
        told.append(f"{text} ({regret})")
    if told:
        yield ""
        yield from wrapped(f"Least to lose over the {len(decision.groups)} groups: {'; '.join(told)}.", width)
