"""The GPU's benchmark is one command, and it works: run whole, on tiny inputs, on whatever device these tests have."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gmemgpu.catalogue import named_policies
from gmemgpu.engine.cupy.kernel import KERNELS
from gmemgpu.engine.kernel_runs import source_hash
from gmemgpu.engine.registry import why_missing
from gmemgpu.measuring import rates
from gmemgpu.measuring.rates import BenchPlan
from gmemgpu.rmp.scan import RegionScan, scan_regions

ROOT = Path(__file__).parents[1]
SWEEP = {
    "seeds": 2,
    "policies": ["v10"],
    "workload": {
        "preset": "mixed-pods",
        "host": {"name": "pod", "memory_bytes": "16 GiB", "cores": 4},
        "horizon_ns": "2 min",
        "warmup_ns": "1 min",
        "stock": {"vms": 5},
        "sizes": {"scale": 0.125},
        "memory": {"rmp_segment_bytes": "8 GiB"},
    },
}


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The benchmark's module."""
    if why_missing("cupy") is not None:
        pytest.skip("neither a CUDA device nor an emulated one")
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.setattr(rates, "QUICK", BenchPlan((1,), kinds=False, least_s=0.0))
    return importlib.import_module("bench.gpu")


@pytest.fixture
def sizes(bench: Any) -> Any:
    """Two regions and a remainder, three small traces; two CPU engines stand for the back-ends of a sweep."""
    tiny = bench.Size(
        device_bytes=2 << 15,
        host_bytes=2 << 15,
        repeats=2,
        batch_repeats=1,
        batch_s=0.0,
        images=bench.Case("idle-snp", True, 1),
        image_times=2,
        cases=(bench.Case("mixed-pods", True, 3),),
        crossover="QUICK",
        sweep=SWEEP,
        cpu_engine="numpy",
        sweep_backends=(("numpy", None), ("reference", 1)),
    )
    return tiny, tiny


