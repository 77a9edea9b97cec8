"""What the fork server imports. What fails here fails in the client and in each worker too, and is told there."""

from contextlib import suppress
from importlib import import_module

from gmemgpu.sweeping.clusters.fork_server import hidden

__all__ = []

with suppress(Exception):
    for name in ("distributed.nanny", "gmemgpu.sweeping.run.worker"):
        import_module(name)
    # With its first array Arrow looks for pandas, whose import takes longer than a small shard; workers need none.
    with hidden("pandas"):
        import_module("pyarrow").array([0])
