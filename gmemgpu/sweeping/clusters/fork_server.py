"""Python's fork server, started before anything else: it imports what workers need while the client does the same."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker

__all__ = ["ONE_THREAD", "start_fork_server", "start_method", "sigint_blocked"]

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), 1
)
"""Each worker is one core's: libraries that start threads of their own would fight over it."""
_IMPORTED = "gmemgpu.sweeping.clusters.preloaded"

_started = False


@contextmanager
def sigint_blocked() -> Iterator[None]:
    """Keep Ctrl-C from what starts in a block: a terminal sends it to all processes, and it is for this one alone."""
    # The tracker of Python's own processes would unblock the signal again if it were started later.
    resource_tracker.ensure_running()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def start_fork_server() -> None:
    """
    Start the process that workers of this machine will be forked from; it ends with this one.

    For a command, which makes one sweep and ends: in a longer life workers would have the environment of its beginning.
    """
    global _started
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    # A library that it imports counts its threads then, and a fork inherits no thread.
    os.environ.update({name: str(n) for name, n in ONE_THREAD.items()})
    try:
        with sigint_blocked():
            forkserver.set_forkserver_preload([_IMPORTED])
            forkserver.ensure_running()
        _started = True
    except OSError:
        # Then each worker is started by itself, and if that cannot be, it is told there.
        return
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def start_method() -> str:
    """Return how workers here start: none by a mere fork, which would inherit threads, locks and CUDA contexts."""
    return "forkserver" if _started else "spawn"
