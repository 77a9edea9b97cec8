"""``gmemgpu evaluate``: what policies cost and recover on one trace."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from typing import TYPE_CHECKING

from gmemgpu.cli.message import tell

if TYPE_CHECKING:
    from gmemgpu.metrics.table import MetricTable
    from gmemgpu.model.policy import Policy
    from gmemgpu.model.trace import Trace

__all__ = ["STRICT_HELP", "add_arguments", "add_policy_arguments", "run", "wanted_policies"]

STRICT_HELP = "refuse a policy whose requests can name nothing that its scope visits; else a warning tells of it"


def add_policy_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Declare the options that choose policies and costs.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Gets the options.
    """
    parser.add_argument(
        "--policy",
        nargs="+",
        action="extend",
        metavar="NAME",
        help="only these, by name, out of FILE and the package (default: all of FILE, or all of the package)",
    )
    parser.add_argument("--policies", metavar="FILE", help="TOML file with [[policy]] tables")
    parser.add_argument("--costs", metavar="FILE", help="TOML file with costs in ns, in place of the package's")
    parser.add_argument("--strict", action="store_true", help=STRICT_HELP)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``gmemgpu evaluate``."""
    parser.add_argument("trace", metavar="TRACE", help="trace file: .parquet, .csv or .csv.gz")
    add_policy_arguments(parser)
    parser.add_argument(
        "--backend", default="auto", metavar="B", help="auto, numpy, numba, reference or cupy (default: auto)"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="write JSON: one object a policy, every metric, in integers")
    form.add_argument(
        "--csv", action="store_true", help="write CSV: one line a policy, every metric an integer, no histogram"
    )


def wanted_policies(arguments: argparse.Namespace) -> tuple[Policy, ...]:
    """
    Return the policies that the options of `add_policy_arguments` name.

    Parameters
    ----------
    arguments : argparse.Namespace
        As parsed.

    Returns
    -------
    tuple of Policy
        In the order in which they were asked for.

    Raises
    ------
    SpecError
        If a name is unknown or the file is wrong.
    """
    from gmemgpu.catalogue import choose_policies, named_policies, read_policies

    own = read_policies(arguments.policies) if arguments.policies else ()
    if arguments.policy is None:
        return choose_policies(None, own or named_policies())
    return choose_policies(arguments.policy, (*own, *named_policies()), where="--policy")


def run(arguments: argparse.Namespace) -> int:
    """Evaluate and print; 0 if that went well."""
    from gmemgpu.api import evaluate, read_trace
    from gmemgpu.catalogue import read_costs
    from gmemgpu.engine.choice import choose_engine
    from gmemgpu.model.cost import Costs
    from gmemgpu.model.policy import ORACLE

    policies = wanted_policies(arguments)
    costs = read_costs(arguments.costs) if arguments.costs else Costs()
    trace = read_trace(arguments.trace)
    exact = arguments.json or arguments.csv
    # A table for people measures against the oracle, asked for or not.
    bound = () if exact or ORACLE in policies else (ORACLE,)
    wanted = (*policies, *bound)
    choice = choose_engine(arguments.backend, n_pairs=len(wanted), n_events=len(trace))
    if choice.reason is not None and not exact and sys.stderr.isatty():
        tell(f"backend {choice.engine.name} (auto: {choice.reason})")
    table = evaluate(trace, wanted, costs=costs, backend=arguments.backend, strict=arguments.strict)
    if arguments.json:
        print(json.dumps(table.rows(), indent=1, ensure_ascii=False))
    elif arguments.csv:
        from gmemgpu.report.export import csv_cell

        # A list is no cell.
        names = [name for name, values in table.columns.items() if not isinstance(values[0], list)]
        writer = csv.DictWriter(sys.stdout, names, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, "policy": csv_cell(row["policy"])} for row in table.rows())
    else:
        _print_rounded(arguments.trace, trace, table, len(policies))
    return 0


def _print_rounded(name: str, trace: Trace, table: MetricTable, n_shown: int) -> None:
    import numpy as np
    import pyarrow as pa

    from gmemgpu.cli.terminal import print_table
    from gmemgpu.metrics.columns import Columns
    from gmemgpu.metrics.quantity import TABLE_QUANTITIES
    from gmemgpu.model.policy import ORACLE
    from gmemgpu.report.estimate_text import estimate_text
    from gmemgpu.report.statistics import Estimate

    cores = pa.array([trace.host.cores] * len(table), pa.int64())
    of_trace = table.to_arrow().append_column("cores", cores)
    rows = Columns(of_trace.column, np.full(len(table), table["policy"].index(ORACLE.name)))
    cells = [
        [
            estimate_text(None if np.isnan(value) else Estimate(value, None, None, 1, "mean"), quantity.unit)
            for value in values.tolist()
        ]
        for quantity, values in ((quantity, quantity.values(rows)) for quantity in TABLE_QUANTITIES)
    ]
    lines = list(zip(table["policy"], *cells, strict=True))[:n_shown]
    headings = ["policy", *(quantity.header for quantity in TABLE_QUANTITIES)]
    print_table(headings, lines, title=name, right=range(1, len(headings)))
