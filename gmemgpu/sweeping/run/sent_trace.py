"""A trace from one process of this machine to another: large columns in memory that both have, not through a pipe."""

from __future__ import annotations

import mmap
import os
import select
from dataclasses import dataclass, fields, replace
from multiprocessing.reduction import DupFd
from typing import Any

import numpy as np

from gmemgpu.lifecycle.life_cycle import GeneratedTrace

__all__ = ["SentTrace", "SenderDied", "pack"]

_SMALL_BYTES = select.PIPE_BUF // 2
"""Less goes through the pipe, and what else is sent fits as well: a pipe takes so much whole or not at all. Of a longer
message a process that is killed can leave a part, and whoever reads would wait for the rest for ever."""


class SenderDied(Exception):
    """The process that packed a trace is gone, and what it held of it."""


@dataclass(frozen=True, slots=True)
class SentTrace:
    """A trace that can be sent."""

    made: GeneratedTrace  # without its columns if they are elsewhere
    columns: dict[str, str]  # name and type of each column that is elsewhere, in the order in which they lie there
    n_events: int  # length of each
    file: Any  # where they lie: a file in memory that has no name, gone with the last process that has it open

    def unpack(self) -> GeneratedTrace:
        """
        Return the trace, in the other process; once.

        Raises
        ------
        SenderDied
            If the process that packed it has ended.
        """
        if self.file is None:
            return self.made
        try:
            file = self.file.detach()
        except (ConnectionError, FileNotFoundError, EOFError) as error:
            raise SenderDied from error
        try:
            memory = mmap.mmap(file, 0)
        finally:
            os.close(file)
        found: dict[str, Any] = {}
        at = 0
        for name, dtype in self.columns.items():
            found[name] = np.frombuffer(memory, dtype, self.n_events, at)
            at += found[name].nbytes
        return replace(self.made, trace=replace(self.made.trace, **found))


def pack(made: GeneratedTrace) -> SentTrace:
    """Build what another process can take a trace from, for as long as this one lives."""
    trace = made.trace
    found = [(field.name, getattr(trace, field.name)) for field in fields(trace)]
    columns = [(name, value) for name, value in found if isinstance(value, np.ndarray)]
    # The widest first, so that each begins where its type may.
    columns.sort(key=lambda column: -column[1].itemsize)
    if sum(column.nbytes for _, column in columns) < _SMALL_BYTES:
        return SentTrace(made, {}, 0, None)
    with os.fdopen(os.memfd_create("gmemgpu-trace"), "wb") as file:
        for _, column in columns:
            file.write(np.ascontiguousarray(column).data)
        file.flush()
        handle = DupFd(file.fileno())
    empty: dict[str, Any] = {name: column[:0] for name, column in columns}
    types = {name: column.dtype.str for name, column in columns}
    return SentTrace(replace(made, trace=replace(trace, **empty)), types, len(trace), handle)
