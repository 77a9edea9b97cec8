"""The ``[cluster]`` table: what it may say, how a file is laid over it, and that results never depend on it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gmemgpu.errors import SpecError
from gmemgpu.sweeping.cluster.jobs import job_arguments
from gmemgpu.sweeping.cluster.options import ClusterOptions, options_from_table, options_over
from gmemgpu.sweeping.cluster.target import Target, Tls, read_target

S = 10**9


def problems(table: Any, **how: Any) -> list[str]:
    with pytest.raises(SpecError) as caught:
        options_from_table(table, **how)
    return [str(problem) for problem in caught.value.problems]


def test_quantities_have_units_and_a_partition_is_a_queue() -> None:
    options = options_from_table({"memory": "6 GiB", "walltime": "90 min", "partition": "short", "cores": 8})
    assert (options.memory, options.walltime_text, options.queue) == (6 * 2**30, "01:30:00", "short")
    assert options.workers_per_job == 8
    assert options_from_table({"gpus": 1, "cores": 8}).workers_per_job == 1


@pytest.mark.parametrize(
    ("table", "margin_s", "stagger_s", "lifetime_s"),
    [
        ({}, 120, 60, 3480),
        ({"walltime": "1 min"}, 6, 3, 54),
        ({"walltime": "10 min", "lifetime_margin": "30 s"}, 30, 15, 570),
        ({"walltime": "10 min", "lifetime_margin": "30 s", "lifetime_stagger": "0 s"}, 30, 0, 570),
    ],
)
def test_workers_end_before_their_job(table: dict[str, Any], margin_s: int, stagger_s: int, lifetime_s: int) -> None:
    options = options_from_table(table)
    assert (options.margin_ns, options.stagger_ns, options.lifetime_s) == (margin_s * S, stagger_s * S, lifetime_s)


def test_all_mistakes_are_told_at_once() -> None:
    assert problems({"jobs": 0, "core": 4, "gpus": 2, "memory": "lots", "walltime": "2 weeks", "queue": "a b"}) == [
        "cluster.jobs: 0 cannot be used: it must be greater than or equal to 1",
        "cluster.gpus: 2 cannot be used: it must be less than or equal to 1",
        *problems({"memory": "lots"}),
        *problems({"walltime": "2 weeks"}),
        *problems({"queue": "a b"}),
        'cluster.core: unknown key; did you mean "cores"?',
    ]
    assert problems(3) == ["cluster: 3 is no table; write [cluster] and keys below it"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            {"lifetime_margin": "5 s", "lifetime_stagger": "6 s"},
            "lifetime_stagger 6 s is not below lifetime_margin 5 s",
        ),
        ({"walltime": "1 min", "lifetime_margin": "50 s"}, "walltime 60 s leaves workers no time to live"),
        ({"walltime": "59 s"}, "walltime 59 s is below a minute"),
        ({"memory": "1 GiB", "cores": 16}, "memory 1,024 MiB is less than 128 MiB for each of 16 workers"),
        ({"interface": "ib0", "host": "10.0.0.1"}, "interface and host both say where the scheduler listens"),
    ],
)
def test_what_cannot_go_together(table: dict[str, Any], message: str) -> None:
    (told,) = problems(table)
    assert message in told


@pytest.mark.parametrize("key", ["queue", "account", "interface", "host", "local_directory", "log_directory"])
@pytest.mark.parametrize("text", ["a;b", "$(touch x)", "`x`", "a b", "x\n#SBATCH y", "a&b", "a|b", "", "'", '"', "a>b"])
def test_no_word_can_be_a_command(key: str, text: str) -> None:
    (told,) = problems({key: text})
    assert "has signs that a shell could take for something else" in told


def test_scratch_space_may_be_the_jobs_own() -> None:
    assert options_from_table({"local_directory": "${TMPDIR}/gmemgpu"}).local_directory == "${TMPDIR}/gmemgpu"
    assert options_from_table({"local_directory": "$TMPDIR/x"}).local_directory == "$TMPDIR/x"
    assert problems({"local_directory": "${x:-$(y)}"})


def test_what_a_variable_of_the_jobs_holds_stays_one_word(tmp_path: Path) -> None:
    # The shell splits what it finds in $IFS; "--preload" would be an option of the worker that runs a file.
    options = options_from_table({"local_directory": "/tmp/x${IFS}--preload=/tmp/evil.py$IFS"})
    arguments = job_arguments(Target(kind="slurm", options=options), tmp_path)
    ran = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' --local-directory {arguments['local_directory']} last"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split("\0")[:-1] == ["--local-directory", "/tmp/x \t\n--preload=/tmp/evil.py \t\n", "last"]


@pytest.mark.parametrize("key", ["job_extra_directives", "job_script_prologue"])
def test_a_line_is_one_line(key: str) -> None:
    assert getattr(options_from_table({key: ["module load x"]}), key) == ("module load x",)
    for text in ("a\nb", "a\rb", "", " "):
        (told,) = problems({key: [text]})
        assert "is not one line of text" in told


def test_a_file_is_laid_over_a_spec(tmp_path: Path) -> None:
    below = options_from_table({"jobs": 4, "queue": "long", "walltime": "2 h"})
    (tmp_path / "here.toml").write_text('[cluster]\nqueue = "short"\nwalltime = "1 h"\npython = "/opt/my python"\n')
    merged = options_over(below, tmp_path / "here.toml")
    assert (merged.jobs, merged.queue, merged.walltime_text) == (4, "short", "01:00:00")
    assert merged.python_word == "'/opt/my python'"
    assert options_over(below, None) is below
    assert options_over(below, {"jobs": 5}).jobs == 5
    # Each is sound, both together are not.
    (tmp_path / "margin.toml").write_text('[cluster]\nlifetime_margin = "59 s"\n')
    with pytest.raises(SpecError, match=r"margin\.toml: cluster: walltime 60 s leaves workers no time"):
        options_over(options_from_table({"walltime": "1 min"}), tmp_path / "margin.toml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jobs = 3\n", 'cluster: key "jobs" does not belong here; such a file holds a [cluster] table'),
        ("", "cluster: is missing; such a file holds"),
        ("[cluster]\njob = 3\n", 'cluster.job: unknown key; did you mean "jobs"?'),
        ("[cluster\n", "is no valid TOML"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "here.toml"
    path.write_text(text)
    with pytest.raises(SpecError) as caught:
        read_target("slurm", ClusterOptions(), path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


def test_where_to_run(tmp_path: Path, tls_files: Callable[[Path], dict[str, str]]) -> None:
    options = ClusterOptions()
    file = tmp_path / "scheduler.json"
    file.write_text('{"type": "Scheduler", "address": "tcp://10.0.0.1:8786"}')
    assert (read_target("local", options).kind, read_target("local", options).is_far) == ("local", False)
    assert (read_target("pbs", options).kind, read_target("pbs", options).is_far) == ("pbs", True)
    assert read_target("tcp://h:1", options).address == "tcp://h:1"
    assert read_target(str(file), options).address == "tcp://10.0.0.1:8786"
    files = tls_files(tmp_path / "tls")
    tls: Any = {f"tls_{name}": path for name, path in files.items()}
    assert read_target("tls://h:1", options, **tls).tls == Tls(**files)
    assert read_target("slurm", options, **tls).tls is not None


@pytest.mark.parametrize("address", ["tcp://", "tcp://h", "tcp://h:port", "tcp://h:99999", "tcp://[::1", "tls://:1"])
def test_an_address_has_host_and_port(tmp_path: Path, address: str) -> None:
    with pytest.raises(SpecError, match="names no host and port; write tcp://HOST:PORT"):
        read_target(address, ClusterOptions())
    file = tmp_path / "scheduler.json"
    file.write_text(json.dumps({"address": address}))
    with pytest.raises(SpecError, match=r"is no scheduler file \("):
        read_target(str(file), ClusterOptions())


def test_tls_files_are_looked_into(tmp_path: Path, tls_files: Callable[[Path], dict[str, str]]) -> None:
    def told(files: dict[str, str]) -> list[str]:
        with pytest.raises(SpecError) as caught:
            read_target("tls://h:1", ClusterOptions(), **{f"tls_{name}": path for name, path in files.items()})
        return [str(problem) for problem in caught.value.problems]

    ours, others = tls_files(tmp_path / "ours"), tls_files(tmp_path / "others")
    (wrong_key,) = told({**ours, "key": others["key"]})
    assert wrong_key.startswith(f"tls_cert: {ours['cert']} and tls_key {others['key']} are no certificate with its own")
    (tmp_path / "no.pem").write_text("nothing")
    nothing = str(tmp_path / "no.pem")
    wrong_ca, wrong_pair = told({"ca": nothing, "cert": nothing, "key": nothing})
    assert wrong_ca.startswith(f"tls_ca: {nothing} holds no certificate in PEM form")
    assert wrong_pair.startswith(f"tls_cert: {nothing} and")


def test_where_not_to_run(tmp_path: Path, tls_files: Callable[[Path], dict[str, str]]) -> None:
    def told(cluster: str, **tls: Any) -> str:
        with pytest.raises(SpecError) as caught:
            read_target(cluster, ClusterOptions(), **tls)
        return str(caught.value)

    file = tmp_path / "x.json"
    assert told("slrum") == (
        'cluster: "slrum" is unknown; use local, slurm, pbs, lsf, tcp://HOST:PORT, tls://HOST:PORT '
        "or a scheduler file (….json)"
    )
    assert f"{file}: cannot be read: No such file" in told(str(file))
    for text in ("nothing", "[]", '{"address": 3}', '{"address": "inproc://x"}'):
        file.write_text(text)
        assert f"{file}: is no scheduler file (" in told(str(file))
    tls = {f"tls_{name}": path for name, path in tls_files(tmp_path / "tls").items()}
    assert told("tls://h:1") == "cluster: tls://h:1 needs the files tls_ca, tls_cert and tls_key"
    assert "tcp://h:1 is not encrypted" in told("tcp://h:1", **tls)
    assert "is local, which no other machine can reach" in told("local", **tls)
    assert told("slurm", tls_ca=tmp_path / "gone").splitlines() == [
        "tls_cert: is missing; TLS takes all three files",
        "tls_key: is missing; TLS takes all three files",
        f"tls_ca: {tmp_path / 'gone'} cannot be read: No such file or directory; check the path",
    ]
