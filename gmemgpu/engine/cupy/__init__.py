"""The device engine: whole batches of (trace, policy) pairs on a GPU, through CuPy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from gmemgpu.engine.cupy.batch import evaluate_batches, forget_arenas
from gmemgpu.engine.cupy.refusal import OUT_OF_MEMORY, brief, refusal
from gmemgpu.engine.cupy.rmp_images import scan_images
from gmemgpu.engine.cupy.trial_kernel import probe
from gmemgpu.errors import BackendError, DeviceLost
from gmemgpu.model.cost import Costs
from gmemgpu.model.metric import MetricRow
from gmemgpu.model.policy import Policy
from gmemgpu.model.region_scan import RegionScan
from gmemgpu.model.trace import Trace

__all__ = ["CupyEngine"]


class CupyEngine:
    """The engine for batches on a GPU; `gmemgpu.engine.protocol.Engine` describes the methods."""

    name = "cupy"

    def missing(self) -> str | None:
        """Run a small kernel and load all of the engine's; the first call imports CuPy, and compiles."""
        return probe()

    def evaluate(self, traces: Iterable[Trace], policies: Sequence[Policy], costs: Costs) -> list[list[MetricRow]]:
        """
        Evaluate every policy on every trace; the next traces are taken while a batch is on the device.

        Raises
        ------
        BackendError
            If a trace does not fit the device, a pass might last so long that its times do not fit 63 bits, or CUDA
            refuses a call.
        DeviceLost
            If the device fails. What it had finished is lost with it; nothing is half done.
        """
        with _device_errors():
            return evaluate_batches(traces, policies, costs)

    def scan_rmp(self, trace: Trace, times_ns: Sequence[int]) -> RegionScan:
        """
        Scan images that the device makes, as many at a time as there is room for.

        Raises
        ------
        BackendError
            If the image of a single region does not fit, or CUDA refuses a call.
        DeviceLost
            If the device fails.
        """
        with _device_errors():
            return scan_images(trace, times_ns)


@contextmanager
def _device_errors() -> Iterator[None]:
    import cupy

    try:
        yield
    except cupy.cuda.memory.OutOfMemoryError as error:
        cupy.get_default_memory_pool().free_all_blocks()
        raise BackendError(
            f'backend "cupy": the device ran out of memory ({error}), though the batch was cut to what was free; does '
            "something else use it? Wait for that to end, or take numpy"
        ) from error
    except (cupy.cuda.runtime.CUDARuntimeError, cupy.cuda.driver.CUDADriverError) as error:
        if error.status == OUT_OF_MEMORY:
            cupy.get_default_memory_pool().free_all_blocks()
            forget_arenas()
            cupy.get_default_pinned_memory_pool().free_all_blocks()
            raise BackendError(
                f'backend "cupy": CUDA ran out of memory ({error}), for a kernel on the device or for pinned memory on '
                "the host; does something else use them (see nvidia-smi and free)? Wait for that to end, or take numpy"
            ) from error
        refused = refusal(error.status, error)
        if refused is not None:
            raise BackendError(f'backend "cupy": {refused}') from error
        raise DeviceLost(f'backend "cupy": the device failed ({error}); nvidia-smi and dmesg may say why') from error
    except cupy.cuda.compiler.CompileException as error:
        raise BackendError(
            f'backend "cupy": CUDA code cannot be compiled ({brief(error)}); `gmemgpu doctor` says what is missing; or '
            "take numpy"
        ) from error
