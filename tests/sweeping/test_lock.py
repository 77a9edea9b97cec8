"""One client a directory, and one sweep a directory: who else comes is refused, or takes over from the dead."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import psutil
import pytest
from distributed import Client
from sweep_processes import PATIENCE_S, Hold, parts_of, run_gmemgpu, running, wait_for_parts, wait_until, workers_of

import gmemgpu
from gmemgpu.cli.main import main
from gmemgpu.errors import DirectoryError
from gmemgpu.sweeping.run.share import compute_share
from gmemgpu.sweeping.run.sweep import sweep

Contents = Callable[[Path], dict[str, str]]


def age(lock: Path, seconds: float) -> None:
    """Set a lock's last sign of life back."""
    touched_s = lock.stat().st_mtime - seconds
    os.utime(lock, (touched_s, touched_s))


def changed(spec: Path, folder: Path, old: str, new: str) -> Path:
    """Write a spec that differs in one place."""
    assert old in spec.read_text()
    path = folder / "changed.toml"
    path.write_text(spec.read_text().replace(old, new, 1))
    return path


@pytest.mark.slow
def test_a_second_client_is_refused_until_the_first_is_silent_and_the_first_then_stops(
    spec_file: Path, undisturbed: Path, contents: Contents, hold: Hold, threads: Client, tmp_path: Path
) -> None:
    directory = tmp_path / "out"
    command = ("sweep", spec_file, "-o", directory, "--workers", 1, "--quiet")
    with running(*command) as first:
        wait_for_parts(first, directory, 2)
        code, output, errors = run_gmemgpu(*command)
        assert (code, output) == (2, "")
        holder = re.escape(f"gmemgpu: {directory}: {socket.gethostname()}, process {first.pid} works on it")
        assert re.fullmatch(
            holder + r" \(last sign of life \d s ago\); wait for it, end it, .* take over with --take-over\n", errors
        )
        assert first.poll() is None
        # Suspended, as by a laptop's lid: alive, and silent for longer than a lease.
        asleep = [psutil.Process(first.pid), *workers_of(first.pid)]
        for process in asleep:
            process.suspend()
        age(directory / "lock", 61)
        hold.let_go()
        assert sweep(spec_file, directory, threads).n_computed > 0
        for process in asleep:
            process.resume()
        output, errors = first.communicate(timeout=PATIENCE_S)
    assert first.returncode == 1
    assert errors.startswith(f"gmemgpu: {directory}: was taken over by another sweep")
    assert contents(directory) == contents(undisturbed)


@pytest.mark.slow
def test_take_over_takes_it_from_the_living(
    spec_file: Path, undisturbed: Path, contents: Contents, hold: Hold, tmp_path: Path
) -> None:
    directory = tmp_path / "out"
    command = ("sweep", spec_file, "-o", directory, "--workers", 1, "--quiet")
    with running(*command) as first:
        wait_for_parts(first, directory, 2)
        # Nobody holds its own workers.
        free = dict.fromkeys(hold.environment, "[]")
        assert run_gmemgpu(*command, "--take-over", environment=free) == (0, "", "")
        hold.let_go()
        _, errors = first.communicate(timeout=PATIENCE_S)
    assert first.returncode == 1
    assert "was taken over by another sweep" in errors
    assert contents(directory) == contents(undisturbed)


def holder_text(**changes: Any) -> str:
    return json.dumps({"host": "elsewhere", "pid": 1, "started": 1, "token": "0", **changes})


@pytest.mark.parametrize(
    ("text", "silent_s", "is_refused"),
    [
        (holder_text(), 0, True),
        (holder_text(), 61, False),
        (holder_text(host=socket.gethostname()), 0, False),  # that process began at another time
        (holder_text(host=socket.gethostname(), pid=2**22 + 1), 0, False),
        ("", 0, True),  # being written this moment
        ("", 61, False),
        ("[1]", 61, False),
        (holder_text(more=1), 61, False),
    ],
)
def test_a_dead_or_silent_holder_is_replaced(
    tiny_file: Path, tiny: Path, threads: Client, text: str, silent_s: float, is_refused: bool
) -> None:
    lock = tiny / "lock"
    lock.write_text(text)
    age(lock, silent_s)
    if is_refused:
        with pytest.raises(DirectoryError, match=r"works on it .* --take-over") as caught:
            sweep(tiny_file, tiny, threads)
        assert caught.value.exit_code == 2
        assert lock.read_text() == text
        sweep(tiny_file, tiny, threads, take_over=True)
    else:
        sweep(tiny_file, tiny, threads)
    assert not lock.exists()


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("[0.2, 0.4", "[0.4, 0.2", "workload.snp.share: [0.2,0.4"),
        ('["v10"]', '["v2"]', 'policies: ["v10","oracle"] there, ["v2","oracle"] here'),
        ('name = "tiny"', "seeds = 2", "seeds: [0] there, [0,1] here"),
        ('name = "tiny"', "costs.base = 1", "costs.base: 30 there, 1 here"),
        ('"10 min"', '"11 min"', "workload.horizon_ns: "),
    ],
)
def test_another_sweep_is_refused_with_the_difference(
    tiny_file: Path, tiny: Path, contents: Contents, threads: Client, tmp_path: Path, old: str, new: str, line: str
) -> None:
    before = contents(tiny)
    with pytest.raises(DirectoryError) as caught:
        sweep(changed(tiny_file, tmp_path, old, new), tiny, threads)
    message = str(caught.value)
    assert message.startswith(f"{tiny}: holds another sweep; choose another directory, or delete this one")
    assert line in message
    assert contents(tiny) == before


