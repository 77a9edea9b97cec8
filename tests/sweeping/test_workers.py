"""Workers that cannot take part, or die while they start; and any client that a Dask user has in hand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from distributed import Client
from sweep_processes import PATIENCE_S, DaskProcesses, parts_of, preload, run_gmemgpu, wait_until

import gmemgpu
from gmemgpu.engine.registry import engine
from gmemgpu.errors import SpecError
from gmemgpu.generator import generate
from gmemgpu.model.metric import METRIC_NAMES
from gmemgpu.sweeping.run.sweep import sweep
from gmemgpu.sweeping.spec import read_spec

Start = Callable[..., DaskProcesses]

OTHER_VERSION = "import gmemgpu\ngmemgpu.__version__ = '9.9.9'\n"
DIES = """
import os, signal
try:
    os.close(os.open({mark!r}, os.O_CREAT | os.O_EXCL))
except FileExistsError:
    pass
else:
    os.kill(os.getpid(), signal.SIGKILL)
"""
DIES_ALWAYS = "import os\nos._exit(1)\n"
UNSHARE = ("unshare", "--mount", *(() if os.geteuid() == 0 else ("--map-root-user",)))


@pytest.mark.slow
def test_any_client_computes_what_the_judge_says(tiny_file: Path, threads: Client, tmp_path: Path) -> None:
    result = gmemgpu.sweep(tiny_file, tmp_path / "out", client=threads)
    assert (result.n_rows, result.n_computed, result.fallback) == (10, 10, None)
    spec = read_spec(tiny_file)
    rows = pq.ParquetFile(tmp_path / "out" / "results.parquet").read().to_pylist()
    assert result.to_arrow().to_pylist() == rows
    for i, scenario in enumerate(spec.scenarios):
        made = generate(scenario.workload, 0)
        (expected,) = engine("reference").evaluate([made.trace], spec.policies, spec.costs)
        found = rows[2 * i : 2 * i + 2]
        # A decimal equals the integer that it holds.
        assert [{name: row[name] for name in METRIC_NAMES} for row in found] == expected
        assert [(row["label"], row["policy"], row["seed"]) for row in found] == [
            (scenario.label, policy.name, 0) for policy in spec.policies
        ]
        assert {(row["events"], row["admitted"], row["rejected"]) for row in found} == {
            (len(made.trace), made.admitted, made.rejected)
        }
    # The client is its owner's still.
    assert threads.submit(int, "1").result() == 1


def test_mistakes_are_told_all_at_once(tiny_file: Path, threads: Client, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        sweep(tiny_file, tmp_path / "out", threads, workers=2, retries=-1, on_error="ignore")  # type: ignore[arg-type]
    assert str(caught.value).splitlines() == [
        "workers: 2 cannot be had: the client's cluster has the workers it has",
        'on_error: "ignore" is unknown; use stop or continue',
        "retries: -1 is negative; 0 tries each shard once",
    ]
    with pytest.raises(SpecError, match="workers: 0 is not positive"):
        sweep(tiny_file, tmp_path / "out", workers=0)
    assert not (tmp_path / "out").exists()


def refusal(dask: DaskProcesses, spec: Path, directory: Path) -> str:
    """Sweep on a scheduler that has an unfit worker; return the one line that says why not."""
    wait_until(lambda: "Starting established" in (dask.folder / "dask_scheduler-0.log").read_text(), "a worker")
    code, output, errors = run_gmemgpu("sweep", spec, "-o", directory, "--quiet", "--scheduler", dask.address)
    assert (code, output) == (1, "")
    assert errors.count("\n") == 1, errors
    assert not parts_of(directory)
    assert not (directory / "failures").exists()
    return errors


def test_a_worker_with_another_version_is_refused(dask_processes: Start, tiny_file: Path, tmp_path: Path) -> None:
    dask = dask_processes()
    dask.start_workers(1, environment=preload(tmp_path, OTHER_VERSION))
    assert re.match(
        r"gmemgpu: worker tcp://127.0.0.1:\d+ on .*: does not run the same code "
        rf'\(gmemgpu: "9\.9\.9" there, "{gmemgpu.__version__}" here\); install the same versions there',
        refusal(dask, tiny_file, tmp_path / "out"),
    )


def test_a_worker_without_gmemgpu_is_refused(dask_processes: Start, tiny_file: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['gmemgpu'] = None\n")
    dask = dask_processes()
    dask.start_workers(1, environment={"PYTHONPATH": str(tmp_path)})
    assert "cannot run gmemgpu" in refusal(dask, tiny_file, tmp_path / "out")


def test_a_worker_on_another_disk_is_refused(dask_processes: Start, tiny_file: Path, tmp_path: Path) -> None:
    if subprocess.run([*UNSHARE, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no mount namespaces can be made here")
    (tmp_path / "shared").mkdir()
    dask = dask_processes()
    mount = 'mount -t tmpfs tmpfs "$0" && exec "$@"'
    dask.start_workers(1, before=(*UNSHARE, "sh", "-c", mount, str(tmp_path / "shared")))
    told = refusal(dask, tiny_file, tmp_path / "shared" / "out")
    assert f"does not see {tmp_path}/shared/out/parts; DIR must lie on a file system that this machine and all" in told


@pytest.mark.slow
def test_a_worker_that_dies_while_it_starts_does_not_end_a_sweep_that_has_others(
    tiny_file: Path, tiny_whole: Path, tmp_path: Path
) -> None:
    environment = preload(tmp_path, DIES.format(mark=str(tmp_path / "one died")))
    command = ("sweep", tiny_file, "-o", tmp_path / "out", "--workers", 2, "--quiet")
    assert run_gmemgpu(*command, environment=environment) == (0, "", "")
    assert (tmp_path / "one died").exists()
    assert (tmp_path / "out" / "results.parquet").read_bytes() == (tiny_whole / "results.parquet").read_bytes()


def test_workers_that_all_die_while_they_start_are_told(tiny_file: Path, tmp_path: Path) -> None:
    environment = preload(tmp_path, DIES_ALWAYS)
    command = ("sweep", tiny_file, "-o", tmp_path / "out", "--workers", 2, "--quiet")
    code, output, errors = run_gmemgpu(*command, environment=environment)
    assert (code, output) == (1, "")
    assert re.fullmatch(r"gmemgpu: no worker can be started: each ended before it was up; .*\n", errors), errors


SPEC = {"policies": [], "workload": {"preset": "idle-snp", "horizon_ns": "1 min", "warmup_ns": "1 s"}}
UNGUARDED = f"""
import gmemgpu
try:
    gmemgpu.sweep({SPEC!r}, "out", workers=2)
except gmemgpu.GmemgpuError as error:
    print(error)
"""
GUARDED = f"""
import gmemgpu
if __name__ == "__main__":
    print(gmemgpu.sweep({SPEC!r}, "out", workers=2).n_computed)
"""


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (
            UNGUARDED,
            'no worker can be started; put the call under `if __name__ == "__main__":`: worker processes import the '
            "script, and would sweep once more\n",
        ),
        (GUARDED, "1\n"),
    ],
    ids=["unguarded", "guarded"],
)
def test_a_script_needs_its_guard(script: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(script)
    ran = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    assert (ran.stdout, ran.stderr) == (told, "")
