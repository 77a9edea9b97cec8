"""Hypothesis profiles, and a device for the CuPy engine: a real one if there is one, else the emulator."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest
from emulator import compiler
from hypothesis import HealthCheck, settings

settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "ci",
    deadline=None,
    max_examples=500,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("ci" if os.environ.get("CI") else "default")


def _has_device() -> bool:
    if find_spec("cupy") is None:
        return False
    import cupy

    return bool(cupy.cuda.is_available())


HAS_DEVICE = _has_device()


def _emulate() -> str:
    # Before any test module is collected, since those ask the registry which engines run here.
    if compiler() is None:
        if os.environ.get("CI"):
            raise pytest.UsageError("the tests of CUDA kernels need g++ to emulate a device; install it")
        return "no CUDA device, and no g++ to emulate one: its engine is NOT tested"
    import strict_cupy

    strict_cupy.install()
    return "no CUDA device: the kernels run on the CPU, emulated"


_DEVICE = "a CUDA device" if HAS_DEVICE else _emulate()


def pytest_report_header() -> str:
    return f"CuPy engine: {_DEVICE}"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # On a machine with a device, whatever runs engines runs on it: the same tests, the same parameters.
    if not HAS_DEVICE:
        return
    for item in items:
        if "engine" in item.path.parts or item.path.name == "test_calibration.py":
            item.add_marker(pytest.mark.gpu)


@pytest.fixture(scope="session")
def gxx() -> str:
    """Give the C++ compiler that emulates CUDA kernels. Without one a test is skipped, and fails in CI."""
    found = compiler()
    if found is None:
        say = pytest.fail if os.environ.get("CI") else pytest.skip
        say("no C++ compiler to emulate CUDA kernels with; apt-get install g++")
    return str(found)
