"""A machine without CuPy, whatever this one has."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from gmemgpu.engine import registry


@pytest.fixture
def without_cupy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hide CuPy from the registry."""
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setattr(registry, "find_spec", lambda package: None)
    registry.probe_again()
    yield
    registry.probe_again()
