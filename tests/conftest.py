"""Hypothesis profiles, and a device for the CuPy engine: a real one if there is one, else the emulator."""

from __future__ import annotations

import gc
import os
from importlib.util import find_spec

import pytest
from emulator import compiler
from hypothesis import HealthCheck, settings

from gmemgpu.sweeping.compile_once import compile_once

# 100 examples a property, on each CI run the same ones. A thorough run draws others each time, and five times as many:
# what it finds is printed as a line to add to the test, so that an `@example` keeps it.
_SLOW_TO_DRAW = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("default", max_examples=100, deadline=None, suppress_health_check=_SLOW_TO_DRAW)
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, print_blob=True)
settings.register_profile("thorough", settings.get_profile("default"), max_examples=500, print_blob=True)
if os.environ.get("GMEMGPU_THOROUGH") == "1":
    settings.load_profile("thorough")
else:
    settings.load_profile("ci" if os.environ.get("CI") else "default")


# Of a test process's time a fifteenth went into looking for garbage; there is memory enough to look more rarely.
gc.set_threshold(50_000, 20, 20)

# Where one is missing, a GPU's machine say, the tests that need it are skipped; in CI none may be.
_SKIPPED_WITHOUT = ("kubernetes_validate", "numba", "numpydoc", "vl_convert")


def pytest_configure() -> None:
    missing = [name for name in _SKIPPED_WITHOUT if find_spec(name) is None]
    if missing and os.environ.get("CI"):
        raise pytest.UsageError(f"{', '.join(missing)}: not installed; pip install -e '.[test]'")


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


def pytest_sessionstart(session: pytest.Session) -> None:
    # Before the processes that run tests start: else each would compile for itself what is kept for all.
    if session.config.getoption("numprocesses", None):
        compile_once("numba")


def pytest_collection_finish() -> None:
    # Modules and tests stay to the end. To look through them for garbage takes half a second, each time.
    gc.collect()
    gc.freeze()


def pytest_report_header() -> str:
    return f"CuPy engine: {_DEVICE}"


# Tests are dealt out to several processes one by one. Each process that has tests of Slurm starts a Slurm of its own;
# tests that start a Dask cluster have their own, too.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        *folders, file = item.nodeid.partition("::")[0].split("/")
        if "slurm" in folders:
            item.add_marker(pytest.mark.slow)  # jobs wait for the next round of a scheduler
        # On a machine with a device, whatever runs engines runs on it: the same tests, the same parameters.
        if HAS_DEVICE and ("engine" in folders or file == "test_calibration.py"):
            item.add_marker(pytest.mark.gpu)
            item.add_marker(pytest.mark.xdist_group("gpu"))
    # The slow ones first, so that no process is left alone with one at the end.
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(scope="session")
def gxx() -> str:
    """Give the C++ compiler that emulates CUDA kernels. Without one a test is skipped, and fails in CI."""
    found = compiler()
    if found is None:
        say = pytest.fail if os.environ.get("CI") else pytest.skip
        say("no C++ compiler to emulate CUDA kernels with; apt-get install g++")
    return str(found)
