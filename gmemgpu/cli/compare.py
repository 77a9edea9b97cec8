"""``gmemgpu compare``: which free episodes one policy caught and another missed on a trace, and why."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from gmemgpu.cli.recorded_run import add_run_arguments, print_lines, recorded_runs

if TYPE_CHECKING:
    from gmemgpu.explain.record import RunRecord
    from gmemgpu.explain.run_comparison import MissedAlone, RunComparison

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``gmemgpu compare``."""
    add_run_arguments(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--all", action="store_true", help="every episode that one missed, not the worst of each reason")
    form.add_argument("--json", action="store_true", help="write JSON, every such episode in it")


def run(arguments: argparse.Namespace) -> int:
    """Compare; 0 if that went well."""
    first, second = recorded_runs(arguments, 2)
    from gmemgpu.explain.duration import span_text
    from gmemgpu.explain.run_comparison import compare_runs
    from gmemgpu.explain.run_comparison_text import comparison_lines

    found = compare_runs(first, second)
    if arguments.json:
        print(json.dumps(_json(found), indent=1))
        return 0
    length = span_text(first.prepared.horizon_ns)
    title = f"{arguments.trace}: {first.policy.name} against {second.policy.name}, {length}"
    print_lines([title, "", *comparison_lines(found, whole=arguments.all)])
    return 0


def _json(found: RunComparison) -> dict[str, Any]:
    from gmemgpu.explain.episode_fate import episode_counts

    runs = [
        {
            "policy": record.policy.name,
            **{fate.name.lower(): n for fate, n in episode_counts(record).items()},
            "optimized_ns": optimized_ns,
            "missed_alone": _missed(alone, record, other),
        }
        for record, other, alone, optimized_ns in (
            (found.first, found.second, found.missed_by_first, found.optimized_ns[0]),
            (found.second, found.first, found.missed_by_second, found.optimized_ns[1]),
        )
    ]
    both = {name: getattr(found, name) for name in ("n_both", "n_neither", "n_later", "n_earlier")}
    return {"runs": runs, **both, "later_ns": found.later_ns, "earlier_ns": found.earlier_ns}


def _missed(alone: MissedAlone, record: RunRecord, other: RunRecord) -> list[dict[str, Any]]:
    episodes = record.episodes
    return [
        {
            **{name: int(getattr(episodes, name)[e]) for name in ("region", "begin_ns", "end_ns")},
            "set_by_other_ns": int(other.episodes.set_ns[e]),
            "lost_ns": lost_ns,
            "reason": miss.reason.name.lower(),
            "pass": miss.scan_pass,
            "request": miss.request,
        }
        for e, lost_ns, miss in zip(alone.episode.tolist(), alone.lost_ns.tolist(), alone.miss, strict=True)
    ]
