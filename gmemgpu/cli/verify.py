"""``gmemgpu verify``: every engine that runs here, on the same traces; all integers must agree."""

from __future__ import annotations

import argparse
import json
from typing import Any

from gmemgpu.cli.evaluate import add_policy_arguments, wanted_policies

__all__ = ["add_arguments", "run"]

_SHOWN = 20
"""Differences printed for a trace; all of them are counted, and in the JSON."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``gmemgpu verify``."""
    parser.add_argument("traces", metavar="TRACE", nargs="+", help="trace files: .parquet, .csv or .csv.gz")
    add_policy_arguments(parser)
    parser.add_argument("--json", action="store_true", help="write JSON: engines, and every difference")


def run(arguments: argparse.Namespace) -> int:
    """Compare and report; 0 if all integers agree, 1 if not."""
    from gmemgpu.api import read_trace
    from gmemgpu.catalogue import read_costs, tell_doubts
    from gmemgpu.engine.registry import missing_engines
    from gmemgpu.engine.verify import verify
    from gmemgpu.model.cost import Costs

    policies = wanted_policies(arguments)
    tell_doubts(policies, "policies", strict=arguments.strict)
    costs = read_costs(arguments.costs) if arguments.costs else Costs()
    reports: list[dict[str, Any]] = []
    for path in arguments.traces:
        found = verify(read_trace(path), policies, costs)
        reports.append(
            {
                "trace": path,
                "events": found.n_events,
                "policies": len(policies),
                "engines": list(found.engines),
                "compared": found.n_compared,
                "equal": not found.differences,
                "differences": [
                    {"policy": item.policy, "metric": item.metric, "values": item.values} for item in found.differences
                ],
            }
        )
        if not arguments.json:
            _print(reports[-1])
    missing = missing_engines()
    if arguments.json:
        print(json.dumps({"missing": missing, "traces": reports}, indent=1, ensure_ascii=False))
    else:
        for name, reason in missing.items():
            print(f"not run: {name}: {reason}")
    return 0 if all(report["equal"] for report in reports) else 1


def _print(report: dict[str, Any]) -> None:
    engines = ", ".join(report["engines"])
    what = f"{report['events']:,} events, {report['policies']} policies; engines {engines}"
    if len(report["engines"]) < 2:
        print(f"{report['trace']}: nothing to compare: only one engine runs here ({engines})")
    elif report["equal"]:
        print(f"{report['trace']}: equal: {report['compared']:,} integers, {what}", flush=True)
    else:
        differences = report["differences"]
        print(f"{report['trace']}: DIFFERENT: {len(differences):,} of {report['compared']:,} integers, {what}")
        for item in differences[:_SHOWN]:
            values = ", ".join(f"{name} {value}" for name, value in item["values"].items())
            print(f"  {item['policy']}, {item['metric']}: {values}")
        if len(differences) > _SHOWN:
            print(f"  … and {len(differences) - _SHOWN:,} more; --json has them all", flush=True)
