"""
When should the kernel run RMPOPT after a confidential guest is torn down?

gmemgpu replays guest_memfd life cycles on a model of an AMD SEV-SNP host and says, for every policy of the
mailing-list debate, what it costs and what it recovers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gmemgpu.api import evaluate, generate, policies, presets, read_trace
    from gmemgpu.errors import BackendError, GmemgpuError, InputError, SpecError, StoreError, TraceError
    from gmemgpu.metrics.table import MetricTable
    from gmemgpu.model.cost import Costs
    from gmemgpu.model.event import Kind
    from gmemgpu.model.host import Host
    from gmemgpu.model.policy import Policy, Timer
    from gmemgpu.model.trace import Trace
    from gmemgpu.report.progress_bar import ProgressBar
    from gmemgpu.results import Results, open_results, sweep
    from gmemgpu.trace.write import write_trace

__version__ = "0.1.0"

__all__ = [
    "read_trace",
    "write_trace",
    "generate",
    "evaluate",
    "sweep",
    "open_results",
    "presets",
    "policies",
    "ProgressBar",
    "Host",
    "Kind",
    "Trace",
    "Policy",
    "Timer",
    "Costs",
    "MetricTable",
    "Results",
    "GmemgpuError",
    "InputError",
    "SpecError",
    "TraceError",
    "BackendError",
    "StoreError",
    "__version__",
]

# Imported when first asked for: `gmemgpu --help` must not pay for NumPy, Arrow or Dask.
_HOMES = {
    "read_trace": "gmemgpu.api",
    "write_trace": "gmemgpu.trace.write",
    "generate": "gmemgpu.api",
    "evaluate": "gmemgpu.api",
    "sweep": "gmemgpu.results",
    "open_results": "gmemgpu.results",
    "presets": "gmemgpu.api",
    "policies": "gmemgpu.api",
    "Results": "gmemgpu.results",
    "ProgressBar": "gmemgpu.report.progress_bar",
    "Host": "gmemgpu.model.host",
    "Kind": "gmemgpu.model.event",
    "Trace": "gmemgpu.model.trace",
    "Policy": "gmemgpu.model.policy",
    "Timer": "gmemgpu.model.policy",
    "Costs": "gmemgpu.model.cost",
    "MetricTable": "gmemgpu.metrics.table",
    "GmemgpuError": "gmemgpu.errors",
    "InputError": "gmemgpu.errors",
    "SpecError": "gmemgpu.errors",
    "TraceError": "gmemgpu.errors",
    "BackendError": "gmemgpu.errors",
    "StoreError": "gmemgpu.errors",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
