"""Job arrays: shares of a sweep in processes of their own, which need no Dask and know nothing of each other."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from distributed import Client
from sweep_processes import PATIENCE_S, Hold, parts_of, run_gmemgpu, running, wait_for_parts

from gmemgpu.cli.main import main
from gmemgpu.sweeping.run.progress import SweepEvent, SweepMerged, SweepStarted
from gmemgpu.sweeping.run.share import compute_share
from gmemgpu.sweeping.run.sweep import sweep
from gmemgpu.sweeping.store.manifest import read_manifest, sweep_command

Contents = Callable[[Path], dict[str, str]]


def test_an_array_of_processes_makes_the_same_bytes_as_a_local_sweep(
    spec_file: Path, undisturbed: Path, contents: Contents, threads: Client, tmp_path: Path
) -> None:
    directory = tmp_path / "out"
    with ExitStack() as stack:
        tasks = [
            stack.enter_context(running("shard", spec_file, "-o", directory, "--index", i, "--of", 3, "--json"))
            for i in range(3)
        ]
        told = [json.loads(task.communicate(timeout=PATIENCE_S)[0]) for task in tasks]
    assert [task.returncode for task in tasks] == [0, 0, 0]
    assert [of["n_shards_computed"] for of in told] == [6, 5, 5]
    # Whoever came last merged; two may have come last at once.
    assert any(of["is_merged"] for of in told)
    sweep(spec_file, tmp_path / "local", threads)
    assert contents(directory) == contents(tmp_path / "local") == contents(undisturbed)


def test_a_killed_task_and_one_that_is_asked_to_end_lose_nothing_finished(
    spec_file: Path, undisturbed: Path, contents: Contents, tmp_path: Path
) -> None:
    directory = tmp_path / "out"
    hold = Hold(tmp_path / "hold", directory, 2)
    command = ("shard", spec_file, "-o", directory, "--index", 0, "--of", 1, "--backend", "numpy", "--quiet")
    with running(*command, environment=hold.python_environment) as task:
        wait_for_parts(task, directory, 2)
        task.terminate()
        assert task.communicate(timeout=PATIENCE_S) == ("", "gmemgpu: terminated; run the same again to go on\n")
    assert task.returncode == 143
    hold.at(4)
    with running(*command, environment=hold.python_environment) as task:
        wait_for_parts(task, directory, 4)
        task.kill()
        task.communicate(timeout=PATIENCE_S)
    n_there = len(parts_of(directory))
    assert n_there == 4
    code, output, _ = run_gmemgpu(*command, "--json")
    assert (code, json.loads(output)["n_shards_computed"]) == (0, 16 - n_there)
    assert contents(directory) == contents(undisturbed)


def test_shares_in_any_number_and_order_and_a_sweep_go_on_with_each_others_parts(
    tiny_file: Path, tiny_whole: Path, contents: Contents, threads: Client, tmp_path: Path
) -> None:
    directory = tmp_path / "out"
    events: list[SweepEvent] = []
    found = compute_share(tiny_file, directory, index=2, of=3, backend="numpy", progress=events.append)
    assert (found.n_shards, found.n_rows, found.n_shards_computed, found.is_merged) == (1, 2, 1, False)
    assert isinstance(events[0], SweepStarted)
    assert (events[0].n_shards, events[0].n_rows_done) == (1, 0)
    compute_share(tiny_file, directory, index=0, of=2, backend="numpy")
    assert len(parts_of(directory)) == 3
    assert sweep(tiny_file, directory, threads).n_computed == 4
    assert contents(directory) == contents(tiny_whole)
    (directory / "results.parquet").unlink()
    assert compute_share(tiny_file, directory, index=7, of=9, progress=events.append).is_merged
    assert events[-1] == SweepMerged(n_rows=10)
    assert contents(directory) == contents(tiny_whole)


@pytest.mark.parametrize(
    ("index", "of", "message"),
    [
        (3, 3, "index: 3 is outside 0 to 2; number 3 shares from 0"),
        (-1, 3, "index: -1 is outside 0 to 2; number 3 shares from 0"),
        (0, 0, "of: 0 shares are none; give a positive number"),
    ],
)
def test_a_share_that_does_not_exist_is_refused(
    tiny_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], index: int, of: int, message: str
) -> None:
    assert main(["shard", str(tiny_file), "-o", str(tmp_path / "out"), "--index", str(index), "--of", str(of)]) == 2
    assert capsys.readouterr().err == f"gmemgpu: {message}\n"
    assert not (tmp_path / "out").exists()


def test_no_dask_is_loaded(tiny_file: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from gmemgpu.cli.main import main; "
        f"code = main(['shard', {str(tiny_file)!r}, '-o', {str(tmp_path / 'out')!r}, '--index=0', '--of=1']); "
        "assert code == 0 and not {'dask', 'distributed'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE_S)


def test_a_policy_that_visits_nothing_is_told_or_refused(
    tiny_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = tmp_path / "doubtful.toml"
    own = '[[policy]]\nname = "mine"\nhook = "vm_destroy"\nscope = "region"\n'
    spec.write_text(f"{tiny_file.read_text()}\n{own}")
    told = f'{spec}: policy "mine": hook = "vm_destroy" with scope = "region" visits nothing'
    share = ["shard", str(spec), "-o", str(tmp_path / "out"), "--index", "0", "--of", "1"]
    for command in (share, ["sweep", str(spec), "-o", str(tmp_path / "out")]):
        assert main([*command, "--strict"]) == 2
        assert capsys.readouterr().err.startswith(f"gmemgpu: {told}")
    assert not (tmp_path / "out").exists()
    assert main([*share, "--quiet"]) == 0
    assert capsys.readouterr().err.startswith(f"gmemgpu: warning: {told}")


def test_the_manifest_names_the_file_of_the_spec_which_makes_no_other_sweep(
    tiny_file: Path, tiny_whole: Path, contents: Contents, tmp_path: Path
) -> None:
    directory = tmp_path / "out"
    (tmp_path / "folder").mkdir()
    moved = tmp_path / "folder" / "with a blank.toml"
    moved.write_text(tiny_file.read_text())
    compute_share(moved, directory, index=0, of=2, backend="numpy")
    # Another name, or none, goes on with what is there.
    compute_share(tomllib.loads(moved.read_text()), directory, index=1, of=4, backend="numpy")
    assert compute_share(tiny_file, directory, index=0, of=1, backend="numpy").is_merged
    found, usual = read_manifest(directory), read_manifest(tiny_whole)
    assert (found.spec_file, usual.spec_file) == ("with a blank.toml", tiny_file.name)
    assert sweep_command(found, "my results") == "gmemgpu sweep 'with a blank.toml' -o 'my results'"
    assert replace(found, spec_file=usual.spec_file) == usual
    assert found.results_sha256 == usual.results_sha256
    text = (directory / "manifest.json").read_text()
    assert str(tmp_path) not in text
    nameless = tmp_path / "nameless"
    compute_share(tomllib.loads(moved.read_text()), nameless, index=0, of=2, backend="numpy")
    assert read_manifest(nameless).spec_file is None
    assert sweep_command(read_manifest(nameless), "out") == "gmemgpu sweep SPEC -o out"
    # As an earlier version wrote it.
    assert "spec_file" not in json.loads((nameless / "manifest.json").read_text())
