"""Sweep specifications: from TOML to scenarios."""

from gmemgpu.sweeping.spec.scenario import AxisValue, Scenario
from gmemgpu.sweeping.spec.spec import SweepSpec, policy_table, read_spec

__all__ = ["AxisValue", "Scenario", "SweepSpec", "policy_table", "read_spec"]
