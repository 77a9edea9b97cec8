"""The answer in words: one sentence with its conditions, and what belongs beside it; no more than the seeds carry."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gmemgpu.decision.answer import Answer
from gmemgpu.decision.conditions import Conditions, Provenance
from gmemgpu.decision.decision import DecidedGroup, Decision
from gmemgpu.decision.figures import (
    duration_text,
    figure_text,
    lead_text,
    listed,
    share_text,
    span_text,
    worth_text,
)
from gmemgpu.decision.weighing import PRICES_NS, CostKind, Weighed
from gmemgpu.report.paired import LEVEL

__all__ = ["sentence", "notes", "headline", "assumptions", "group_name", "policy_phrase", "regret_text"]

_APPLIED = ("merged", "v10")
"""What the kernel does: ``merged`` is what was applied, as far as its text says, and the tenth posting is the same."""

_HARDLY = 0.01
"""A lead of less than this share of what is at stake is told as what it is."""


def policy_phrase(policy: str) -> str:
    """
    Return how a sentence speaks of the baseline.

    Parameters
    ----------
    policy : str
        Its name.

    Returns
    -------
    str
        With what it is, where that is known.
    """
    return f"what the kernel does (`{policy}`)" if policy in _APPLIED else f"`{policy}`"


def group_name(group: Weighed) -> str:
    """
    Return what a group is called.

    Parameters
    ----------
    group : Weighed
        The group.

    Returns
    -------
    str
        Its label, or its keys with their values.
    """
    if list(group.keys) == ["label"]:
        return str(group.keys["label"])
    if list(group.keys) == ["preset"] and group.keys["preset"] in (None, ""):
        return "the VMs of a table"
    return ", ".join(f"{key}={'–' if value in (None, '') else value}" for key, value in group.keys.items())


def _conditions(group: DecidedGroup, provenance: Provenance) -> str:
    # What another reader would have to set to see the same.
    found: Conditions = group.conditions
    name = group_name(group.weighed)
    workload = [", ".join(found.presets)] if found.presets and [name] != [*found.presets] else []
    n_seeds = group.weighed.n_seeds
    cores = span_text(found.cores)
    host = f"{cores} core{'' if cores == '1' else 's'}, {span_text(found.present_bytes, of_bytes=True)}"
    scenarios = [f"{group.weighed.n_scenarios} scenarios"] if group.weighed.n_scenarios > 1 else []
    costs = "costs as fitted" if not provenance.other_costs else "costs of its own"
    seeds = f"{n_seeds} seed{'s' if n_seeds > 1 else ''}"
    free = ["trackers free"] if group.weighed.has_trackers else []
    return ", ".join([*workload, *scenarios, host, duration_text(found.counted_ns), seeds, costs, *free])


def worth_asked(decision: Decision) -> str:
    """
    Return the worth of a set bit that was asked for.

    Parameters
    ----------
    decision : Decision
        The whole.

    Returns
    -------
    str
        With its unit.
    """
    if decision.share is not None:
        return f"{100 * decision.share:g} % of CPU"
    return f"{decision.worth:g} {decision.kind.unit} per {decision.kind.per}"


def _where(group: DecidedGroup, answer: Answer, kind: CostKind) -> str:
    # At which worths the policy is ahead; both ends are those of what the seeds tell apart.
    low, high = answer.worths or (0.0, math.inf)
    whole = group.weighed.whole_worth
    high = math.inf if high >= whole else high

    def text(worth: float, more: str = "") -> str:
        beside = [f"{share_text(worth / whole)} of CPU"] if kind.is_cpu else []
        beside += [more] if more else []
        return worth_text(worth, kind) + (f" ({'; '.join(beside)})" if beside else "")

    beyond = "beyond it the seeds can't tell"
    if low == 0:
        return "at any worth" if math.isinf(high) else f"up to {text(high, beyond)}"
    if math.isinf(high):
        return f"from {text(low)} on"
    return f"from {figure_text(low)} to {text(high, beyond)}"


def sentence(decision: Decision, group: DecidedGroup) -> str:
    """
    Write the answer for a group.

    Parameters
    ----------
    decision : Decision
        The whole.
    group : DecidedGroup
        One of its groups.

    Returns
    -------
    str
        One sentence, with its conditions in brackets.
    """
    answer, kind = group.answer, decision.kind
    baseline = policy_phrase(decision.baseline)
    at = f"where a set bit is worth {worth_asked(decision)}"
    n_seeds = group.weighed.n_seeds
    agree = f"{answer.n_agree} of {n_seeds} seeds agree"
    name = f"On {group_name(group.weighed)} ({_conditions(group, decision.provenance)}), "
    if group.weighed.in_use <= 0:
        cheapest = group.priced[0].ranges[0].best
        return f"{name}no memory is in use that could profit, so nothing is to be won; `{cheapest}` costs least."
    if group.weighed.are_alike:
        return (
            f"{name}nothing tells the policies apart: all win as much and cost as much in every seed; let guests end "
            "within a longer horizon_ns, or choose among others."
        )
    if answer.finding == "nothing beats":
        if n_seeds == 1:
            return f"{name}nothing beats {baseline} {at}, as far as one seed says."
        if answer.at_most is None or answer.at_most <= 0:
            return f"{name}nothing beats {baseline} {at}; {agree}."
        if answer.at_most < _HARDLY:
            much = f"by as much as {100 * _HARDLY:g} % of what is at stake"
            return f"{name}nothing beats {baseline} {much} {at}; {agree}."
        room = f"room for a lead of up to {share_text(answer.at_most)} of what is at stake"
        return f"{name}nothing is ahead of {baseline} {at}; {agree}, but leave {room}."
    assert answer.lead is not None
    lead = f"{lead_text(answer.lead)} {kind.lead_unit}"
    # Of a policy that is ahead by what it does not cost, it says nothing.
    share = f", {share_text(answer.of_stake)} of what is at stake" if answer.of_stake <= 1 else ""
    if answer.finding == "can't tell":
        if n_seeds == 1:
            return f"{name}one seed tells nothing apart; in it `{answer.policy}` is {lead} ahead of {baseline} {at}."
        if answer.at_most is not None and answer.at_most < _HARDLY:
            return (
                f"{name}nothing beats {baseline} by as much as {100 * _HARDLY:g} % of what is at stake {at}; whether "
                f"`{answer.policy}` does by less one can't tell."
            )
        more = f"some {answer.seeds:,} seeds would" if answer.seeds else "no number of seeds would"
        if answer.n_agree == n_seeds and 2 * 0.5**n_seeds <= LEVEL / (len(group.weighed.policies) - 1):
            # By a sign test. Of a mean over so few and so skewed differences the interval may still reach below 0.
            return (
                f"{name}`{answer.policy}` is ahead of {baseline} {at} in {n_seeds} of {n_seeds} seeds, but one can't "
                f"tell by how much: {lead}; {more}."
            )
        return (
            f"{name}one can't tell whether anything beats {baseline} {at}: `{answer.policy}` is {lead} ahead, "
            f"in {answer.n_agree} of {n_seeds} seeds; {more}."
        )
    hardly = ", though hardly," if answer.of_stake < _HARDLY else ""
    return (
        f"{name}`{answer.policy}` beats {baseline}{hardly} {_where(group, answer, kind)}: by {lead}{share}, {at}; "
        f"{agree}."
    )


def notes(decision: Decision, group: DecidedGroup) -> Iterator[str]:
    """
    Write what belongs beside the answer for a group.

    Parameters
    ----------
    decision : Decision
        The whole.
    group : DecidedGroup
        One of its groups.

    Yields
    ------
    str
        Sentences.
    """
    answer = group.answer
    keys = decision.provenance.differing(answer.policy, decision.baseline)
    if len(keys) > 1:
        # Which of them it is that pays, this comparison does not say.
        yield f"`{answer.policy}` differs from `{decision.baseline}` in {listed(keys, len(keys))}."
    if answer.further is not None:
        yield f"`{answer.further}` is further ahead on average, but not told apart from `{decision.baseline}`."
    if answer.as_good:
        verb = "is" if len(answer.as_good) == 1 else "are"
        yield f"{listed(answer.as_good)} {verb} as good, to 1 %."
    weighed = group.weighed
    if answer.lead is not None and weighed.bound:
        own, base = (
            share_text(float(weighed.profit[weighed.policies.index(name)].mean()) / weighed.bound, 4)
            for name in (answer.policy, decision.baseline)
        )
        yield f"Of the profit of the bound `{answer.policy}` has {own}, `{decision.baseline}` {base}."
    if answer.up_to_ns is not None:
        highest = answer.up_to_ns
        if highest == PRICES_NS[-1]:
            yield f"That holds even if an update of its tracker takes {highest:g} ns."
        elif highest:
            next_ns = PRICES_NS[PRICES_NS.index(highest) + 1]
            yield f"That holds if an update of its tracker takes {highest:g} ns, not if {next_ns:g} ns."
        else:
            yield f"That holds only if an update of its tracker takes less than {PRICES_NS[1]:g} ns."
    if answer.worths and answer.worths[0] > 0:
        before = [one for one in group.priced[0].ranges if one.low < answer.worths[0] and one.best != answer.policy]
        if before:
            yield (
                f"For less, {listed(list(dict.fromkeys(one.best for one in before)))} are best."
                if len(before) > 1
                else f"For less, `{before[0].best}` is best."
            )
    rejected, admitted = group.conditions.rejected, group.conditions.admitted
    if rejected > 0.01 * (rejected + admitted):
        yield f"{rejected:,} of {rejected + admitted:,} VMs found no room: the load does not fit the host."


def regret_text(regret: float, kind: CostKind) -> str:
    """
    Write how far a policy is behind the best.

    Parameters
    ----------
    regret : float
        Of `gmemgpu.decision.overall.Regret`.
    kind : CostKind
        What was counted.

    Returns
    -------
    str
        With its unit.
    """
    if kind.regret_unit:
        return f"{figure_text(regret)} {kind.regret_unit}"
    return f"{share_text(regret)} of the host's CPU"


def headline(decision: Decision) -> str:
    """
    Write the answer over all groups.

    Parameters
    ----------
    decision : Decision
        The whole.

    Returns
    -------
    str
        One sentence; that of the group if there is one only.
    """
    if len(decision.groups) == 1 or not decision.minimax:
        return sentence(decision, decision.groups[0])
    kind, least = decision.kind, decision.minimax[0]
    n = len(decision.groups)
    groups = "both groups" if n == 2 else f"all {n} groups"
    at = f"where a set bit is worth {worth_asked(decision)}"
    worst = group_name(decision.groups[least.baseline.group].weighed)
    baseline = policy_phrase(decision.baseline)
    behind = f"{regret_text(least.baseline.regret, kind)} behind the best on {worst}"
    if least.best.policy == decision.baseline:
        return f"Over {groups} nothing has less to lose than {baseline} {at}: at worst it is {behind}."
    beats = [
        group_name(group.weighed)
        for group, answer in zip(decision.groups, decision.overall, strict=True)
        if answer.finding == "beats"
    ]
    own = (
        "is best in each"
        if least.best.regret == 0
        else f"is at worst {regret_text(least.best.regret, kind)} behind the best"
    )
    free = " and trackers are free" if len(decision.minimax) > 1 else ""
    told = "in each" if len(beats) == n else f"in {len(beats)} of {n}" if beats else "nowhere"
    return (
        f"Over {groups} `{least.best.policy}` has least to lose {at}{free}: it {own}, {baseline} is {behind}; "
        f"the seeds tell it apart as better {told}."
    )


def assumptions(decision: Decision) -> Iterator[str]:
    """
    Write what a reader must grant.

    Parameters
    ----------
    decision : Decision
        The whole.

    Yields
    ------
    str
        Sentences.
    """
    kind = decision.kind
    if kind.is_cpu:
        yield (
            "What a set bit is worth has never been published: it is counted in core-seconds saved for each GiB·h of "
            "memory in use that profits, and as a share of the CPU time of whoever uses that memory, if a host's cores "
            "are spread evenly over its memory."
        )
    else:
        yield (
            f"What a set bit is worth has never been published: it is counted in {kind.unit} that one would take "
            f"for each {kind.per} of memory in use that profits{'' if kind.adds_up else ', on average over time'}."
        )
    others = ", ".join(decision.provenance.other_costs)
    yield (
        f"Costs of RMPOPT are the sweep's own ({others}); the others are fitted to published whole-pass times."
        if others
        else "Costs of RMPOPT are fitted to published whole-pass times."
    )
    if any(group.weighed.has_trackers for group in decision.groups):
        yield "A tracker's updates cost nothing unless a price is named; none has been measured."
    yield "All of it is a model; nothing here was measured on a host."