def test_a_directory_of_other_things_is_left_alone(tiny_file: Path, threads: Client, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(DirectoryError, match=r"holds other files \(thesis.tex\); give a directory of its own"):
        sweep(tiny_file, tmp_path, threads)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    for path in (tmp_path / "thesis.tex", tmp_path / "thesis.tex" / "x"):
        with pytest.raises(DirectoryError, match=r"cannot be written: .*; choose another directory"):
            sweep(tiny_file, path, threads)


@pytest.mark.slow
def test_of_two_sweeps_that_begin_at_once_in_one_directory_one_is_refused(
    tiny_file: Path, tiny_whole: Path, tmp_path: Path
) -> None:
    specs = [tiny_file, changed(tiny_file, tmp_path, "0.2", "0.3")]
    whole = (tiny_whole / "results.parquet").read_bytes()

    def begin(spec: Path, directory: Path, ready: threading.Barrier) -> str:
        ready.wait(PATIENCE_S)
        try:
            compute_share(spec, directory, index=0, of=1, backend="numpy")
        except DirectoryError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(2) as pool:
        for i in range(8):
            directory = tmp_path / f"out-{i}"
            told = list(pool.map(begin, specs, [directory] * 2, [threading.Barrier(2)] * 2))
            (refusal,) = filter(None, told)
            assert "holds another sweep" in refusal
            assert len(parts_of(directory)) == 5
            assert ((directory / "results.parquet").read_bytes() == whole) is (told[0] == "")


@pytest.mark.slow
def test_of_two_clients_that_begin_at_once_one_is_refused(tiny_file: Path, tmp_path: Path) -> None:
    command = ("sweep", tiny_file, "-o", tmp_path / "out", "--workers", 1, "--quiet")
    with running(*command) as one, running(*command) as other:
        errors = [process.communicate(timeout=PATIENCE_S)[1] for process in (one, other)]
    codes = sorted((one.returncode, other.returncode))
    # The second may have come when the first was done; what it may not do is to work beside it.
    assert codes in ([0, 0], [0, 2])
    assert sum("works on it" in told for told in errors) == codes.count(2)


def test_a_changed_name_is_the_same_sweep(tiny_file: Path, tiny: Path, threads: Client, tmp_path: Path) -> None:
    assert sweep(changed(tiny_file, tmp_path, '"tiny"', '"renamed"'), tiny, threads).n_computed == 0


@pytest.mark.slow
def test_another_engine_goes_on(
    tiny_file: Path, tiny_whole: Path, tiny: Path, contents: Contents, threads: Client
) -> None:
    (tiny / "results.parquet").unlink()
    for part in parts_of(tiny)[:3]:
        part.unlink()
    assert sweep(tiny_file, tiny, threads, backend="reference").n_computed == 6
    assert contents(tiny) == contents(tiny_whole)


def test_changed_sources_refuse_no_resume(tiny_file: Path, tiny: Path, tmp_path: Path) -> None:
    package = Path(gmemgpu.__file__).parent
    copy = tmp_path / "elsewhere" / "gmemgpu"
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for source in copy.rglob("*.py"):
        source.write_text(source.read_text() + "\n# another comment\n")
    (tiny / "results.parquet").unlink()
    parts_of(tiny)[0].unlink()
    command = ("shard", tiny_file, "-o", tiny, "--index", 0, "--of", 1, "--backend", "numpy")
    code, _, errors = run_gmemgpu(*command, environment={"PYTHONPATH": str(copy.parent)})
    assert code == 0, errors
    assert "share 0 of 1: 1 shards computed, 0 failed" in errors
    wait_until(lambda: (tiny / "results.parquet").exists(), "the merged rows")


def test_no_cluster_is_opened_for_nothing(tiny_whole: Path, tiny_file: Path, tmp_path: Path) -> None:
    # Neither for a sweep that is done, nor for a directory that is refused: jobs would wait in a queue to be cancelled.
    def opened() -> NoReturn:
        raise AssertionError("a cluster was opened")

    assert sweep(tiny_file, tiny_whole, opened, backend="numpy").n_computed == 0
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(DirectoryError, match="holds other files"):
        sweep(tiny_file, tmp_path, opened, backend="numpy")
    command = ["sweep", str(tiny_file), "--backend", "numpy", "--quiet", "--cluster", "slurm", "-o"]
    assert main([*command, str(tiny_whole)]) == 0
    assert main([*command, str(tmp_path)]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
