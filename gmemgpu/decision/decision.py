"""What a results directory says about which policy to take, for every worth of a set bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gmemgpu.decision.answer import Answer, answer_at
from gmemgpu.decision.conditions import CONDITION_COLUMNS, Conditions, Provenance, group_conditions, provenance_of
from gmemgpu.decision.overall import Axis, Minimax, axis_of, minimax_regret
from gmemgpu.decision.ranges import Dominated, Range, dominated, ranges_at_price
from gmemgpu.decision.weighing import COSTS, WEIGHED_COLUMNS, CostKind, Weighed, weighed_groups
from gmemgpu.errors import Problem, SpecError, StoreError
from gmemgpu.metrics.quantity import quantity_named
from gmemgpu.model import ORACLE_NAME
from gmemgpu.report.grouping import codes_of
from gmemgpu.report.samples import default_baseline
from gmemgpu.sweeping.store.read import StoredRows, read_rows
from gmemgpu.toml_file import unknown_key

__all__ = ["Priced", "DecidedGroup", "Decision", "decide", "decision_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """
    What is best for every worth, with trackers for a price.

    Parameters
    ----------
    price_ns : float
        Of an update.
    ranges : tuple of Range
        Ascending.
    """

    price_ns: float
    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecidedGroup:
    """
    The decision for the scenarios that agree in the grouping columns.

    Parameters
    ----------
    weighed : Weighed
        What it rests on.
    conditions : Conditions
        Under which.
    answer : Answer
        At the worth that was asked for.
    priced : tuple of Priced
        One for each of `Weighed.prices_ns`.
    dominated : tuple of Dominated
        What no worth makes best.
    """

    weighed: Weighed
    conditions: Conditions
    answer: Answer
    priced: tuple[Priced, ...]
    dominated: tuple[Dominated, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """
    Which policy to take.

    Parameters
    ----------
    name : str
        The sweep's.
    directory : Path
        It came from.
    baseline : str
        The policy that the others are held against.
    kind : CostKind
        What was counted as cost.
    worth, share : float or None
        Of a set bit, as it was asked for: in the kind's unit, or a share of CPU.
    n_parts, n_parts_done : int
        If they differ, it rests on a part of the sweep.
    provenance : Provenance
        Of the rows.
    groups : tuple of DecidedGroup
        One for each choice of the grouping columns.
    axes : tuple of Axis
        What each axis of the sweep does to the choice, the one that moves the lead most first.
    minimax : tuple of Minimax
        Which policy has least to lose over the groups, for each price of a tracker.
    overall : tuple of Answer
        Of that policy, with trackers for nothing, in each group; empty where there is one group only.
    """

    name: str
    directory: Path
    baseline: str
    kind: CostKind
    worth: float | None
    share: float | None
    n_parts: int
    n_parts_done: int
    provenance: Provenance
    groups: tuple[DecidedGroup, ...]
    axes: tuple[Axis, ...]
    minimax: tuple[Minimax, ...]
    overall: tuple[Answer, ...]


def decide(
    directory: str | Path,
    *,
    group_by: Sequence[str] = (),
    policies: Sequence[str] = (),
    baseline: str | None = None,
    cost: str = "core_s",
    worth: float | None = None,
    share: float | None = None,
) -> Decision:
    """
    Read a results directory and find which policy to take.

    Parameters
    ----------
    directory : str or Path
        Of a sweep; it may be unfinished.
    group_by : sequence of str
        ``label``, ``preset``, or axes; each scenario by itself if left out.
    policies : sequence of str
        Candidates; all if left out. The baseline is one, the oracle, which no kernel can have, never.
    baseline : str, optional
        As for `gmemgpu.report.comparison.comparison_table`.
    cost : {"core_s", "ipis", "longest_pass_ns"}
        What to count as cost; a header of `gmemgpu show` will do.
    worth : float, optional
        Of a set bit, for the answer: in units of cost for each GiB·h of memory in use that profits.
    share : float, optional
        The same as a share, 0 to 1, of the CPU time of whoever uses the memory, if the host's cores are spread evenly
        over its memory. If neither is given 0.001, or what `CostKind.usual_worth` says.

    Returns
    -------
    Decision
        Of what the directory holds now.

    Raises
    ------
    StoreError
        If it holds no sweep, or no finished part.
    SpecError
        If a name is unknown, a figure has no meaning, or there is no policy to choose from; lists every problem.
    """
    head = read_rows(directory, ["policy"])
    columns = ["label", "preset", *head.axes, "seed", "policy", *WEIGHED_COLUMNS, *CONDITION_COLUMNS]
    stored = read_rows(directory, list(dict.fromkeys(columns)))
    if missing := sorted(set(columns) - set(stored.table.column_names)):
        raise StoreError(
            f"{directory}: its rows say nothing of {', '.join(missing)}; an earlier gmemgpu wrote them: run the sweep "
            "again into another directory"
        )
    return decision_of(
        stored,
        Path(directory),
        provenance_of(directory),
        group_by=group_by,
        policies=policies,
        baseline=baseline,
        cost=cost,
        worth=worth,
        share=share,
    )


def decision_of(
    stored: StoredRows,
    directory: Path,
    provenance: Provenance,
    *,
    group_by: Sequence[str] = (),
    policies: Sequence[str] = (),
    baseline: str | None = None,
    cost: str = "core_s",
    worth: float | None = None,
    share: float | None = None,
) -> Decision:
    """
    Find which policy to take by a store's rows.

    Parameters
    ----------
    stored : StoredRows
        With `WEIGHED_COLUMNS` and `CONDITION_COLUMNS`.
    directory : Path
        They came from.
    provenance : Provenance
        Theirs.
    group_by, policies, baseline, cost, worth, share : sequence of str, str, float
        As for `decide`.

    Returns
    -------
    Decision
        A group for each choice of the grouping columns.

    Raises
    ------
    SpecError
        As `decide` does.
    """
    _, names = codes_of(stored.table["policy"])
    baseline = baseline or default_baseline([name for name in names if name != ORACLE_NAME] or names)
    cost = found.key if (found := quantity_named(cost)) else cost
    _check(stored, names, group_by, policies, baseline, cost, worth, share)
    group_by = tuple(group_by) or ("label",)
    kind = COSTS[cost]
    if worth is None and share is None:
        worth, share = (None, kind.usual_worth) if kind.is_cpu else (kind.usual_worth, None)
    others = [name for name in policies or names if name not in (baseline, ORACLE_NAME)]
    candidates = [baseline, *dict.fromkeys(others)]

    def worth_of(group: Weighed) -> float:
        if worth is not None:
            return worth
        return (share or 0.0) * group.whole_worth

    def weighed(columns: Sequence[str]) -> list[Weighed]:
        return weighed_groups(stored, kind, candidates, ORACLE_NAME, columns)

    groups = weighed(group_by)
    axes = [axis_of(name, weighed([name]), worth_of) for name in stored.axes]
    minimax = minimax_regret(groups, worth_of)
    overall: list[Answer] = []
    if len(groups) > 1 and minimax:
        least, n_tests = minimax[0].best.policy, len(others) * len(groups)
        overall = [answer_at(group, worth_of(group), policy=least, n_tests=n_tests) for group in groups]
    return Decision(
        name=stored.name,
        directory=directory,
        baseline=baseline,
        kind=kind,
        worth=worth,
        share=share,
        n_parts=stored.n_parts,
        n_parts_done=stored.n_parts_done,
        provenance=provenance,
        groups=tuple(
            DecidedGroup(
                weighed=group,
                conditions=conditions,
                answer=answer_at(group, worth_of(group)),
                priced=tuple(
                    Priced(price_ns=price, ranges=ranges_at_price(group, price, worth_of(group)))
                    for price in group.prices_ns
                ),
                dominated=dominated(group),
            )
            for group, conditions in zip(groups, group_conditions(stored, group_by), strict=True)
        ),
        axes=tuple(sorted((axis for axis in axes if axis is not None), key=lambda axis: -axis.span)),
        minimax=minimax,
        overall=tuple(overall),
    )


def _check(
    stored: StoredRows,
    names: Sequence[str],
    group_by: Sequence[str],
    policies: Sequence[str],
    baseline: str,
    cost: str,
    worth: float | None,
    share: float | None,
) -> None:
    columns = ("label", "preset", *stored.axes)
    asked: list[tuple[str, str, Sequence[Any]]] = [("--baseline", baseline, names)] if baseline not in names else []
    asked += [("--group-by", name, columns) for name in group_by if name not in columns]
    asked += [("--policy", name, names) for name in policies if name not in names]
    asked += [("--cost", cost, list(COSTS))] if cost not in COSTS else []
    problems = [Problem(option, f'"{name}": {unknown_key(name, known, "name")}') for option, name, known in asked]
    bounds = [("--baseline", baseline), *(("--policy", name) for name in policies)]
    problems += [
        Problem(option, f'"{name}" is the bound of what a policy can do, and none to choose; leave it out')
        for option, name in bounds
        if name == ORACLE_NAME
    ]
    for figure in (worth, share):
        if figure is not None and not 0 < figure < float("inf"):
            problems.append(Problem("--worth", f"{figure:g} is no worth of a set bit; give a positive figure"))
    if share is not None and (share > 1 or (cost in COSTS and not COSTS[cost].is_cpu)):
        text = "is more than all CPU" if share > 1 else f"is a share of CPU, and {cost} is no CPU time; leave out the %"
        problems.append(Problem("--worth", f"{100 * share:g} % {text}"))
    if not problems and not [name for name in policies or names if name not in (baseline, ORACLE_NAME)]:
        problems.append(Problem("--policy", f'"{baseline}" is the only one; there is nothing to choose from'))
    if problems:
        raise SpecError(problems)
