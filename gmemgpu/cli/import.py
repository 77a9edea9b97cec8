"""``gmemgpu import``: bring what people have in hand into the forms that gmemgpu reads."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from gmemgpu.cli.import_ftrace import add_ftrace_arguments, import_ftrace
from gmemgpu.cli.message import tell
from gmemgpu.cli.vm_table import MAP_HELP, column_mapping
from gmemgpu.errors import InputError, Problem, SpecError

if TYPE_CHECKING:
    from gmemgpu.model.host import Host
    from gmemgpu.vmtable.own_table import OwnTable

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``gmemgpu import``."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="what")
    text = "VM tables: CSV, Parquet, Arrow or SQLite, to Parquet that vm_table.path and --vm-table read at once"
    vms = actions.add_parser("vms", help=text, description=text)
    vms.add_argument("files", metavar="FILE", nargs="+", help="VM tables; several become one")
    vms.add_argument("-o", "--output", metavar="FILE", required=True, help="table to write: .parquet")
    vms.add_argument("--map", metavar="COLUMN=NAME", action="append", default=[], dest="mapping", help=MAP_HELP)
    packing = vms.add_argument_group("Azure's packing trace (SQLite), whose sizes are shares of a machine")
    packing.add_argument(
        "--host",
        metavar="HOST",
        action="append",
        default=[],
        help="of what host: its name, as in --host cloud, or what it has, as in --host cores=64 --host "
        'memory_bytes="512 GiB"',
    )
    packing.add_argument("--machine", type=int, metavar="N", help="machine type (default: that hosting most VM types)")
    packing.add_argument("--priority", choices=("high", "low"), help="VMs of this priority alone (default: all)")
    vms.add_argument("--json", action="store_true", help="write what was read as JSON to standard output")
    text = "a trace of a real host: text of trace-cmd, ftrace, perf or bpftrace, as gmemgpu capture has it taken"
    add_ftrace_arguments(actions.add_parser("ftrace", help=text, description=text))


def run(arguments: argparse.Namespace) -> int:
    """Read what was named and write it in the form that gmemgpu reads; 0 if it is written."""
    return import_ftrace(arguments) if arguments.action == "ftrace" else _import_vms(arguments)


def _import_vms(arguments: argparse.Namespace) -> int:
    from gmemgpu.vmtable.normal_form import joined, read_any_table, tenants_told_apart, write_normal_form
    from gmemgpu.vmtable.own_table import own_records
    from gmemgpu.vmtable.table_kind import table_kind

    output = Path(arguments.output)
    files = [Path(name) for name in arguments.files]
    _check_names(output, files)
    mapping = column_mapping(arguments.mapping)
    host = _host(arguments.host) if arguments.host else None
    tables: list[OwnTable] = []
    problems: list[Problem] = []
    for path in files:
        try:
            table = read_any_table(path, mapping, host, machine=arguments.machine, priority=arguments.priority or "all")
            tables.append(table)
        except InputError as error:
            problems.extend(error.problems)
    of_packing = arguments.host or arguments.machine is not None or arguments.priority
    if of_packing and not problems and all(table_kind(path, bool(mapping)) != "azure_packing" for path in files):
        text = "are about Azure's packing trace, an SQLite file, and no file here is one; leave them out"
        problems.append(Problem("--host, --machine and --priority", text))
    if problems:
        raise SpecError(problems)
    tables = tenants_told_apart(tables)
    table = joined(tables)
    # Before it is written: what is said is what was read.
    notes = [f"{one.where}: {line}" for one in tables for line in one.form]
    records = own_records(table)
    n_forms = len(table.form)
    notes.extend(note for note in records.notes[n_forms:])
    write_normal_form(table, output)
    if arguments.json:
        summary = {"output": arguments.output, "vms": len(table), "hosts": len(records.hosts), "notes": notes}
        print(json.dumps(summary, indent=1, ensure_ascii=False))
        return 0
    for note in notes:
        tell(note)
    tell(f"{arguments.output}: {len(table):,} VMs")
    return 0


def _host(texts: list[str]) -> Host:
    from gmemgpu.cli.generate import table_from_settings
    from gmemgpu.validation import validated
    from gmemgpu.workload.host_choice import HostChoice

    settings = [text if "=" in text else f"name={text}" for text in texts]
    return validated(HostChoice, table_from_settings(settings, "--host"), "--host ").host


def _check_names(output: Path, files: list[Path]) -> None:
    if output.suffix != ".parquet":
        raise SpecError(Problem("--output", f"{output} does not end in .parquet; the normal form is Parquet"))
    there = [path for path in files if path.exists()]
    for i, path in enumerate(there):
        if any(path.samefile(other) for other in there[:i]):
            raise SpecError(Problem(str(path), "is given twice, so that each VM would count twice; name it once"))
    if output.exists() and any(output.samefile(path) for path in there):
        raise SpecError(Problem("--output", f"{output} is a table that is read; give the new one another name"))
