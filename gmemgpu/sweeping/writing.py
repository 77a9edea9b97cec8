"""How a results directory that cannot be written reaches a person."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gmemgpu.errors import StoreError

__all__ = ["writing"]


@contextmanager
def writing(directory: Path) -> Iterator[None]:
    """Turn what the operating system says against a results directory into a `StoreError` with a remedy."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise StoreError(
            f"{directory}: cannot be written: {reason}; make room there or choose another directory, "
            "then run the same command again: finished parts are kept"
        ) from error
