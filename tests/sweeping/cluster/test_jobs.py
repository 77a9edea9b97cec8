"""Job scripts for Slurm, PBS and LSF, and what is said where they cannot be submitted."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from gmemgpu.errors import BackendError, GmemgpuError, SpecError
from gmemgpu.sweeping.cluster import jobs
from gmemgpu.sweeping.cluster.options import ClusterOptions, options_from_table
from gmemgpu.sweeping.cluster.target import Target, Tls
from gmemgpu.sweeping.run import sweep

TINY = {"policies": ["v10"], "workload": {"preset": "idle-snp", "horizon_ns": "1 min", "warmup_ns": "1 s"}}


@contextmanager
def cluster_of(kind: Any, tmp_path: Path, tls: Tls | None = None, **options: Any) -> Iterator[Any]:
    table = {"host": "127.0.0.1", "walltime": "1 h", **options}
    target = Target(kind=kind, options=options_from_table(table), tls=tls)
    with jobs._cluster_class(kind)(**jobs.job_arguments(target, tmp_path / "logs")) as cluster:
        yield cluster


def script(kind: str, tmp_path: Path, **options: Any) -> list[str]:
    with cluster_of(kind, tmp_path, **options) as cluster:
        lines = cluster.job_script().splitlines()
    path = tmp_path / "job.sh"
    path.write_text("\n".join(lines))
    subprocess.run(["bash", "-n", str(path)], check=True)
    return [str(line) for line in lines]


def test_slurm_with_a_gpu(tmp_path: Path) -> None:
    lines = script(
        "slurm",
        tmp_path,
        gpus=1,
        cores=4,
        memory="6 GiB",
        queue="gpu",
        account="lab",
        walltime="30 min",
        python="/opt/my python/bin/python",
        job_extra_directives=["--qos=low"],
        job_script_prologue=["module load cuda"],
        local_directory="$TMPDIR",
    )
    for line in (
        *("-p gpu", "-A lab", "--cpus-per-task=4", "--mem=6G", "-t 00:30:00", "--gres=gpu:1", "--qos=low"),
        f"-o {tmp_path}/logs/gmemgpu-%J.out",
    ):
        assert f"#SBATCH {line}" in lines
    assert "module load cuda" in lines
    assert "export OMP_NUM_THREADS=1" in lines
    assert "export DASK_DISTRIBUTED__WORKER__MEMORY__SPILL=False" in lines
    words = shlex.split(lines[-1])
    assert words[0] == "/opt/my python/bin/python"
    said = " ".join(words)
    for option in (
        "--resources GPU=1",
        "--lifetime 1680s",
        "--lifetime-stagger 60s",
        "--dashboard-address 127.0.0.1:0",
        "--local-directory $TMPDIR",
        "--memory-limit 6.00GiB",
    ):
        assert option in said
    # The last one counts: one thread, though there are four cores.
    assert words[len(words) - words[::-1].index("--nthreads")] == "1"


def test_on_cores_a_job_has_a_worker_for_each(tmp_path: Path) -> None:
    said = script("slurm", tmp_path, cores=3, memory="6 GiB")[-1]
    assert "--nthreads 1 --memory-limit 2.00GiB --nworkers 3 --nanny" in said
    assert "GPU" not in said
    assert f"{sys.executable} -m distributed.cli.dask_worker tcp://127.0.0.1:" in said


def test_pbs(tmp_path: Path) -> None:
    assert {"#PBS -l select=1:ncpus=2:mem=6144MB", "#PBS -l walltime=01:00:00", "#PBS -A lab"} <= set(
        script("pbs", tmp_path, cores=2, memory="6 GiB", account="lab")
    )
    assert "#PBS -l select=1:ncpus=2:ngpus=1:mem=6144mb" in script("pbs", tmp_path, cores=2, memory="6 GiB", gpus=1)


def test_lsf(tmp_path: Path) -> None:
    lines = script("lsf", tmp_path, cores=2, memory="6 GiB", account="lab", gpus=1, queue="q")
    assert {"#BSUB -n 2", "#BSUB -W 01:00", '#BSUB -P "lab"', '#BSUB -gpu "num=1"', "#BSUB -q q"} <= set(lines)


def test_tls_reaches_workers_as_paths(tmp_path: Path) -> None:
    from distributed.security import Security

    made = Security.temporary()
    for name, text in {"cert.pem": made.tls_client_cert, "key.pem": made.tls_client_key}.items():
        (tmp_path / name).write_text(text)
    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    with cluster_of("slurm", tmp_path, tls=Tls(ca=cert, cert=cert, key=key)) as cluster:
        said = cluster.job_script().splitlines()[-1]
        assert cluster.scheduler_address.startswith("tls://127.0.0.1:")
    for option in (f"--tls-ca-file {cert}", f"--tls-cert {cert}", f"--tls-key {key}", "--protocol tls://"):
        assert option in said


def test_the_scheduler_listens_on_one_interface_alone(tmp_path: Path) -> None:
    import psutil

    def listening() -> set[str]:
        return {of.laddr.ip for of in psutil.Process().net_connections("inet") if of.status == psutil.CONN_LISTEN}

    before = listening()
    with cluster_of("slurm", tmp_path) as cluster:
        assert listening() - before <= {"127.0.0.1"}
        assert cluster.dashboard_link.startswith("http://127.0.0.1:")
    target = Target(kind="slurm", options=ClusterOptions())
    assert jobs.job_arguments(target, tmp_path)["scheduler_options"]["host"] not in ("", "0.0.0.0")
    by_interface = jobs.job_arguments(Target(kind="slurm", options=ClusterOptions(interface="lo")), tmp_path)
    assert (by_interface["interface"], "host" in by_interface["scheduler_options"]) == ("lo", False)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    with pytest.raises(BackendError, match=r"--cluster pbs needs dask-jobqueue; pip install 'gmemgpu\[jobqueue\]'"):
        sweep(TINY, tmp_path / "out", cluster="pbs")


@pytest.mark.parametrize("kind", ["slurm", "pbs", "lsf"])
def test_where_there_is_no_such_queue(kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    # bsub reads its script through a shell, which answers by exit code alone.
    reason = "bsub.* exit code: 127 .*does not exist" if kind == "lsf" else "No such file or directory"
    with pytest.raises(GmemgpuError, match=f"^{kind}: jobs cannot be submitted: .*{reason}"):
        sweep(TINY, tmp_path / "out", cluster=kind, cluster_options={"host": "127.0.0.1"})


def test_what_the_queue_answers_is_handed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "sbatch").write_text("#!/bin/sh\necho 'sbatch: error: invalid partition specified: x' >&2\nexit 1\n")
    (tmp_path / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(GmemgpuError, match=r"slurm: jobs cannot be submitted: .*invalid partition specified: x"):
        sweep(TINY, tmp_path / "out", cluster="slurm", cluster_options={"host": "127.0.0.1", "queue": "x"})


def test_a_queue_that_takes_some_jobs_is_not_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    class Job:
        def __init__(self, job_id: str | None, refusal: str | None) -> None:
            self.job_id, self.refusal = job_id, refusal

    class Loop:
        @staticmethod
        def add_callback(call: Any) -> None:
            call()

    class Cluster:
        loop = Loop()
        n_forgotten = 0
        workers: ClassVar[dict[int, Job]] = {}

        def forget_refused(self) -> None:
            self.n_forgotten += 1

    class Client:
        threads: ClassVar[dict[str, int]] = {}

        def nthreads(self) -> dict[str, int]:
            return self.threads

    clock = [100.0]
    monkeypatch.setattr(jobs.time, "monotonic", lambda: clock[0])
    cluster, client = Cluster(), Client()
    count = jobs._Count(cluster, client, "pbs", "logs")  # type: ignore[arg-type]
    cluster.workers = {0: Job("17", None), 1: Job(None, "stderr:\nwould exceed the limit of your group")}
    assert count() == 0
    assert cluster.n_forgotten == 1
    # Nor while the one that was taken waits; and the others are not submitted again at each look.
    clock[0] += jobs._REFUSED_S + 1
    assert (count(), count(), cluster.n_forgotten) == (0, 0, 2)
    # Later the first has ended and none is taken any more.
    client.threads = {"tcp://a:1": 1}
    assert count() == 1
    client.threads, cluster.workers = {}, {2: Job(None, "stderr:\nqueue is closed")}
    clock[0] += jobs._REFUSED_S - 1
    assert count() == 0
    # They may be on their way to the queue just now.
    cluster.workers = {3: Job(None, None)}
    assert count() == 0
    cluster.workers = {3: Job(None, "stderr:\nqueue is closed")}
    clock[0] += 2
    with pytest.raises(GmemgpuError, match="pbs: jobs cannot be submitted: queue is closed"):
        count()
    # One that never took any is given up at once.
    never = jobs._Count(cluster, client, "pbs", "logs")  # type: ignore[arg-type]
    clock[0] += 0.1
    with pytest.raises(GmemgpuError, match="queue is closed"):
        never()


def test_paths_that_a_script_cannot_hold_are_refused(
    tmp_path: Path, tls_files: Callable[[Path], dict[str, str]]
) -> None:
    tls = {f"tls_{name}": path for name, path in tls_files(tmp_path / "my certs").items()}
    with pytest.raises(SpecError) as caught:
        sweep(TINY, tmp_path / "the results", cluster="slurm", cluster_options={"host": "127.0.0.1"}, **tls)
    told = str(caught.value).splitlines()
    assert told[0].startswith(f'cluster.log_directory: is missing, and "{tmp_path}/the results/logs" has signs that')
    assert [line.split(":")[0] for line in told] == ["cluster.log_directory", "tls_ca", "tls_cert", "tls_key"]
    (tmp_path / "file").touch()
    options = {"host": "127.0.0.1", "log_directory": str(tmp_path / "file" / "logs")}
    with pytest.raises(SpecError, match=r"cluster\.log_directory: cannot be made: .*Not a directory"):
        sweep(TINY, tmp_path / "out", cluster="slurm", cluster_options=options)


@pytest.mark.parametrize(
    ("option", "code", "told"),
    [
        ('interface = "nope0"', 2, 'cluster.interface: "nope0" is no network interface of this host; there are '),
        ('host = "192.0.2.77"', 1, "slurm: no scheduler for jobs can be started on cluster.host = 192.0.2.77: "),
    ],
)
def test_where_no_scheduler_can_listen(tmp_path: Path, option: str, code: int, told: str) -> None:
    # In another process, since Dask leaves what it could not start to the garbage collector, with warnings.
    (tmp_path / "c.toml").write_text(f"[cluster]\n{option}\n")
    (tmp_path / "s.toml").write_text(
        'policies = ["v10"]\n[workload]\npreset = "idle-snp"\nhorizon_ns = "1 min"\nwarmup_ns = "1 s"\n'
    )
    command = [sys.executable, "-m", "gmemgpu", "sweep", "s.toml", "-o", "out", "--cluster=slurm"]
    ran = subprocess.run(
        [*command, "--cluster-options=c.toml", "--quiet"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == code
    assert ran.stderr.startswith(f"gmemgpu: {told}")
    assert "Traceback" not in ran.stderr


def test_ctrl_c_is_left_as_it_was(tmp_path: Path) -> None:
    # In another process: it is a matter of the first import.
    code = (
        "import signal; from gmemgpu.sweeping.cluster.jobs import _cluster_class\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "_cluster_class('pbs')\n"
        "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_python_is_one_word_of_the_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/opt/my python/bin/python")
    assert shlex.split(script("slurm", tmp_path)[-1])[0] == "/opt/my python/bin/python"