@pytest.mark.slow
def test_the_whole_run(bench: Any, sizes: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    kept = tmp_path / "results"
    status = bench.main(["--json", "--commit", "abc1234", "--save", str(kept)], sizes)
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert found["command"] == "python bench/gpu.py"
    hardware = found["hardware"]
    for key in ("gpu", "driver", "cuda_driver", "cupy", "cpu", "cores", "memory_gib", "numpy", "date"):
        assert hardware[key], key
    assert hardware["commit"] == "abc1234"
    # Every kernel of the package has been launched, and its answers were compared.
    assert found["kernels"] == {name: source_hash(name) for name in KERNELS}
    assert list(found["parts"]) == list(bench.PARTS)
    assert {part["command"] for part in found["parts"].values()} == {"python bench/gpu.py"}
    figures = found["figures"]
    assert list(figures) == list(bench.PARTS)
    assert figures["copy"]["GB_per_s"] > 0
    assert figures["rmp_scan"]["regions"] == 5
    for name in ("aligned", "shifted by 8 bytes"):
        assert figures["rmp_scan"][name]["GB_per_s"] > 0
        assert figures["rmp_scan"][name]["share_of_copy"] > 0
    assert figures["rmp_scan"]["host_memory"]["bytes"] == 5 << 15
    assert (figures["images"]["images"], set(figures["images"]["kernels_ms"])) == (2, {"rmp_image", "rmp_scan"})
    (batch,) = figures["batches"].values()
    assert (batch["traces"], batch["policies"], batch["pairs"]) == (3, 32, 96)
    assert set(batch["kernels_ms"]) == set(KERNELS) - {"rmp_image", "rmp_scan"}
    assert batch["timeline_pieces_per_s"] > 0
    assert batch["portions"] == 3
    assert (batch["cpu_engine"], batch["repeats"]) == ("numpy", 1)
    assert batch["memory_held_bytes"] > 0
    assert [rate[:3] for rate in figures["crossover"]["rates"]] == [["all", 1, 29]]
    assert figures["sweep"]["numpy"]["rows"] == figures["sweep"]["reference, 1 workers"]["rows"] == 4
    # What was only emulated is never kept as if it had run.
    if hardware["emulated"]:
        assert status == 1
        assert told.err.endswith("bench/gpu.py: nothing is kept: this was an emulation\n")
        assert not kept.exists()
    else:
        assert status == 0
        (record,) = kept.iterdir()
        assert json.loads(record.read_text()) == found


def test_a_run_that_is_cut_off_leaves_what_it_had(bench: Any, sizes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut_off(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(bench._MEASURE, "images", cut_off)
    record: dict[str, Any] = {"command": "now", "kernels": {}, "parts": {"sweep": "before"}, "figures": {"sweep": 1}}
    kept: list[Any] = []
    with pytest.raises(KeyboardInterrupt):
        bench.measure(record, sizes[0], bench.PARTS, lambda: kept.append(json.loads(json.dumps(record))))
    assert [list(found["parts"]) for found in kept] == [["sweep", "copy"], ["sweep", "copy", "rmp_scan"]]
    assert kept[-1]["figures"].keys() == {"sweep", "copy", "rmp_scan"}
    assert kept[-1]["kernels"] == {"rmp_scan": source_hash("rmp_scan")}


def test_parts_of_the_same_day_machine_and_commit_stay(bench: Any, tmp_path: Path) -> None:
    hardware = {"gpu": "NVIDIA H200", "commit": "abc1234", "date": "2026-12-01"}
    record = {"hardware": hardware, "parts": {"copy": {}}, "figures": {"copy": {}}, "kernels": {}}
    path = tmp_path / "gpu-nvidia-h200.json"
    assert bench._earlier(path, hardware) == {}
    path.write_text(json.dumps(record))
    assert bench._earlier(path, hardware) == record
    assert bench._earlier(path, {**hardware, "commit": "abc1235"}) == {}
    path.write_text("{")
    assert bench._earlier(path, hardware) == {}


def test_a_table_for_people_and_parts_by_name(bench: Any, sizes: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--only", "rmp_scan"], sizes) == 0
    out = capsys.readouterr().out
    assert "gpu " in out.splitlines()[0]
    assert any(line.startswith("rmp_scan / aligned / share_of_copy") for line in out.splitlines())
    assert "batches" not in out


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("scan_regions", "rmp_scan, aligned: not what the CPU finds"),
        ("on_all_cores", "3 × mixed-pods, small: cupy and numpy differ"),
    ],
)
def test_no_figure_of_a_wrong_answer(
    bench: Any, sizes: Any, monkeypatch: pytest.MonkeyPatch, wrong: str, message: str
) -> None:
    kernels, batches = importlib.import_module("bench.gpu_kernels"), importlib.import_module("bench.gpu_batches")

    def scan(words: Any) -> RegionScan:
        found = scan_regions(words)
        found.assigned[1] += 1
        return found

    monkeypatch.setattr(kernels, "scan_regions", scan)
    right = batches.on_all_cores

    def rows(*case: Any) -> Any:
        found = right(*case)
        found.rows[2][0]["passes"] += 1
        return found

    monkeypatch.setattr(batches, "on_all_cores", rows)
    with pytest.raises(kernels.WrongAnswer, match=message):
        bench.main(["--only", "rmp_scan" if wrong == "scan_regions" else "batches"], sizes)


def test_the_driver_is_asked_how_busy_the_gpu_was(bench: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    batches = importlib.import_module("bench.gpu_batches")
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 80\necho '[N/A]'\necho 90\nexec sleep 60\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with batches._utilisation() as samples:
        importlib.import_module("time").sleep(0.3)
    assert samples == [80, 90]
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with batches._utilisation() as samples:
        pass
    assert samples == []


@pytest.mark.parametrize("command", [["bench/gpu.py"], ["-m", "bench.gpu"]])
def test_both_ways_to_call_it(command: list[str]) -> None:
    ran = subprocess.run([sys.executable, *command, "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "--save" in ran.stdout


def test_the_host_is_measured_beside_calls_of_cupy(monkeypatch: pytest.MonkeyPatch, gxx: str) -> None:
    monkeypatch.syspath_prepend(ROOT)
    device_host = importlib.import_module("bench.device_host")
    case = device_host.Case("idle-snp", True, 2)
    with importlib.import_module("strict_cupy").installed() as cupy:
        figures = device_host.host_figures(cupy, list(device_host.traces_of(case, [0, 1])), named_policies()[:3], 100)
        assert figures["calls_a_batch"] > figures["calls_a_batch_of_one_policy"] > 0
        assert figures["calls_a_batch"] > figures["waits_a_batch"] > 0
        assert figures["calls_a_batch"] == sum(figures["most_called"].values())
        assert figures["host_s"] > 0
        array = cupy.arange(1 << 20)
        with device_host.metered(cupy) as meter:
            own_s, calls, waits, moved = meter.measure(lambda: [int((array + 1)[3]) for _ in range(30)])
        begin = device_host.time.thread_time()
        _ = [int((array + 1)[3]) for _ in range(30)]
        # A copy of 8 MiB each is the calls' own.
        assert own_s < (device_host.time.thread_time() - begin) / 2
    assert calls == {"__add__": 30, "slice": 30, "__int__": 30, "__del__": 30}
    assert waits == 30
    assert moved == 30 * (2 * 8 * (1 << 20) + 8)


def test_the_copy_of_traces_is_measured_apart(monkeypatch: pytest.MonkeyPatch, gxx: str) -> None:
    monkeypatch.syspath_prepend(ROOT)
    device_host = importlib.import_module("bench.device_host")
    traces = list(device_host.traces_of(device_host.Case("mixed-pods", True, 8), range(8)))
    with importlib.import_module("strict_cupy").installed():
        figures = device_host.copy_figures(traces, 2)
    assert figures["traces"] == 8
    assert figures["events_a_trace"] == sum(map(len, traces)) // 8
    # How long it takes depends on the machine, and on what else runs there.
    assert {f"copy_{clock}_ms_each_further_trace" for clock in ("cpu", "wall")} < set(figures)


def test_without_a_device_it_says_why() -> None:
    environ = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    ran = subprocess.run(
        [sys.executable, "bench/gpu.py"], cwd=ROOT, capture_output=True, text=True, check=False, env=environ
    )
    assert ran.returncode == 1
    assert ran.stdout == ""
    assert ran.stderr.startswith("bench/gpu.py: ")
    assert ran.stderr.count("\n") == 1
