"""Commands of gmemgpu as children of one process that has imported what they need, which is most of a short one's time.

A child has the arguments, folder, environment and streams that it is given, and runs `main` to the interpreter's end.
What it starts, workers of a sweep say, are processes like any other.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

# What the commands that start an engine or a sweep import; what is missing here is imported in the child.
_IMPORTED = (
    *("cli.doctor", "cli.dry_run", "cli.evaluate", "cli.progress", "cli.rejected", "cli.shard", "cli.show"),
    *("cli.sweep", "cli.verify", "engine.array.batch", "engine.array.counts", "engine.verify", "report.render"),
    *("sweeping.clusters.local", "sweeping.run.client", "sweeping.run.share", "sweeping.run.sweep", "trace.warn"),
)


class Forking:
    """The way to the process that starts commands."""

    def __init__(self, connection: socket.socket, server: int) -> None:
        self._connection = connection
        self._server = server

    def run(self, arguments: Sequence[str]) -> int:
        """Run a command with folder, environment and streams of here; return its exit code, negative for a signal."""
        request = json.dumps([arguments, str(Path.cwd()), dict(os.environ)]).encode()
        try:
            socket.send_fds(self._connection, [len(request).to_bytes(4, "big")], [0, 1, 2])
            self._connection.sendall(request)
            status = self._connection.recv(4)
        except BaseException:  # the command takes too long, or whoever waits for it is to end
            os.killpg(self._server, signal.SIGKILL)
            raise
        assert status, "the process that starts commands has ended"
        return int.from_bytes(status, "big", signed=True)


@contextmanager
def forking() -> Iterator[Forking]:
    """Start the process; it ends with the block."""
    here, there = socket.socketpair()
    here.settimeout(300)
    command = [sys.executable, __file__, str(there.fileno())]
    # A fork has none of the threads that OpenBLAS would start with its import.
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "OPENBLAS_NUM_THREADS": "1"}
    server = subprocess.Popen(
        command, pass_fds=[there.fileno()], env=environment, stdin=subprocess.DEVNULL, start_new_session=True
    )
    there.close()
    with server:
        try:
            yield Forking(here, server.pid)
        finally:
            here.close()


def _serve(connection: socket.socket) -> None:
    from gmemgpu.cli.main import main
    from gmemgpu.hidden import hidden

    with hidden("pandas"):
        for name in _IMPORTED:
            import_module(f"gmemgpu.{name}")
    # A child that looked through all this for garbage at its end would take as long as its imports.
    gc.collect()
    gc.freeze()
    # A child would wait for what a thread of this one holds, for ever.
    assert threading.active_count() == 1
    while True:
        size, streams, *_ = socket.recv_fds(connection, 4, 3)
        if not size:
            return
        n_bytes = int.from_bytes(size, "big")
        arguments, folder, environment = json.loads(connection.recv(n_bytes, socket.MSG_WAITALL))
        child = os.fork()
        if not child:
            connection.close()
            for i, stream in enumerate(streams):
                os.dup2(stream, i)
                os.close(stream)
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(environment)
            sys.argv = ["gmemgpu", *arguments]
            sys.exit(main())
        for stream in streams:
            os.close(stream)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        connection.sendall(status.to_bytes(4, "big", signed=True))


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as _connection:
        _serve(_connection)
