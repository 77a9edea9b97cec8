"""SIGTERM, by which batch systems and service managers ask a process to end before they kill it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

__all__ = ["leaving_on_sigterm"]


@contextmanager
def leaving_on_sigterm() -> Iterator[None]:
    """
    End the block in an orderly way when SIGTERM comes.

    The lock is released and jobs are cancelled then, so that whoever goes on need not wait until the one goes stale and
    the others miss their scheduler.

    Yields
    ------
    None
        To the block.

    Raises
    ------
    SystemExit
        With 143, as a shell would name it.
    """
    status = None

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        nonlocal status
        status = 128 + number
        # Asked twice, it must not be kept from what it does because of the first time.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        # Whoever read it may have been ended before us.
        with suppress(OSError, ValueError, RuntimeError):
            print("gmemgpu: terminated; run the same again to go on", file=sys.stderr, flush=True)
        raise SystemExit(status)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
        if status is not None:
            # Compiled code that was calling Python just then may have taken the exception for its own, and gone on.
            raise SystemExit(status)
    finally:
        signal.signal(signal.SIGTERM, before)
