"""A decision for programs: JSON with every range, switch point and lead in full."""

from __future__ import annotations

import json
import math
from typing import Any

from gmemgpu.decision.answer import Answer
from gmemgpu.decision.decision import DecidedGroup, Decision
from gmemgpu.decision.overall import Regret
from gmemgpu.decision.ranges import Range
from gmemgpu.decision.sentence import assumptions, group_name, headline, notes, sentence
from gmemgpu.decision.weighing import Weighed
from gmemgpu.report.paired import Difference

__all__ = ["decision_json", "decision_object"]


def decision_json(decision: Decision) -> str:
    """
    Write a decision as JSON.

    Parameters
    ----------
    decision : Decision
        What to write.

    Returns
    -------
    str
        The object of `decision_object`.
    """
    return json.dumps(decision_object(decision), ensure_ascii=False, allow_nan=False, indent=1)


def decision_object(decision: Decision) -> dict[str, Any]:
    """
    Return a decision as plain values.

    Parameters
    ----------
    decision : Decision
        What to write.

    Returns
    -------
    dict
        JSON-ready. Worths are in the cost's unit for each GiB·h (GiB for the longest pass), leads in ``lead_unit``;
        null where there is no end, no interval or nothing.
    """
    kind = decision.kind
    return {
        "name": decision.name,
        "baseline": decision.baseline,
        "cost": kind.key,
        "worth_unit": f"{kind.unit} per {kind.per}",
        "lead_unit": kind.lead_unit,
        "worth": decision.worth,
        "worth_share": decision.share,
        "parts": decision.n_parts,
        "parts_done": decision.n_parts_done,
        "sentence": headline(decision),
        "assumptions": list(assumptions(decision)),
        "groups": [_group(decision, group) for group in decision.groups],
        "axes": [
            {
                "axis": axis.name,
                "stays": axis.stays,
                "span": axis.span,
                "values": [{"value": one.value, **_answer(one.answer)} for one in axis.values],
            }
            for axis in decision.axes
        ],
        "minimax": [
            {
                "price_ns": one.price_ns,
                "unit": kind.regret_unit or "share of the host's CPU",
                "best": _regret(decision, one.best),
                "baseline": _regret(decision, one.baseline),
            }
            for one in decision.minimax
        ],
    }


def _finite(figure: float) -> float | None:
    return figure if math.isfinite(figure) else None


def _difference(found: Difference | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "mean": found.difference,
        "low": found.low,
        "high": found.high,
        "p": found.p,
        "n": found.n,
    }


def _regret(decision: Decision, found: Regret) -> dict[str, Any]:
    return {
        "policy": found.policy,
        "regret": found.regret,
        "group": group_name(decision.groups[found.group].weighed),
    }


def _answer(answer: Answer) -> dict[str, Any]:
    low, high = answer.worths or (None, None)
    return {
        "worth": answer.worth,
        "finding": answer.finding,
        "policy": answer.policy,
        "lead": _difference(answer.lead),
        "of_stake": _finite(answer.of_stake),
        "seeds_agree": answer.n_agree,
        "worth_from": low,
        "worth_to": None if high is None else _finite(high),
        "as_good": list(answer.as_good),
        "further": answer.further,
        "up_to_ns": answer.up_to_ns,
        "seeds_needed": answer.seeds,
        "at_most": answer.at_most,
    }


def _range(group: Weighed, one: Range) -> dict[str, Any]:
    low, high = one.low_ends or (None, None)
    return {
        "worth_from": one.low,
        "worth_to": _finite(one.high),
        "share_from": one.low / group.whole_worth if group.kind.is_cpu else None,
        "worth_from_low": low,
        "worth_from_high": None if high is None else _finite(high),
        "best": one.best,
        "alike": list(one.alike),
        "at": one.at,
        "second": one.second,
        "lead": _difference(one.lead),
        "over_baseline": _difference(one.over_baseline),
        "seeds_agree": one.n_agree,
    }


def _group(decision: Decision, group: DecidedGroup) -> dict[str, Any]:
    weighed, conditions = group.weighed, group.conditions
    return {
        "group": weighed.keys,
        "scenarios": weighed.n_scenarios,
        "seeds": weighed.n_seeds,
        "presets": list(conditions.presets),
        "cores": list(conditions.cores),
        "present_bytes": list(conditions.present_bytes),
        "counted_ns": list(conditions.counted_ns),
        "admitted": conditions.admitted,
        "rejected": conditions.rejected,
        "in_use": weighed.in_use,
        "bound": weighed.bound,
        "whole_worth": _finite(weighed.whole_worth),
        "sentence": sentence(decision, group),
        "notes": list(notes(decision, group)),
        "answer": _answer(group.answer),
        "prices": [
            {"price_ns": priced.price_ns, "ranges": [_range(weighed, one) for one in priced.ranges]}
            for priced in group.priced
        ],
        "dominated": [
            {"policy": one.policy, "by": one.by, "seeds": one.n_seeds, "up_to_ns": one.up_to_ns}
            for one in group.dominated
        ],
    }
