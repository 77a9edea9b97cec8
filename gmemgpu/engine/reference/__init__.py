"""The reference engine, the judge of all others: page arrays and plain Python, straight from MODEL.md."""

from __future__ import annotations

from gmemgpu.engine.reference.evaluate import ReferenceEngine

__all__ = ["ReferenceEngine"]
