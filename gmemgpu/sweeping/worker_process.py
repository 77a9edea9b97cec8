"""Set-up of a worker process, which Dask loads by this module's name."""

from __future__ import annotations

import signal

__all__ = ["dask_setup"]


def dask_setup(worker: object) -> None:
    """
    Leave Ctrl-C to the client.

    A terminal sends SIGINT to the whole foreground group. Workers that took it would die in mid-task with a
    traceback each, while the client is about to close them in good order.

    Parameters
    ----------
    worker : distributed.Worker
        As Dask passes it; not used.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
