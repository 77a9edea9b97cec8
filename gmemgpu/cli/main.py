"""Entry point: the table of sub-commands, exit codes, and how errors reach a person."""

from __future__ import annotations

import argparse
import atexit
import gc
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache
from importlib import import_module
from typing import Any

from gmemgpu import __version__
from gmemgpu.cli.message import harmless, tell
from gmemgpu.cli.streams import prepare_streams
from gmemgpu.errors import GmemgpuError, InputError
from gmemgpu.hidden import hidden

__all__ = ["COMMANDS", "command_parser", "dask_problem", "main"]

COMMANDS = {
    "sweep": "run a sweep specification and print its decision table",
    "shard": "compute one share of a sweep, as a task of a job array",
    "show": "print the decision table of a results directory",
    "decide": "say which policy to take, for every worth of a set bit",
    "report": "write a results directory as a page, or its answer for a mail",
    "plot": "draw a figure of a results directory: SVG, PNG, PDF, HTML",
    "status": "print how far a sweep is, who works on it and what failed",
    "check": "read every part of a results directory in full",
    "evaluate": "evaluate policies on one trace",
    "explain": "tell what a policy did on a trace, and why",
    "compare": "tell what one policy caught and another missed on a trace, and why",
    "map": "draw regions x time of a trace under a policy",
    "verify": "run every engine on a trace and compare all integers",
    "generate": "make a trace from a workload preset or a VM table",
    "import": "bring VM tables, or what ftrace saw of a host, into forms that are read here",
    "capture": "print the commands that take a trace of a real host",
    "trace": "say what is in a trace file, check it, or scan its RMP",
    "scan": "say which regions of a host are free: RMP dump, bitmap, kernel log, debugfs",
    "calibrate": "fit the costs of RMPOPT to measured passes",
    "policies": "list the named policies",
    "presets": "list the workload presets",
    "bench": "measure how fast the engines are here, for --backend auto",
    "doctor": "report versions, engines, cores and memory",
    "completion": "print what a shell reads to complete commands",
    "help": "read a page of the documentation; alone it lists them",
}
"""Sub-command to one-line help. Its module ``gmemgpu.cli.<name>`` offers `add_arguments` and `run`."""


_MOST_PROBLEMS = 20
_ALLOCATIONS_BETWEEN_COLLECTIONS = 100_000


@cache
def _parser() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS)) + 2
    parser = argparse.ArgumentParser(
        prog="gmemgpu",
        description="When should the kernel run RMPOPT after a confidential guest is torn down?",
        epilog="commands:\n" + "\n".join(f"  {name:<{width}}{text}" for name, text in COMMANDS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"gmemgpu {__version__}")
    parser.add_argument("command", choices=COMMANDS, metavar="command", help="see below; COMMAND --help tells more")
    # What follows may be empty; argparse would list it as missing beside the command.
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS).required = False
    return parser


@cache
def command_parser(command: str) -> argparse.ArgumentParser:
    """
    Build the argument parser of a sub-command.

    Parameters
    ----------
    command : str
        One of `COMMANDS`.

    Returns
    -------
    argparse.ArgumentParser
        With the arguments of that command alone.
    """
    parser = argparse.ArgumentParser(prog=f"gmemgpu {command}", description=COMMANDS[command])
    import_module(f"gmemgpu.cli.{command}").add_arguments(parser)
    return parser


def dask_problem(error: ValueError) -> str | None:
    """
    Return what is wrong with Dask's configuration, which Dask reads whenever it is first imported.

    Parameters
    ----------
    error : ValueError
        What importing Dask, or whatever imports it, raised.

    Returns
    -------
    str or None
        Names the file and the remedy; None if the error is about something else.
    """
    text, _, more = str(error).partition(", original error")
    return f"{text}; repair or remove that file" if more and "dask config file" in text else None


@contextmanager
def _warnings_in_a_line() -> Iterator[None]:
    # What the library warns of is for whoever typed the command: no line of code, and each time anew.
    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, RuntimeWarning):
            tell(f"gmemgpu: warning: {message}")
        else:
            usual(message, category, *place, **more)

    with warnings.catch_warnings():
        usual = warnings.showwarning
        warnings.simplefilter("always", RuntimeWarning)
        warnings.showwarning = show
        yield


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; those of the process if left out. Without any the commands are listed.

    Returns
    -------
    int
        0 done; 1 failed, or engines disagree; 2 bad input; 130 interrupted.
    """
    prepare_streams()
    given = sys.argv[1:] if argv is None else argv
    if not given:
        _parser().print_help()
        return 0
    top = _parser().parse_args(given)
    is_own_process = argv is None
    if is_own_process:
        # Python would look for garbage all the while it imports, and once more in everything when it ends: a quarter of
        # a short command.
        gc.set_threshold(_ALLOCATIONS_BETWEEN_COLLECTIONS)
        atexit.register(gc.freeze)
    # Imported only now: --help and --version must not pay for NumPy, Arrow or Dask.
    command = import_module(f"gmemgpu.cli.{top.command}")
    arguments = command_parser(top.command).parse_args(top.arguments)
    try:
        # No command needs pandas. Whoever calls this function from Python may, though, and after it.
        with _warnings_in_a_line(), hidden("pandas") if is_own_process else nullcontext():
            status: int = command.run(arguments)
        sys.stdout.flush()
    except InputError as error:
        # One that is left would be counted in as many lines as it takes.
        most = len(error.problems) if len(error.problems) == _MOST_PROBLEMS + 1 else _MOST_PROBLEMS
        for problem in error.problems[:most]:
            print(f"gmemgpu: {harmless(str(problem))}", file=sys.stderr)
        if rest := error.problems[most:]:
            print(f"gmemgpu: … and {sum(1 + problem.n_more for problem in rest):,} more problems", file=sys.stderr)
        return error.exit_code
    except GmemgpuError as error:
        print(f"gmemgpu: {harmless(str(error))}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader went away (`gmemgpu … | head`). Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        place = f" {error.filename}" if error.filename else ""
        print(f"gmemgpu: {harmless(f'{error.strerror or error}{place}')}", file=sys.stderr)
        return 1
    except ValueError as error:
        wrong = dask_problem(error)
        if wrong is None:
            raise
        print(f"gmemgpu: {wrong}", file=sys.stderr)
        return 2
    except MemoryError as error:
        reason = f"out of memory: {error}" if str(error) else "out of memory"
        print(f"gmemgpu: {reason}; use a shorter horizon, fewer VMs or a larger machine", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("gmemgpu: interrupted", file=sys.stderr)
        return 130
    return status
