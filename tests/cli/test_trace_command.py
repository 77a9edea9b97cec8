from __future__ import annotations

import json
from pathlib import Path

import pytest

from gmemgpu.cli.main import main
from gmemgpu.engine.registry import why_missing
from gmemgpu.units import GIB

TOML = f"horizon_ns = 60_000_000_000\n[host]\nmemory_bytes = {4 * GIB}\nnodes = 1\ncores = 4\nthreads_per_core = 2\n"
HEADER = "t_ns,kind,pfn,npages,vm,inode,folio_pages\n"
ROWS = "0,assign,0,262144,1,1,512\n5,vm_destroy,0,0,1,-1,0\n7,release,0,262144,1,1,512\n"


def write(folder: Path, rows: str = ROWS, toml: str = TOML) -> str:
    path = folder / "t.csv"
    path.write_text(HEADER + rows)
    path.with_suffix(".toml").write_text(toml)
    return str(path)


def test_info_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "info", write(tmp_path)]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "host 4 GiB, nodes: 1, cores: 4 of 2 threads, global window of 2 TiB" in lines
    assert "events 3, and 0 past the horizon" in lines
    assert "assigned at most 262,144 pages, 25.0%, at 0.000 s" in lines
    assert "free regions 3 at start, 3 at least, 4 at end" in lines
    assert "vm_destroy 1" in lines


def test_info_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "info", "--json", write(tmp_path)]) == 0
    info = json.loads(capsys.readouterr().out)
    assert info["events_by_kind"]["release"] == 1
    assert info["host"]["memory_bytes"] == 4 * GIB


def test_info_of_a_trace_without_events(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "info", write(tmp_path, "")]) == 0
    assert "span" in capsys.readouterr().out


def test_check_of_a_sound_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path)
    assert main(["trace", "check", path]) == 0
    assert capsys.readouterr() == (f"{path}: valid, 3 events, no warnings\n", "")


def test_check_warns_of_doubtful_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, ROWS + "8,release,0,9,1,1,1\n")
    assert main(["trace", "check", path]) == 0
    out, err = capsys.readouterr()
    assert out == f"{path}: valid, 4 events, with warnings\n"
    assert f"warning: {path}: row 4, column npages: release of 9 pages of which 9 are not assigned\n" in err
    assert main(["trace", "check", "--json", path]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["valid"], report["problems"], len(report["warnings"])) == (True, [], 2)


def test_check_of_an_empty_trace_warns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "check", write(tmp_path, "")]) == 0
    assert "has no events: every region is free" in capsys.readouterr().err


def test_check_names_every_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, "5,asign,0,1,1,1,1\n4,use,0,-1,1,1,1\n3,use,0,1,1,1,9\n")
    assert main(["trace", "check", path]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(": ")[2] for line in err.splitlines()] == [
        "row 1, column kind",
        "row 3, column t_ns",
        "row 2, column npages",
        "row 3, column folio_pages",
    ]
    assert main(["trace", "check", "--json", path]) == 2
    report = json.loads(capsys.readouterr().out)
    assert (report["valid"], len(report["problems"])) == (False, 4)
    assert report["problems"][0] == {
        "where": f"{path}: row 1, column kind",
        "message": "'asign' is unknown; did you mean \"assign\"?",
    }


@pytest.mark.parametrize("backend", ["numpy", "cupy"])
def test_scan_at_a_time(backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if backend == "cupy" and why_missing("cupy") is not None:
        pytest.skip(f"no device, real or emulated: {why_missing('cupy')}")
    rows = ROWS.replace("7,release", "6,assign,262149,1,-1,-1,1\n6,assign,524800,400,2,2,1\n7,release")
    path = write(tmp_path, rows)
    assert main(["trace", "scan", path, "--at", "6 ns", "--json", "--backend", backend]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == {
        "t_ns": 6,
        "regions": 4,
        "assigned_pages": 262_144 + 1 + 400,
        "free": 1,
        "busy_page": 1,
        "busy_block": 2,
        "busy_percent": 2,
        "first_block_median": 0,  # of 0, 0 and 1
        "pass_bytes": 64 * (1 + 1 + 2 + 512),
    }


def test_scan_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "scan", write(tmp_path)]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "free 4" in lines
    assert "first assigned block –, median of busy regions" in lines


def test_scan_of_nonsense(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path)
    assert main(["trace", "scan", path, "--at", "noon"]) == 2
    assert '--at: "noon" is not a time' in capsys.readouterr().err
    assert main(["trace", "scan", path, "--at", "30 d"]) == 2
    assert '--at: "30 d" is past the horizon; the trace ends at ' in capsys.readouterr().err
    assert main(["trace", "scan", path, "--backend", "abacus"]) == 2
    assert '--backend: "abacus" is unknown here; use numpy, numba, cupy' in capsys.readouterr().err


def test_a_hole_is_neither_free_nor_scanned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path)
    beside = Path(path).with_suffix(".toml")
    beside.write_text(beside.read_text() + "holes = [[262144, 262144], [786432, 1]]\n")
    assert main(["trace", "scan", path, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["regions"], found["free"], found["pass_bytes"]) == (3, 3, 3 * 64 * 512)
    assert main(["trace", "info", path]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "host 4 GiB, holes: 2, nodes: 1" in out
    assert "regions 3 of 1 GiB, 3 covered" in out
