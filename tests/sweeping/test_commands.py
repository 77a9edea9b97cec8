"""``gmemgpu sweep`` and ``gmemgpu show`` as a user calls them."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from gmemgpu.cli import sweep as sweep_command
from gmemgpu.cli.main import main
from gmemgpu.sweeping.progress import ShardDone, SweepMerged, SweepStarted

JOBS = Path(__file__).parents[2] / "jobs"


def test_a_finished_sweep_prints_its_table_again(
    spec_file: Path, undisturbed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", str(spec_file), "-o", str(undisturbed)]) == 0
    out, err = capsys.readouterr()
    assert err == "gmemgpu: 0 of 240 evaluations to do in 0 tasks on 0 workers\n"
    assert "snp.share=0.48 · 2 seeds" in out
    assert main(["show", str(undisturbed)]) == 0
    assert capsys.readouterr() == (out, "")


def test_quiet_says_nothing_and_json_is_json(
    spec_file: Path, undisturbed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", str(spec_file), "-o", str(undisturbed), "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert main(["sweep", str(spec_file), "-o", str(undisturbed), "--quiet", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["groups"]) == 24


def test_show_groups_sorts_and_chooses(undisturbed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--group-by", "preset", "--sort", "regret", "--policy", "v10", "refcount", "never"]
    assert main(["show", str(undisturbed), "--json", *options]) == 0
    (group,) = json.loads(capsys.readouterr().out)["groups"]
    assert (group["group"], group["scenarios"]) == ({"preset": "mixed-pods"}, 24)
    assert [line["policy"] for line in group["policies"]] == ["refcount", "v10", "never"]
    assert main(["show", str(undisturbed), "--csv", *options]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_show_says_how_much_is_there(undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = tmp_path / "out"
    shutil.copytree(undisturbed, directory)
    (directory / "results.parquet").unlink()
    next((directory / "parts").iterdir()).unlink()
    assert main(["show", str(directory)]) == 0
    assert "Not finished: 23 of 24 parts" in capsys.readouterr().out


def test_mistakes_go_to_stderr_with_exit_code_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s.toml").write_text('sedes = 3\npolicies = ["v1o"]\n[workload]\n')
    assert main(["sweep", str(tmp_path / "s.toml"), "-o", str(tmp_path / "out")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        f'gmemgpu: {tmp_path}/s.toml: sedes: unknown key; did you mean "seeds"?',
        f'gmemgpu: {tmp_path}/s.toml: policies[0]: "v1o" is no policy; did you mean "v10"?',
    ]
    assert not (tmp_path / "out").exists()
    assert main(["show", str(tmp_path)]) == 2
    assert "holds no sweep" in capsys.readouterr().err
    assert main(["show", str(tmp_path / "gone")]) == 2
    assert "gone: holds no sweep" in capsys.readouterr().err


def test_a_directory_that_cannot_be_is_a_mistake(
    spec_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    for directory in (tmp_path / "file", tmp_path / "file" / "out"):
        assert main(["sweep", str(spec_file), "-o", str(directory)]) == 2
        assert f"gmemgpu: {directory}: cannot be written: " in capsys.readouterr().err


def started(**changes: Any) -> SweepStarted:
    return SweepStarted(**{"backend": "numpy", "reason": None, **changes})


def test_one_of_a_thing_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    tell = sweep_command._lines(say_why=True)
    tell(started(n_shards=3, n_shards_done=2, n_rows=15, n_rows_done=10, workers=1))
    tell(started(n_shards=1, n_shards_done=0, n_rows=1, n_rows_done=0, workers=2))
    assert capsys.readouterr().err.splitlines() == [
        "gmemgpu: 5 of 15 evaluations to do in 1 task on 1 worker",
        "gmemgpu: 1 of 1 evaluation to do in 1 task on 2 workers",
    ]


def test_why_auto_took_an_engine_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    event = started(n_shards=3, n_shards_done=2, n_rows=15, n_rows_done=10, workers=1, reason="no GPU; buy one")
    for say_why, told in (True, ["gmemgpu: backend numpy (auto: no GPU; buy one)"]), (False, []):
        sweep_command._lines(say_why=say_why)(event)
        assert capsys.readouterr().err.splitlines()[:-1] == told
        screen = io.StringIO()
        with sweep_command._progress(Console(file=screen, force_terminal=True, width=150)) as progress:
            sweep_command._bar(progress, say_why=say_why)(event)
        assert ("backend numpy (auto: no GPU; buy one)" in screen.getvalue()) is say_why


def test_the_bar_counts_evaluations_and_their_rate() -> None:
    screen = io.StringIO()
    with sweep_command._progress(Console(file=screen, force_terminal=True, width=150)) as progress:
        now = [100.0]
        progress.get_time = lambda: now[0]
        listen = sweep_command._bar(progress, say_why=True)
        (task,) = progress.tasks
        listen(started(n_shards=10, n_shards_done=4, n_rows=100, n_rows_done=40, workers=2))
        assert (task.completed, task.total) == (40, 100)
        now[0] = 102.0
        listen(ShardDone(label="pods", seeds=(1,), n_rows=10))
        assert (task.completed, task.fields["rate"], task.description) == (50, "5/s", "pods")
        progress.refresh()
        assert "50/100" in screen.getvalue()
        assert "evaluations 5/s" in screen.getvalue()
        listen(SweepMerged(n_rows=100))
        assert task.description == "done"


@pytest.mark.parametrize("path", sorted(JOBS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_job_is_a_valid_spec_that_says_how_to_run_it(path: Path) -> None:
    from gmemgpu.sweeping.plan import make_plan
    from gmemgpu.sweeping.spec import read_spec

    spec = read_spec(path)
    plan = make_plan(spec, "numpy")
    assert plan.n_rows == len(spec.scenarios) * len(spec.seeds) * len(spec.policies)
    assert spec.name == path.stem
    assert f"gmemgpu sweep jobs/{path.name} -o results/{path.stem}" in path.read_text()


def test_jobs_exist() -> None:
    assert {"quickstart", "azure-2017"} <= {path.stem for path in JOBS.glob("*.toml")}
