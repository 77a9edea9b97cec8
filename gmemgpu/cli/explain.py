"""``gmemgpu explain``: what a policy did on a trace, in words, and why."""

from __future__ import annotations

import argparse
import sys

from gmemgpu.cli.recorded_run import add_run_arguments, chosen_regions, chosen_time, heading, print_lines, recorded_runs
from gmemgpu.errors import Problem, SpecError

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``gmemgpu explain``."""
    add_run_arguments(parser)
    parser.add_argument("--region", metavar="R", help="the life of one region, by its number")
    parser.add_argument("--time", metavar="TIME", help='what goes on at a time, as in "10 s"')
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--all", action="store_true", help="leave nothing out")
    form.add_argument("--json", action="store_true", help="write JSON, whole: requests, passes, visits, episodes")


def run(arguments: argparse.Namespace) -> int:
    """Describe the run; 0 if that went well."""
    (record,) = recorded_runs(arguments, 1)
    if record.policy.is_oracle:
        raise SpecError(Problem("--policy", "the oracle is a bound, which requests and runs nothing; name a policy"))
    first, stop = chosen_regions(arguments.region, record)
    if arguments.region is not None and stop != first + 1:
        raise SpecError(Problem("--region", f'"{arguments.region}" are several; explain tells the life of one'))
    t_ns = None
    if arguments.time is not None:
        horizon_ns = record.prepared.horizon_ns
        t_ns = min(chosen_time("--time", arguments.time, horizon_ns, 0), horizon_ns - 1)
    region = None if arguments.region is None else first
    if arguments.json:
        from gmemgpu.explain.run_json import write_run

        write_run(record, sys.stdout, region=region, t_ns=t_ns)
        return 0
    from gmemgpu.explain.region_text import region_lines
    from gmemgpu.explain.run_text import moment_lines, run_lines

    if region is not None:
        lines = region_lines(record, region, t_ns=t_ns, whole=arguments.all)
    elif t_ns is not None:
        lines = moment_lines(record, t_ns)
    else:
        lines = run_lines(record, whole=arguments.all)
    print_lines([*heading(arguments.trace, record), *lines])
    return 0
