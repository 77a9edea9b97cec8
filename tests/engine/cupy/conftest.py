"""A device for kernels that are called by themselves."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="module")
def device_cupy() -> Iterator[Any]:
    """Give CuPy with a device: a real one if there is one, else the emulation, running launches in four orders."""
    cupy = pytest.importorskip("cupy", reason="no CUDA device, and no g++ to emulate one")
    if not hasattr(cupy, "is_emulated"):
        yield cupy
        return
    from strict_cupy import device

    gc.collect()  # what failed batches of other tests had queued would run in all orders too
    device.all_orders = True
    yield cupy
    device.all_orders = False
