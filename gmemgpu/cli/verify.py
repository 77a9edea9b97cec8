"""``gmemgpu verify``: the engines that run here, on the same traces; all integers must agree."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

from gmemgpu.cli.evaluate import add_policy_arguments, wanted_policies

__all__ = ["add_arguments", "run"]

_SHOWN = 20
"""Differences printed for a trace; all of them are counted, and in the JSON."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``gmemgpu verify``."""
    parser.add_argument("traces", metavar="TRACE", nargs="+", help="trace files: .parquet, .csv or .csv.gz")
    add_policy_arguments(parser)
    parser.add_argument(
        "--backend",
        nargs="+",
        metavar="B",
        help="only these: reference, numpy, numba or cupy (default: all that run here)",
    )
    parser.add_argument("--json", action="store_true", help="write JSON: engines, and every difference")


def run(arguments: argparse.Namespace) -> int:
    """Compare and report; 0 if all integers agree, 1 if not."""
    from gmemgpu.api import read_trace
    from gmemgpu.catalogue import read_costs, tell_doubts
    from gmemgpu.engine.registry import engine, missing_engines
    from gmemgpu.engine.verify import verify
    from gmemgpu.model.cost import Costs

    policies = wanted_policies(arguments)
    tell_doubts(policies, "policies", strict=arguments.strict)
    costs = read_costs(arguments.costs) if arguments.costs else Costs()
    engines = None if arguments.backend is None else [engine(name) for name in dict.fromkeys(arguments.backend)]
    reports: list[dict[str, Any]] = []
    for path in arguments.traces:
        found = verify(read_trace(path), policies, costs, engines=engines)
        reports.append(
            {
                "trace": path,
                "events": found.n_events,
                "policies": len(policies),
                "engines": list(found.engines),
                "compared": found.n_compared,
                "states": found.n_states,
                "equal": not (found.differences or found.state_differences),
                "differences": [
                    {"policy": item.policy, "metric": item.metric, "values": item.values} for item in found.differences
                ],
                "state_differences": [asdict(item) for item in found.state_differences],
            }
        )
        if not arguments.json:
            _print(reports[-1])
    missing = missing_engines() if engines is None else {}
    if arguments.json:
        print(json.dumps({"missing": missing, "traces": reports}, indent=1, ensure_ascii=False))
    else:
        for name, reason in missing.items():
            print(f"not run: {name}: {reason}")
    return 0 if all(report["equal"] for report in reports) else 1


def _print(report: dict[str, Any]) -> None:
    engines = ", ".join(report["engines"])
    what = f"{report['events']:,} events, {report['policies']} policies; engines {engines}"
    states = f"{report['states']:,} states of regions in images of the RMP"
    if report["equal"]:
        compared = f"{report['compared']:,} integers"
        if len(report["engines"]) < 2:
            compared = "no integers to compare, as only one engine ran"
        print(f"{report['trace']}: equal: {compared}, {states}, {what}", flush=True)
        return
    differences, of_states = report["differences"], report["state_differences"]
    counts = f"{len(differences):,} of {report['compared']:,} integers, {len(of_states):,} of {states}"
    print(f"{report['trace']}: DIFFERENT: {counts}, {what}")
    lines = [(f"{item['policy']}, {item['metric']}", item["values"]) for item in differences]
    lines += [(f"region {item['region']} at {item['t_ns']} ns, {item['state']}", item["values"]) for item in of_states]
    for name, values in lines[:_SHOWN]:
        print(f"  {name}: {', '.join(f'{by} {value}' for by, value in values.items())}")
    if len(lines) > _SHOWN:
        print(f"  … and {len(lines) - _SHOWN:,} more; --json has them all", flush=True)
