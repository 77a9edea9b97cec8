"""Can kernels run here? Asked when a command needs to know, by running one and loading the others; never at import."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import numpy as np

from gmemgpu.engine.cupy.kernel import KERNELS, load_kernel
from gmemgpu.engine.cupy.refusal import brief, refusal
from gmemgpu.engine.cupy.timelines import SHARED_BYTES

__all__ = ["probe", "INSTALL"]

INSTALL = "pip install 'gmemgpu[cuda13]' (or cuda12, as the driver allows)"

_LEAST_CAPABILITY = 80
"""sm_80: the kernels add and compare across a warp in one instruction, which older devices lack."""
_LEAST_SHARED_BYTES = SHARED_BYTES + 1024
"""Of a thread block: some is static. Devices of 8.6, 8.9 and 12.x have 99 KiB, others more."""

_TRIAL = """
extern "C" __global__ void trial(const unsigned int* in, unsigned int* out) {
  out[threadIdx.x] = __reduce_add_sync(0xffffffffu, in[threadIdx.x]);
}
"""


def probe() -> str | None:
    """
    Find out whether a CUDA device can compile and run kernels.

    Returns
    -------
    str or None
        What is missing and what to do about it; None if a kernel ran and gave the right answer.
    """
    if "cupy" not in sys.modules and find_spec("cupy") is None:
        return f"CuPy is not installed; {INSTALL}"
    try:
        import cupy
    except ImportError as error:
        return f"CuPy cannot be loaded ({error}); {INSTALL}"
    try:
        n_devices = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"no usable NVIDIA driver ({error}); install one, or take --backend numpy"
    if not n_devices:
        return "there is no CUDA device; check nvidia-smi and CUDA_VISIBLE_DEVICES, or take --backend numpy"
    capability = str(cupy.cuda.Device().compute_capability)
    if int(capability) < _LEAST_CAPABILITY:
        return f"the device has compute capability {capability[:-1]}.{capability[-1]}, and 8.0 is the least; take numpy"
    shared_bytes = int(cupy.cuda.Device().attributes["MaxSharedMemoryPerBlockOptin"])
    if shared_bytes < _LEAST_SHARED_BYTES:
        return (
            f"the device gives a thread block {shared_bytes / 1024:g} KiB of shared memory, and the kernels need "
            f"{_LEAST_SHARED_BYTES / 1024:g} KiB; take numpy"
        )
    answer: list[int] = []
    try:
        kernel = cupy.RawModule(code=_TRIAL, options=("-std=c++17",)).get_function("trial")
        given, found = cupy.empty(32, np.uint32), cupy.zeros(32, np.uint32)
        given.set(np.arange(32, dtype=np.uint32))
        kernel((1,), (32,), (given, found))
        answer = found.get().tolist()
        # Kernels of CuPy's own, which stand on CUDA's header files.
        cupy.cumsum(given + found).get()
    except cupy.cuda.memory.OutOfMemoryError as error:
        return f"the device has no memory left ({error}); end what fills it (nvidia-smi shows it), or take numpy"
    except (cupy.cuda.runtime.CUDARuntimeError, cupy.cuda.driver.CUDADriverError) as error:
        failed = f"a trial kernel failed on the device ({error}); check nvidia-smi, or take --backend numpy"
        return refusal(error.status, error) or failed
    except Exception as error:  # loaders and compilers raise classes of their own, which differ by version
        if answer:
            return (
                f"CuPy cannot compile its own operations, since CUDA's header files are missing ({brief(error)}); "
                f"they come with {INSTALL}, or with a CUDA toolkit whose folder CUDA_PATH names"
            )
        return f"kernels cannot be compiled ({error}); NVRTC comes with {INSTALL}"
    if answer != [sum(range(32))] * 32:
        return "a trial kernel gave a wrong answer; check the device and its driver, or take --backend numpy"
    return next(filter(None, map(_why_not_loaded, KERNELS)), None)


def _why_not_loaded(name: str) -> str | None:
    import cupy

    try:
        load_kernel(name)
    except (cupy.cuda.runtime.CUDARuntimeError, cupy.cuda.driver.CUDADriverError) as error:
        told = (
            refusal(error.status, error) or f"it cannot be loaded ({error}); check nvidia-smi, or take --backend numpy"
        )
        return f"kernel {name}: {told}"
    except Exception as error:  # as above
        return f"kernel {name} cannot be compiled ({brief(error)}); update CuPy, or take --backend numpy"
    return None
