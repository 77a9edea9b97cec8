"""``gmemgpu status``, ``check`` and ``retry`` on a small sweep, whole and disturbed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from gmemgpu.cli.main import main
from gmemgpu.sweeping import checking
from gmemgpu.sweeping.journal import Failure, Journal
from gmemgpu.sweeping.run import sweep
from gmemgpu.sweeping.status import read_status

SPEC = {
    "name": "small",
    "seeds": 2,
    "policies": ["v10", "refcount"],
    "workload": {
        "preset": "mixed-pods",
        "host": {"name": "pod", "memory_bytes": "16 GiB", "cores": 4},
        "horizon_ns": "3 min",
        "warmup_ns": "0 ns",
        "stock": {"vms": 5},
        "sizes": {"scale": 0.125},
        "snp": {"share": [0.2, 0.5, 0.8]},
        "memory": {"rmp_segment_bytes": "8 GiB", "shared_min_bytes": "8 MiB"},
    },
}
N_PARTS, N_ROWS = 3, 18


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("finished") / "out"
    sweep(SPEC, directory, backend="numpy", workers=1)
    return directory


@pytest.fixture
def store(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "out"))


def parts(store: Path) -> list[Path]:
    return sorted((store / "parts").glob("part-*.parquet"))


def report(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    status = main([*arguments, "--json"])
    return status, json.loads(capsys.readouterr().out)


def fail(store: Path, path: Path) -> None:
    part_id = path.stem.removeprefix("part-")
    path.unlink()
    told = {"label": "x", "seeds": (0, 1), "n_rows": 6, "kind": "error", "message": "x: no luck\nx: and no time"}
    Journal(store / "failures").record(Failure(part_id=part_id, **told, attempts=3, where="h"))  # type: ignore[arg-type]


def test_status_of_a_finished_sweep(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, found = report(capsys, "status", str(store))
    assert status == 0
    assert (found["n_parts"], found["n_done"], found["n_missing"], found["failures"]) == (N_PARTS, N_PARTS, 0, [])
    assert (found["n_rows"], found["n_rows_done"], found["is_merged"]) == (N_ROWS, N_ROWS, True)
    assert found["left_s"] is None


def test_status_does_not_take_any_file_for_merged_rows(store: Path) -> None:
    (store / "results.parquet").write_text("garbage")
    assert not read_status(store).is_merged


def test_status_counts_failed_claimed_and_missing(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, _ = parts(store)
    fail(store, first)
    second.unlink()
    assert main(["status", str(store)]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "done 1 of 3 parts, 6 of 18 evaluations" in lines
    assert "failed 1" in lines
    assert "missing 1" in lines
    assert lines[-3:-1] == ["failed: x: no luck", "x: and no time"]
    assert f"to try them again: gmemgpu retry {store}, then the sweep" in lines


@pytest.mark.parametrize(
    ("n_workers", "n_devices", "crew", "left"),
    [
        (600, 0, ", 600 workers", "left 12 s, 2.00 core-hours"),
        (1, 0, ", 1 worker", "left 12 s, 0.00 core-hours"),
        (1200, 300, ", 1,200 workers on 300 GPUs", "left 12 s, 1.00 GPU-hours"),
        (1, 1, ", 1 worker on 1 GPU", "left 12 s, 0.00 GPU-hours"),
    ],
)
def test_rate_and_time_left_come_from_differences_of_time_stamps(
    store: Path, capsys: pytest.CaptureFixture[str], n_workers: int, n_devices: int, crew: str, left: str
) -> None:
    from gmemgpu.sweeping.claim import Claims

    first, second, third = parts(store)
    # Half a century ago by the clock, which must not matter: 6 rows in 12 s, and 6 left.
    for path, at_s in ((first, 100), (second, 112)):
        os.utime(path, ns=(0, at_s * 1_000_000_000))
    third.unlink()
    assert read_status(store).rows_per_s == 0.5
    assert read_status(store).left_s is None  # nobody works on it
    with Claims(store / "claims", n_workers=n_workers, n_devices=n_devices) as claims:
        assert claims.take(third.stem.removeprefix("part-"))
        found = read_status(store)
        assert found.left_s == 12.0
        n_cores = 0 if n_devices else n_workers
        assert (found.core_hours_left, found.gpu_hours_left) == (12.0 * n_cores / 3600, 12.0 * n_devices / 3600)
        (client,) = found.clients
        assert (client.n_claims, client.n_workers, client.n_devices, client.gone) == (1, n_workers, n_devices, False)
        assert main(["status", str(store)]) == 0
        lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
        assert left in lines
        assert next(line for line in lines if line.startswith("working")).endswith(crew)
    assert read_status(store).clients == ()


def test_old_parts_do_not_count_for_the_rate(store: Path) -> None:
    for path, at_s in zip(parts(store), (0, 100_000, 100_003), strict=True):
        os.utime(path, ns=(0, at_s * 1_000_000_000))
    assert read_status(store).rows_per_s == 2.0


def test_check_of_a_sound_directory(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(store)]) == 0
    assert capsys.readouterr().out == f"{store}: 3 of 3 parts whole, 0 missing, 0 faults; merged rows agree\n"


def truncated(store: Path) -> str:
    first = parts(store)[0]
    first.write_bytes(first.read_bytes()[:-9])
    return first.name


def swapped(store: Path) -> str:
    first, second, _ = parts(store)
    shutil.copy(second, first)
    return first.name


def rotten(store: Path) -> str:
    first = parts(store)[0]
    data = bytearray(first.read_bytes())
    data[len(data) // 3] ^= 0xFF
    first.write_bytes(bytes(data))
    return first.name


def stranger(store: Path) -> str:
    return Path(shutil.copy(parts(store)[0], store / "parts" / f"part-{'0' * 32}.parquet")).name


def other_results(store: Path) -> str:
    # The rows of the parts, in another order, under the right name.
    import pyarrow.parquet as pq

    from gmemgpu.atomic import written_whole
    from gmemgpu.sweeping.part import parquet_writer

    results = store / "results.parquet"
    table = pq.ParquetFile(results).read()
    told = json.loads((store / "manifest.json").read_text())["results"]
    with written_whole(results) as file, parquet_writer(file, table.schema, told["id"], told["rows"]) as writer:
        writer.write_table(table.take(list(range(N_ROWS))[::-1]))
    return "results.parquet"


@pytest.mark.parametrize("damage", [truncated, swapped, rotten, stranger, other_results])
def test_damage_is_found_repaired_and_made_good(
    damage: Any, store: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = damage(store)
    status, found = report(capsys, "check", str(store))
    assert status == 1
    assert [Path(fault["path"]).name for fault in found["faults"]] == [name]
    assert main(["check", str(store)]) == 1
    assert "--repair` removes what is damaged" in capsys.readouterr().out
    status, found = report(capsys, "check", str(store), "--repair")
    assert (status, [fault["removed"] for fault in found["faults"]]) == (0, [True])
    sweep(SPEC, store, backend="numpy", workers=1)
    assert report(capsys, "check", str(store))[1]["faults"] == []
    assert (store / "results.parquet").read_bytes() == (finished / "results.parquet").read_bytes()


def test_a_part_that_is_made_good_meanwhile_stays(
    store: Path, finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = store / "parts" / truncated(store)
    really = checking._strangers

    def heal(*arguments: Any) -> Any:
        # After it was read, before it is removed: as a sweep does that runs at the same time.
        damaged.unlink()
        shutil.copy(finished / "parts" / damaged.name, damaged)
        return really(*arguments)

    monkeypatch.setattr(checking, "_strangers", heal)
    assert report(capsys, "check", str(store), "--repair")[1]["faults"] == []
    assert damaged.read_bytes() == (finished / "parts" / damaged.name).read_bytes()


def test_what_no_sweep_wrote_is_named_and_left_alone(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notes = store / "parts" / "notes.txt"
    notes.write_text("mine")
    assert main(["check", str(store), "--repair"]) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[0] == f"{notes}: belongs to no shard of this sweep, nor did one write it: move it away"
    assert told[1].endswith("3 of 3 parts whole, 0 missing, 1 fault; merged rows agree")
    assert len(told) == 2
    assert notes.read_text() == "mine"


def test_merged_rows_are_read_though_parts_are_missing(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts(store)[0].unlink()
    status, found = report(capsys, "check", str(store))
    assert (status, found["missing"], found["merged"], found["faults"]) == (0, 1, False, [])
    assert main(["check", str(store)]) == 0
    assert capsys.readouterr().out.endswith(
        "1 missing, 0 faults; merged rows are whole, with not all parts to compare\n"
    )
    results = store / "results.parquet"
    data = bytearray(results.read_bytes())
    data[len(data) // 3] ^= 0xFF
    results.write_bytes(bytes(data))
    status, found = report(capsys, "check", str(store))
    assert (status, [Path(fault["path"]).name for fault in found["faults"]]) == (1, ["results.parquet"])


def test_retry_forgets_and_the_sweep_goes_on(store: Path, finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (store / "results.parquet").unlink()
    fail(store, parts(store)[1])
    assert main(["retry", str(store)]) == 0
    assert "1 failed shard will be tried again by the next" in capsys.readouterr().out
    sweep(SPEC, store, backend="numpy", workers=1)
    assert (store / "results.parquet").read_bytes() == (finished / "results.parquet").read_bytes()
    assert main(["retry", str(store)]) == 0
    assert capsys.readouterr().out == f"{store}: nothing failed\n"


@pytest.mark.parametrize("command", ["status", "check", "retry"])
def test_no_sweep_there(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, str(tmp_path)]) == 2
    assert "holds no sweep (manifest.json is missing)" in capsys.readouterr().err
