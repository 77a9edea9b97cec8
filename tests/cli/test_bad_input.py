"""Whatever is wrong with the input: exit code 2, the file and the fault named with a remedy, and no traceback."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gmemgpu.cli.main import main
from gmemgpu.units import GIB

HOST = {"memory_bytes": 2 * GIB, "nodes": 1, "cores": 4, "threads_per_core": 2}
TOML = f"horizon_ns = 100\n[host]\nmemory_bytes = {2 * GIB}\nnodes = 1\ncores = 4\nthreads_per_core = 2\n"
HEADER = "t_ns,kind,pfn,npages,vm,inode,folio_pages\n"
ROW = "1,assign,0,512,1,1,512\n"


def in_a_process(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gmemgpu", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `gmemgpu` in this process: one of its own mostly imports. What would be a traceback fails the test."""
    out, err = io.StringIO(), io.StringIO()
    with chdir(folder), redirect_stdout(out), redirect_stderr(err):
        status = main(arguments)
    return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())


def assert_refused(folder: Path, arguments: list[str], *messages: str) -> None:
    before = sorted(folder.iterdir())
    ran = run(folder, *arguments)
    assert ran.returncode == 2, ran.stderr
    assert ran.stdout == ""
    for message in messages:
        assert message in ran.stderr
    assert all(line.startswith("gmemgpu: ") for line in ran.stderr.splitlines())
    assert sorted(folder.iterdir()) == before


def write_csv(folder: Path, text: str, toml: str = TOML) -> None:
    (folder / "t.csv").write_bytes(text.encode())
    (folder / "t.toml").write_text(toml)


@pytest.mark.parametrize("command", [["evaluate"], ["verify"], ["trace", "info"], ["trace", "check"]], ids=" ".join)
def test_a_missing_file_in_every_command(tmp_path: Path, command: list[str]) -> None:
    assert_refused(tmp_path, [*command, "t.parquet"], "t.parquet: cannot be read: No such file or directory; check")


