"""Nobody arrives."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gmemgpu.vmtable.table import VmTable
from gmemgpu.vmtable.tenant import running_vms
from gmemgpu.workload.process.process import Process, Setting

__all__ = ["Quiet"]


class Quiet(Process):
    """Only the stock."""

    process: Literal["none"] = Field(description="Nobody arrives.")

    def expected_arrivals(self, horizon_ns: int, n_stock: int) -> float:
        """Give 0."""
        return 0.0

    def draw(self, setting: Setting) -> VmTable:
        """Draw the stock."""
        return running_vms(setting.tenants, setting.seed, setting.n_stock)
