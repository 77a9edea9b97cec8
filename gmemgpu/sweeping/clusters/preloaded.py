"""What the fork server imports. What fails here fails in the client and in each worker too, and is told there."""

import gc
from contextlib import suppress
from importlib import import_module

from gmemgpu.hidden import hidden

__all__ = []

_ONCE = ("distributed.nanny", "distributed.http.worker", "gmemgpu.sweeping.run.worker")
_ON_FIRST_USE = ("gmemgpu.engine.array", "gmemgpu.rmp.timed_scan", "numpy.random", "numpy.ma")

# Python's own advice for what forks: children shall neither look through all this for garbage nor copy it by that.
gc.disable()
with suppress(Exception):
    for name in (*_ONCE, *_ON_FIRST_USE):
        import_module(name)
    # With its first array Arrow looks for pandas, whose import takes longer than a small shard; workers need none.
    with hidden("pandas"):
        import_module("pyarrow").array([0])
gc.freeze()
gc.enable()
