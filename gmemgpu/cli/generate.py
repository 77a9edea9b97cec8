"""``gmemgpu generate``: make a trace from a workload preset or a VM table."""

from __future__ import annotations

import argparse
import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gmemgpu.cli.message import tell
from gmemgpu.cli.vm_table import MAP_HELP, column_mapping, rejected_remedy
from gmemgpu.errors import Problem, SpecError

if TYPE_CHECKING:
    from gmemgpu.model.trace import Trace
    from gmemgpu.workload.spec import Workload

__all__ = ["add_arguments", "run", "table_from_settings"]


def _seed(text: str) -> int:
    seed = int(text)
    if not 0 <= seed < 1 << 64:
        raise ValueError
    return seed


_seed.__name__ = "seed"  # argparse names the type in its message


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``gmemgpu generate``."""
    parser.add_argument("--preset", metavar="NAME", default="iaas-mixed", help="workload (default: %(default)s)")
    parser.add_argument("--seed", type=_seed, default=0, help="0 to 2**64 - 1 (default: %(default)s)")
    parser.add_argument(
        "-o", "--output", metavar="FILE", required=True, help="trace to write: .parquet, .csv or .csv.gz"
    )
    parser.add_argument("--small", action="store_true", help="scale the preset down: about 2000 events at most")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        dest="settings",
        help='change a field, as in --set memory.placement=scatter or --set horizon_ns="2 d"; may be repeated',
    )
    parser.add_argument(
        "--vm-table", metavar="FILE", help="replay this VM table; --set vm_table.thin.keep=0.001 makes it one host's"
    )
    parser.add_argument("--map", metavar="COLUMN=NAME", action="append", default=[], dest="mapping", help=MAP_HELP)
    parser.add_argument("--json", action="store_true", help="write a summary as JSON to standard output")


def table_from_settings(settings: list[str], option: str = "--set") -> dict[str, Any]:
    """
    Parse ``key=value`` texts into nested tables.

    Parameters
    ----------
    settings : list of str
        Keys are dotted; a value is TOML, or else text as it stands.
    option : str
        What they were given to, for messages.

    Returns
    -------
    dict
        Tables within tables, as a TOML file would hold them.

    Raises
    ------
    SpecError
        With every text that is no setting.

    Examples
    --------
    >>> table_from_settings(["stock.vms=3", "horizon_ns=2 d"])
    {'stock': {'vms': 3}, 'horizon_ns': '2 d'}
    """
    problems = []
    table: dict[str, Any] = {}
    for setting in settings:
        path, separator, text = setting.partition("=")
        keys = path.strip().split(".")
        if not separator or not all(keys):
            problems.append(Problem(f"{option} {setting}", "is no setting; write key=value, as in memory.folio=2M"))
            continue
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except (ValueError, RecursionError):
            # No TOML, or what Python cannot read of it: a word, which fits where words do.
            value = text.strip()
        place = table
        for key in keys[:-1]:
            place = place.setdefault(key, {})
            if not isinstance(place, dict):
                problems.append(
                    Problem(f"{option} {setting}", f"{key} was set to one value before; drop one of the two")
                )
                break
        else:
            place[keys[-1]] = value
    if problems:
        raise SpecError(problems)
    return table


def _warn_of_waiting(workload: Workload, trace: Trace) -> None:
    from gmemgpu.model.event import Kind

    for key, kind in (
        ("shutdown_ns", Kind.SNP_SHUTDOWN_BEGIN),
        ("kvm_unload_ns", Kind.KVM_UNLOAD),
        ("init_ns", Kind.SNP_INIT),
    ):
        if getattr(workload.snp_life, key, None) is not None and not (trace.kind == kind).any():
            tell(
                f"gmemgpu: warning: snp_life.{key}: guests run up to the horizon, so this never comes; let them "
                "end, or set snp_life.force"
            )


def run(arguments: argparse.Namespace) -> int:
    """Write the trace; 0 if it is written."""
    from gmemgpu.cli.rejected import warn_of_rejected
    from gmemgpu.generator import generate
    from gmemgpu.trace.form import check_overwrites_none, trace_form
    from gmemgpu.trace.write import write_trace
    from gmemgpu.units import format_duration_ns
    from gmemgpu.workload.preset import lay_over, preset, small_variant, workload_from_mapping
    from gmemgpu.workload.table_account import table_counts, table_lines

    # A wrong name is an error before minutes of work, not after.
    trace_form(Path(arguments.output))
    settings = table_from_settings(arguments.settings)
    if arguments.vm_table is not None:
        columns = column_mapping(arguments.mapping)
        settings = lay_over(settings, {"vm_table": {"path": arguments.vm_table, "columns": columns}})
    elif arguments.mapping:
        raise SpecError(Problem("--map", "is about a VM table; name it with --vm-table FILE"))
    table: dict[str, Any] = {"preset": arguments.preset}
    if arguments.small:
        table = small_variant(preset(arguments.preset)).model_dump()
    workload = workload_from_mapping(lay_over(table, settings), "", Path())
    check_overwrites_none(Path(arguments.output), _inputs(workload.model_dump()))
    made = generate(workload, arguments.seed)
    write_trace(made.trace, arguments.output)
    read = workload.vm_table.read(workload.host.host) if workload.vm_table else None
    counts = table_counts(workload, arguments.seed) if read is not None else None
    if counts is None:
        warn_of_rejected(made.admitted, made.rejected)
    else:
        warn_of_rejected(made.admitted, made.rejected, remedy=rejected_remedy(counts["drawn"]))
    _warn_of_waiting(workload, made.trace)
    if arguments.json:
        summary = {
            "output": arguments.output,
            "seed": arguments.seed,
            "events": len(made.trace),
            "admitted": made.admitted,
            "rejected": made.rejected,
            "skipped": list(read.skipped) if read is not None else [],
            "notes": list(read.notes) if read is not None else [],
            "vms": counts,
            "workload": workload.model_dump(mode="json"),
        }
        print(json.dumps(summary, indent=1, ensure_ascii=False))
    else:
        name = arguments.vm_table or f"{workload.preset}{' (small)' if arguments.small else ''}"
        for line in table_lines(workload, arguments.seed) if read is not None else ():
            tell(line)
        tell(
            f"{arguments.output}: {name}, seed {arguments.seed}, {len(made.trace):,} events in "
            f"{format_duration_ns(workload.horizon_ns)}; {made.admitted:,} VMs admitted, {made.rejected:,} rejected"
        )
    return 0


def _inputs(value: object) -> Iterator[Path]:
    # The files that a workload names, wherever it does.
    if isinstance(value, Path):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _inputs(inner)
