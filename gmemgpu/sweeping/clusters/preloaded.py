"""What the fork server imports. What fails here fails in the client and in each worker too, and is told there."""

from contextlib import suppress
from importlib import import_module

__all__ = []

with suppress(Exception):
    for name in ("distributed.nanny", "gmemgpu.sweeping.run.worker"):
        import_module(name)