def test_a_directory_for_a_file(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").mkdir()
    assert_refused(tmp_path, ["evaluate", "t.parquet"], "t.parquet: cannot be read: Is a directory")


def test_a_truncated_parquet_file(tmp_path: Path) -> None:
    pq.write_table(pa.table({"t_ns": [1]}), tmp_path / "t.parquet")
    data = (tmp_path / "t.parquet").read_bytes()
    (tmp_path / "t.parquet").write_bytes(data[:-10])
    assert_refused(
        tmp_path, ["evaluate", "t.parquet"], "t.parquet: is no complete Parquet file", "make or copy it again"
    )


def test_a_parquet_file_without_a_header(tmp_path: Path) -> None:
    columns = {name: pa.array([0]) for name in HEADER.strip().split(",")}
    columns["kind"] = pa.array(["evict_end"])
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    assert_refused(
        tmp_path, ["evaluate", "t.parquet"], "t.parquet: metadata gmemgpu: is missing; give host, horizon_ns"
    )


def test_a_csv_with_byte_order_mark_and_crlf_is_good_input(tmp_path: Path) -> None:
    write_csv(tmp_path, "\ufeff" + (HEADER + ROW).replace("\n", "\r\n"))
    ran = run(tmp_path, "evaluate", "t.csv", "--json", "--policy", "oracle")
    assert (ran.returncode, ran.stderr) == (0, "")
    # Region 0 is free for 1 ns, region 1 for 100.
    assert json.loads(ran.stdout)[0]["optimized_ns"] == 101


def test_an_empty_trace_is_good_input(tmp_path: Path) -> None:
    write_csv(tmp_path, HEADER)
    ran = run(tmp_path, "evaluate", "t.csv", "--json", "--policy", "oracle")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert json.loads(ran.stdout)[0]["optimizable_ns"] == 200


def test_an_empty_file(tmp_path: Path) -> None:
    write_csv(tmp_path, "")
    assert_refused(tmp_path, ["evaluate", "t.csv"], "t.csv: is empty; the first line names the columns")


@pytest.mark.parametrize(
    ("text", "toml", "messages"),
    [
        (HEADER + "1,assign,524288,1,1,1,1\n", TOML, ["row 1, column pfn: 1 pages from 524288", "another host?"]),
        (
            HEADER + ROW,
            TOML.replace("100", "0", 1),
            ["t.toml: horizon_ns: 0 cannot be used: it must be greater than"],
        ),
        (HEADER + "1,assgin,0,1,1,1,1\n", TOML, ["row 1, column kind: 'assgin' is unknown; did you mean \"assign\"?"]),
        (HEADER + f"1,use,0,{10**30},1,1,1\n", TOML, [f"row 1, column npages: '{10**30}' is outside -9"]),
        (HEADER + f"1,use,{2**63 - 1},{2**63 - 1},1,1,1\n", TOML, ["row 1, column pfn:", "not inside the host"]),
        (
            HEADER + "1,use,0,1,2147483648,1,1\n",
            TOML,
            ["row 1, column vm: 2147483648 is outside -2147483648 to 2147483647"],
        ),
        (HEADER.replace("inode", "inod") + ROW, TOML, ['column inod: unknown column; did you mean "inode"?', "lacks"]),
        (HEADER + ROW, TOML.replace("cores", "coers"), ['t.toml: host.coers: unknown key; did you mean "cores"?']),
        (HEADER + ROW, "horizon_ns = [", ["t.toml: is no valid TOML"]),
    ],
    ids=["other host", "horizon 0", "kind", "overflow", "sum overflow", "id", "column", "key", "toml"],
)
def test_a_trace_that_is_wrong(tmp_path: Path, text: str, toml: str, messages: list[str]) -> None:
    write_csv(tmp_path, text, toml)
    assert_refused(tmp_path, ["evaluate", "t.csv"], *messages)


def test_a_csv_without_its_header(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(HEADER + ROW)
    assert_refused(tmp_path, ["evaluate", "t.csv"], "t.toml: is missing; a CSV trace has its host and horizon there")


@pytest.mark.parametrize(
    ("option", "value"), [("--adapt", value) for value in ("4:1", "x", "0:0", "1", "1:", "-1:2")] + [("--jobs", "0")]
)
def test_a_number_of_jobs(tmp_path: Path, option: str, value: str) -> None:
    arguments = ["sweep", "s.toml", "-o", "out", "--cluster", "slurm", f"{option}={value}"]
    message = f'{option}: "{value}" is no number of jobs; write --jobs 4 or --adapt 1:16'
    assert_refused(tmp_path, arguments, message)


@pytest.mark.parametrize(
    ("option", "text", "messages"),
    [
        ("--costs", "block = -1\n", ["f.toml: block: -1 cannot be used: it must be greater than or equal to 0"]),
        ("--costs", "blok = 1\n", ['f.toml: blok: unknown key; did you mean "block"?']),
        (
            "--policies",
            '[[policy]]\nname = "a"\nhook = "vm_destory"\ntimer = "debounce(10 parsecs)"\n',
            [
                'f.toml: policy[0].timer: "10 parsecs"',
                'policy[0].hook: "vm_destory" is unknown; did you mean "vm_d',
            ],
        ),
        ("--policies", "", ["f.toml: holds no policy; add a [[policy]] table"]),
    ],
)
def test_policies_and_costs_that_are_wrong(tmp_path: Path, option: str, text: str, messages: list[str]) -> None:
    write_csv(tmp_path, HEADER + ROW)
    (tmp_path / "f.toml").write_text(text)
    assert_refused(tmp_path, ["evaluate", "t.csv", option, "f.toml"], *messages)


def test_policies_that_do_not_exist(tmp_path: Path) -> None:
    write_csv(tmp_path, HEADER + ROW)
    messages = ['--policy[0]: "v11" is no policy; did you mean "v10"?', '--policy[1]: "nope" is no policy; known:']
    assert_refused(tmp_path, ["evaluate", "t.csv", "--policy", "v11", "nope"], *messages)


def test_a_process_says_the_same(tmp_path: Path) -> None:
    write_csv(tmp_path, HEADER + ROW)
    for arguments in (["evaluate", "t.csv", "--policy", "v11"], ["evaluate", "t.csv", "--policy", "v10"]):
        here, there = run(tmp_path, *arguments), in_a_process(tmp_path, *arguments)
        assert (there.returncode, there.stdout, there.stderr) == (here.returncode, here.stdout, here.stderr)


@pytest.mark.parametrize("option", ["--costs", "--policies"])
def test_files_that_are_not_there(tmp_path: Path, option: str) -> None:
    write_csv(tmp_path, HEADER + ROW)
    assert_refused(tmp_path, ["evaluate", "t.csv", option, "no.toml"], "no.toml: cannot be read: No such file")


def test_an_engine_that_cannot_run_is_a_failure_and_not_bad_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    write_csv(tmp_path, HEADER + ROW)
    # Here an emulated device may be found.
    ran = in_a_process(tmp_path, "evaluate", "t.csv", "--backend", "cupy")
    assert ran.returncode == 1
    assert ran.stderr.startswith('gmemgpu: backend "cupy" cannot run here: ')


def test_an_engine_that_does_not_exist_is_bad_input(tmp_path: Path) -> None:
    write_csv(tmp_path, HEADER + ROW)
    ran = run(tmp_path, "evaluate", "t.csv", "--backend", "quantum")
    assert ran.returncode == 2
    assert ran.stderr == 'gmemgpu: backend: "quantum" is unknown; use auto, reference, numpy, numba, cupy\n'


def test_a_reader_that_goes_away_is_no_error_of_ours(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "gmemgpu", "policies", "--markdown"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == ""
