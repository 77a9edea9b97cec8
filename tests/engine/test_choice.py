"""What `auto` takes and what it says, on machines with and without a GPU, measured and not."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gmemgpu.engine import choice, crossover, registry
from gmemgpu.engine.array import NumpyEngine
from gmemgpu.engine.choice import NUMBA_EVENTS, NUMBA_PAIRS, UNMEASURED_PAIRS, choose_engine
from gmemgpu.engine.crossover import Crossover, document, read_crossovers, store_file
from gmemgpu.errors import BackendError, SpecError

GPU = "NVIDIA H200, driver 580.65.06"
MANY = 10**6


class Machine:
    """What is installed, and what a probe finds."""

    installed = True
    has_numba = False
    missing: str | None = None
    n_probes = 0
    cores = 2


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """A machine to furnish; its caches are its own."""
    found = Machine()

    class CupyEngine(NumpyEngine):
        name = "cupy"

        def missing(self) -> str | None:
            found.n_probes += 1
            return found.missing

    module: Any = ModuleType("furnished_cupy_engine")
    module.CupyEngine = CupyEngine
    monkeypatch.setitem(sys.modules, "furnished_cupy_engine", module)
    monkeypatch.setitem(registry._ENGINES, "cupy", ("furnished_cupy_engine", "CupyEngine"))
    monkeypatch.delitem(sys.modules, "cupy", raising=False)

    class NumbaEngine(NumpyEngine):
        name = "numba"

    module.NumbaEngine = NumbaEngine
    monkeypatch.setitem(registry._ENGINES, "numba", ("furnished_cupy_engine", "NumbaEngine"))

    def is_installed(name: str) -> bool:
        return {"cupy": found.installed, "numba": found.has_numba}.get(name, True)

    for where in (registry, choice):
        monkeypatch.setattr(where, "is_installed", is_installed)
    monkeypatch.setattr(choice, "gpu_key", lambda: GPU)
    monkeypatch.setattr(choice, "core_count", lambda: found.cores)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    registry.probe_again()
    yield found
    registry.probe_again()


def store(by_gpu: dict[str, int | None]) -> None:
    store_file().parent.mkdir(parents=True, exist_ok=True)
    found = {gpu: Crossover(n_pairs=n_pairs, date="2026-11-22") for gpu, n_pairs in by_gpu.items()}
    store_file().write_text(json.dumps(document(found)))


def auto(n_pairs: int) -> tuple[str, str]:
    found = choose_engine("auto", n_pairs=n_pairs)
    assert found.reason is not None
    return found.engine.name, found.reason


def test_without_cupy_nothing_is_probed(machine: Machine) -> None:
    machine.installed = False
    assert auto(MANY) == (
        "numpy",
        "CuPy is not installed; pip install 'gmemgpu[cuda13]' (or cuda12, as the driver allows)",
    )
    assert machine.n_probes == 0
    with pytest.raises(BackendError, match='backend "cupy" cannot run here: CuPy is not installed; pip install'):
        choose_engine("cupy")


def test_without_a_device_the_probe_says_why_and_is_not_repeated(machine: Machine) -> None:
    machine.missing = "no usable NVIDIA driver (cudaErrorInsufficientDriver); install one"
    for _ in range(3):
        assert auto(MANY) == ("numpy", machine.missing)
        with pytest.raises(BackendError, match="cannot run here: no usable NVIDIA driver"):
            choose_engine("cupy")
    assert machine.n_probes == 1
    machine.missing = None
    registry.probe_again()
    assert auto(MANY)[0] == choose_engine("cupy").engine.name == "cupy"
    assert machine.n_probes == 2


def test_not_measured_an_estimate_decides(machine: Machine) -> None:
    assert auto(UNMEASURED_PAIRS - 1) == (
        "numpy",
        "999 evaluations at once; a GPU pays from 1,000 (an estimate: not measured here; `gmemgpu bench` measures it)",
    )
    assert machine.n_probes == 0
    assert auto(UNMEASURED_PAIRS) == (
        "cupy",
        f"1,000 evaluations at once; {GPU}: not measured here; `gmemgpu bench` measures it",
    )


@pytest.mark.parametrize(("engine", "cores"), [("numba", 3), ("numpy", 12)])
def test_not_measured_many_cores_are_faster(machine: Machine, engine: str, cores: int) -> None:
    machine.has_numba, machine.cores = engine == "numba", cores
    assert auto(MANY)[0] == "cupy"
    machine.cores, machine.n_probes = cores + 1, 0
    known = "an estimate: not measured here; `gmemgpu bench` measures it"
    assert auto(MANY) == (engine, f"{cores + 1} cores with {engine}, and a GPU does what {cores} or more do ({known})")
    assert machine.n_probes == 0
    store({"NVIDIA A100, driver 1": 300})
    assert auto(MANY)[0] == engine
    store({GPU: 300})
    assert auto(MANY)[0] == "cupy"


def test_measured_the_measurement_decides(machine: Machine) -> None:
    store({GPU: 432})
    why = "a GPU pays from 432 (as measured here)"
    assert auto(431) == ("numpy", f"431 evaluations at once; {why}")
    assert auto(1) == ("numpy", f"1 evaluation at once; {why}")
    assert machine.n_probes == 0
    assert auto(432) == ("cupy", f"432 evaluations at once; {GPU} pays from 432 (measured 2026-11-22)")


def test_each_gpu_has_its_own_measurement(machine: Machine) -> None:
    store({GPU: 5000, "NVIDIA A100, driver 1": 300, "old": None})
    assert auto(299)[0] == "numpy"
    assert machine.n_probes == 0
    assert auto(4999) == ("numpy", f"4,999 evaluations at once; {GPU} pays from 5,000 (measured 2026-11-22)")
    assert auto(5000)[0] == "cupy"
    store({GPU: None, "NVIDIA A100, driver 1": 300})
    assert auto(MANY) == ("numpy", f"{GPU} was slower than all cores in every batch (measured 2026-11-22)")
    store({"NVIDIA A100, driver 1": 300})
    assert auto(999) == ("numpy", f"999 evaluations at once; {GPU}: not measured here; `gmemgpu bench` measures it")
    assert auto(1000)[0] == "cupy"
    store({GPU: None})
    registry.probe_again()
    machine.n_probes = 0
    assert auto(MANY) == ("numpy", "no GPU measured here was faster than all cores")
    assert machine.n_probes == 0


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is damaged (JSONDecodeError: "),
        ("{", "is damaged (JSONDecodeError: "),
        ("[]", "is damaged (TypeError: "),
        ("{}", "is damaged (KeyError: 'schema')"),
        ("\udcff", "is damaged (UnicodeDecodeError: "),
    ],
)
def test_a_damaged_file_counts_for_nothing(machine: Machine, text: str, problem: str) -> None:
    store_file().parent.mkdir(parents=True)
    store_file().write_text(text, encoding="utf-8", errors="surrogateescape")
    found = read_crossovers()
    assert found.by_gpu == {}
    assert (found.problem or "").startswith(f"{store_file()}: {problem}")
    name, reason = auto(MANY)
    assert name == "cupy"
    assert reason.endswith(f"{found.problem}; `gmemgpu bench` measures it anew")


@pytest.mark.parametrize("n_pairs", [0, -1, "432", 1.5, True])
def test_a_crossover_that_is_none_counts_for_nothing(machine: Machine, n_pairs: Any) -> None:
    store({GPU: n_pairs})
    assert read_crossovers().by_gpu == {}
    assert f"is damaged (ValueError: n_pairs {n_pairs!r})" in (read_crossovers().problem or "")


def test_a_file_that_cannot_be_read_is_named(machine: Machine) -> None:
    store_file().mkdir(parents=True)
    assert read_crossovers().problem == f"{store_file()}: cannot be read: Is a directory"


def test_other_machines_other_versions_and_other_sources_are_not_asked(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    store({GPU: 432})
    here = store_file()
    for name, instead in {
        "cpu_model": lambda: "another processor",
        "core_count": lambda: 9999,
        "_source_hash": lambda: "another source",
    }.items():
        with monkeypatch.context() as patch:
            patch.setattr(crossover, name, instead)
            assert store_file() != here
            assert read_crossovers().by_gpu == {}
            # A file that only has the right name is not believed.
            store_file().write_text(here.read_text())
            assert "is damaged (ValueError: it is of another machine)" in (read_crossovers().problem or "")
    assert read_crossovers().by_gpu == {GPU: Crossover(n_pairs=432, date="2026-11-22")}


def test_numba_is_taken_where_no_gpu_pays_unless_it_takes_longer_to_load(machine: Machine) -> None:
    machine.installed, machine.has_numba = False, True
    assert auto(MANY) == (
        "numba",
        "CuPy is not installed; pip install 'gmemgpu[cuda13]' (or cuda12, as the driver allows)",
    )
    assert auto(NUMBA_PAIRS)[0] == "numba"
    name, reason = auto(NUMBA_PAIRS - 1)
    assert name == "numpy"
    assert reason.startswith("CuPy is not installed; ")
    assert reason.endswith("; Numba, two seconds to load, pays from 50 evaluations or 400,000 events")
    assert choose_engine("auto", n_pairs=1, n_events=NUMBA_EVENTS).engine.name == "numba"
    assert choose_engine("auto", n_pairs=1, n_events=NUMBA_EVENTS - 1).engine.name == "numpy"
    machine.installed = True
    registry.probe_again()
    assert auto(UNMEASURED_PAIRS - 1)[0] == "numba"
    assert auto(UNMEASURED_PAIRS)[0] == "cupy"
    # Workers elsewhere: no GPU is taken for them, and numba as it is here.
    found = choose_engine("auto", n_pairs=MANY, elsewhere=True)
    assert (found.engine.name, str(found.reason)[:29]) == ("numba", "what workers elsewhere have i")
    assert choose_engine("auto", n_pairs=NUMBA_PAIRS - 1, elsewhere=True).engine.name == "numpy"


def test_without_numba_a_message_says_what_to_install(machine: Machine) -> None:
    with pytest.raises(BackendError, match=r"backend \"numba\" cannot run here: Numba is not installed; pip install"):
        choose_engine("numba")


def test_the_cache_folder_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for value in ("", "relative/path"):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert store_file().parent == tmp_path / ".cache" / "gmemgpu"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert store_file().parent == tmp_path / "x" / "gmemgpu"


def test_a_name_is_taken_at_its_word(machine: Machine) -> None:
    for name in ("reference", "numpy", "cupy"):
        found = choose_engine(name, n_pairs=1)
        assert (found.engine.name, found.reason) == (name, None)
    with pytest.raises(SpecError, match='backend: "quantum" is unknown; use auto, reference, numpy, numba, cupy'):
        choose_engine("quantum")
