"""Dask's own log, which would bury in tracebacks what reaches the user as one line."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quiet_dask"]


@contextmanager
def quiet_dask() -> Iterator[None]:
    """Let nothing of Dask's log through; each of its loggers has a level of its own, which the block's end restores."""
    import distributed  # noqa: F401  (sets them)

    names = [name for name in logging.root.manager.loggerDict if name.split(".")[0] == "distributed"]
    levels = {logger: logger.level for logger in map(logging.getLogger, names)}
    try:
        for logger in levels:
            logger.setLevel(logging.CRITICAL + 1)
        yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)
