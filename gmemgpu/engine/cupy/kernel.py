"""The CUDA kernels: their source files, compiled for the device at hand when first launched."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

from gmemgpu.engine.cupy.defines import compiler_options

__all__ = ["KERNELS", "kernel_source", "load_kernel", "launch_here"]

KERNELS = (
    "attempt_costs",
    "attempt_rows",
    "attempt_visits",
    "begun_passes",
    "boot_passes",
    "cleared_keys",
    "come_later",
    "cut_events",
    "describe_pieces",
    "dominance_sums",
    "dominance_table",
    "dominance_tiles",
    "merge_boots",
    "met_passes",
    "region_timeline",
    "request_due",
    "requested_keys",
    "rmp_image",
    "rmp_scan",
    "rows_at",
    "segment_chain",
    "segment_expand",
    "segment_max",
    "segment_push",
    "segment_search",
    "some_requests",
    "span_points",
    "sum_at",
    "timeline_rows",
    "used_between",
)
"""Each lies in a file of its name."""

_INCLUDED = "place.cuh"
"""The one file that kernels include; those that say the same in their own text ran on a GPU as they are."""


def _text(file: str) -> str:
    return resources.files("gmemgpu.engine.cupy").joinpath("kernels", file).read_text(encoding="utf-8")


def kernel_source(name: str) -> str:
    """
    Return the text that a kernel is compiled from.

    Parameters
    ----------
    name : str
        One of `KERNELS`.

    Returns
    -------
    str
        Its file, with the text of what it includes, so that no compiler looks for files; messages name file and line.
    """
    before, include, after = _text(f"{name}.cu").partition(f'#include "{_INCLUDED}"\n')
    if include:
        line = before.count("\n") + 2
        include = f'#line 1 "{_INCLUDED}"\n{_text(_INCLUDED)}#line {line} "{name}.cu"\n'
    return f'#line 1 "{name}.cu"\n{before}{include}{after}'


@cache
def _function(cupy: Any, name: str) -> Any:
    # CuPy keeps what it compiles on disk, in $CUPY_CACHE_DIR, so that the next process need not compile again.
    module = cupy.RawModule(code=kernel_source(name), options=compiler_options())
    return module.get_function(name)


def load_kernel(name: str) -> None:
    """
    Compile a kernel, unless CuPy has it on disk, and load it to the current device.

    Parameters
    ----------
    name : str
        One of `KERNELS`.
    """
    import cupy

    # CUDA loads a function when something is asked of it.
    int(_function(cupy, name).num_regs)


def launch_here(name: str, n_blocks: int, n_threads: int, arguments: tuple[Any, ...], *, shared_bytes: int = 0) -> None:
    """
    Queue a kernel on the current stream.

    Parameters
    ----------
    name : str
        One of `KERNELS`.
    n_blocks : int
        Thread blocks; nothing happens if there are none.
    n_threads : int
        Of each block.
    arguments : tuple
        Device arrays, and NumPy scalars of the parameters' exact types.
    shared_bytes : int
        Dynamic shared memory of a block.
    """
    import cupy

    if not n_blocks:
        return
    function = _function(cupy, name)
    if shared_bytes > 48 * 1024:
        # More than this must be asked for.
        function.max_dynamic_shared_size_bytes = shared_bytes
    function((n_blocks,), (n_threads,), arguments, shared_mem=shared_bytes)
