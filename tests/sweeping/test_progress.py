"""What a running sweep tells: from the first second, and numbers that add up."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from urllib.request import urlopen

import pytest
from distributed import Client, LocalCluster
from sweep_processes import run_gmemgpu, running

from gmemgpu.cli import progress
from gmemgpu.sweeping.run import client, worker
from gmemgpu.sweeping.run.progress import (
    ShardsDone,
    StillRunning,
    SweepEvent,
    SweepMerged,
    SweepStarted,
    WorkersReady,
)
from gmemgpu.sweeping.run.shard import Setting, Shard, compute_shards
from gmemgpu.sweeping.run.sweep import sweep


def test_events_come_in_order_and_add_up(tiny_file: Path, tiny: Path, threads: Client) -> None:
    (tiny / "results.parquet").unlink()
    part, *_ = sorted((tiny / "parts").iterdir())
    part.unlink()
    events: list[SweepEvent] = []
    sweep(tiny_file, tiny, threads, backend="numpy", progress=events.append)
    first, *rest, last = events
    assert first == SweepStarted(n_shards=5, n_shards_done=4, n_rows=10, n_rows_done=8, backend="numpy", reason=None), (
        first
    )
    assert last == SweepMerged(n_rows=10)
    assert first.n_rows_done + sum(event.n_rows for event in rest if isinstance(event, ShardsDone)) == 10
    assert all(isinstance(event, ShardsDone | StillRunning | WorkersReady) for event in rest)
    events.clear()
    assert sweep(tiny_file, tiny, progress=events.append).n_computed == 0
    assert [type(event) for event in events] == [SweepStarted]


def test_piped_output_tells_a_line_before_any_worker_is_up(spec_file: Path, tmp_path: Path) -> None:
    with running("sweep", spec_file, "-o", tmp_path / "out", "--workers", 1) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line == "gmemgpu: 128 of 128 evaluations to do, 16 parts\n"
        assert not list((tmp_path / "out" / "parts").iterdir())
        # Dask's pages would take longer to start than this sweep takes.
        assert process.stderr.readline() == "gmemgpu: 1 worker\n"


def test_a_sweep_of_more_than_a_minute_tells_where_its_dashboard_is(spec_file: Path, tmp_path: Path) -> None:
    large = tmp_path / "large.toml"
    large.write_text(spec_file.read_text().replace("seeds = 2\n", "seeds = 2000\n"))
    with running("sweep", large, "-o", tmp_path / "out", "--workers", 1) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("gmemgpu: 128,000 of 128,000 evaluations to do, ")
        # Tests have Bokeh, without which nobody could look at the page.
        line = process.stderr.readline()
        assert re.fullmatch(r"gmemgpu: 1 worker, dashboard http://127\.0\.0\.1:\d+/status\n", line), line


def test_a_small_sweep_tells_its_beginning_and_its_end(tiny_file: Path, tmp_path: Path) -> None:
    command = ("sweep", tiny_file, "-o", tmp_path / "out", "--workers", 1, "--backend", "numpy")
    code, output, errors = run_gmemgpu(*command)
    assert code == 0, errors
    assert "snp.share=0.6" in output
    # So little happens there that no guest leaves a region free.
    idle = "gmemgpu: warning: 5 scenarios .*: no guest that went left a region free in the seed, .*\n"
    assert re.fullmatch(
        f"gmemgpu: 10 of 10 evaluations to do, 5 parts\n(gmemgpu: 1 worker\n)?gmemgpu: 10 rows merged\n{idle}",
        errors,
    ), errors
    assert re.fullmatch(f"gmemgpu: 0 of 10 evaluations to do, 0 parts\n{idle}", run_gmemgpu(*command)[2])


def test_a_pipe_hears_of_time_that_passes_while_no_part_ends(
    tiny_file: Path,
    tmp_path: Path,
    threads: Client,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(progress, "_LINE_EVERY_S", 0.1)
    monkeypatch.setattr(client, "_CHECK_EVERY_S", 0.0)
    enough = Event()

    def held(shards: Sequence[Shard], setting: Setting, parts: Path, generated: None) -> str | None:
        assert enough.wait(60)
        return compute_shards(shards, setting, parts, generated)

    monkeypatch.setattr(worker, "compute_shards", held)
    told = ""
    with progress.shown_progress(quiet=False, say_why=False) as listen:
        assert listen is not None

        def hear(event: SweepEvent) -> None:
            nonlocal told
            listen(event)
            told += capsys.readouterr().err
            if told.count(" done, ") == 2:
                enough.set()

        sweep(tiny_file, tmp_path / "out", threads, backend="numpy", progress=hear)
    # A third one may come before the first part does.
    assert told.count("gmemgpu: 0 of 10 evaluations done, ") >= 2, told
    with progress.shown_progress(quiet=True, say_why=False) as listen:
        assert listen is None


def test_the_next_cluster_of_this_process_has_its_dashboard(tiny_file: Path, tmp_path: Path) -> None:
    # Of a sweep as small as this Dask was told that there is no Bokeh.
    sweep(tiny_file, tmp_path / "out", workers=1, backend="numpy")
    with (
        LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster,
        urlopen(cluster.dashboard_link, timeout=30) as page,
    ):
        assert b"<title>Dask Diagnostic UI</title>" in page.read()
