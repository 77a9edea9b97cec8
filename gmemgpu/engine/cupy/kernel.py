"""The CUDA kernels: their source files, compiled for the device at hand when first launched."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

from gmemgpu.engine.cupy.defines import compiler_options

__all__ = ["KERNEL_FAMILIES", "kernel_source", "launch"]

KERNEL_FAMILIES = {
    "region_timeline": ("region_timeline",),
    "region_states": ("region_states",),
    "region_totals": ("region_totals",),
    "evaluate": ("evaluate_few", "evaluate_window"),
    "latency_ranks": ("latency_ranks",),
    "rmp_scan": ("rmp_scan",),
}
"""Source file, without ``.cu``, to the kernels in it."""

_FAMILY_OF = {kernel: family for family, kernels in KERNEL_FAMILIES.items() for kernel in kernels}


def kernel_source(family: str) -> str:
    """Read the source of a kernel family."""
    return resources.files("gmemgpu.engine.cupy").joinpath("kernels", f"{family}.cu").read_text(encoding="utf-8")


@cache
def _function(cupy: Any, name: str) -> Any:
    # CuPy keeps what it compiles on disk, in $CUPY_CACHE_DIR, so that the next process need not compile again.
    module = cupy.RawModule(code=kernel_source(_FAMILY_OF[name]), options=compiler_options())
    return module.get_function(name)


def launch(
    name: str, n_blocks: int, n_threads: int, arguments: tuple[Any, ...], stream: Any, *, shared: int = 0
) -> None:
    """
    Queue a kernel.

    Parameters
    ----------
    name : str
        One of `KERNEL_FAMILIES`.
    n_blocks : int
        Thread blocks; nothing happens if there are none.
    n_threads : int
        Of each block.
    arguments : tuple
        Device arrays, and NumPy scalars of the parameters' exact types.
    stream : cupy.cuda.Stream
    shared : int
        Dynamic shared memory of a block, bytes.
    """
    import cupy

    if not n_blocks:
        return
    function = _function(cupy, name)
    if shared > 48 * 1024:
        # More than this must be asked for.
        function.max_dynamic_shared_size_bytes = shared
    with stream:
        function((n_blocks,), (n_threads,), arguments, shared_mem=shared)
