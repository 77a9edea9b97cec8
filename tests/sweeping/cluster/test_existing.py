"""A scheduler that is there already: by address and by file, with TLS, and when parts of it are killed."""

from __future__ import annotations

import errno
import os
import pickle
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from distributed import Client, LocalCluster
from distributed.comm.core import CommClosedError

from gmemgpu.cli.main import main
from gmemgpu.errors import GmemgpuError, SpecError
from gmemgpu.sweeping.cluster import fitness
from gmemgpu.sweeping.cluster.fitness import LostStorage, UnfitWorker, marked_place, refuse_unfit_workers
from gmemgpu.sweeping.progress import ShardDone, SweepEvent, SweepStarted, WorkersAwaited
from gmemgpu.sweeping.run import sweep

Contents = Callable[[Path], dict[str, str]]
START = Callable[..., Any]
TlsFiles = Callable[[Path], dict[str, str]]

TINY = {"policies": ["v10"], "workload": {"preset": "idle-snp", "horizon_ns": "1 min", "warmup_ns": "1 s"}}


def without_backend(contents: dict[str, str]) -> dict[str, str]:
    return {name: found for name, found in contents.items() if name != "manifest.json"}


def test_by_file_and_by_address(
    dask_processes: START, spec_file: Path, undisturbed: Path, contents: Contents, tmp_path: Path
) -> None:
    dask = dask_processes()
    events: list[SweepEvent] = []

    def listen(event: SweepEvent) -> None:
        events.append(event)
        if isinstance(event, WorkersAwaited):
            dask.start_workers(2)

    result = sweep(spec_file, tmp_path / "out", cluster=str(dask.file), progress=listen)
    assert result.n_computed == 240
    assert events[0] == WorkersAwaited(whose=f"the scheduler at {dask.address}")
    assert isinstance(events[1], SweepStarted)
    assert events[1].workers in (1, 2)
    assert events[1].reason == "gpus = 0 for workers of this cluster"
    assert events[1].dashboard is not None
    assert sum(isinstance(event, ShardDone) for event in events) == 24
    assert contents(tmp_path / "out") == contents(undisturbed)
    assert sweep(TINY, tmp_path / "tiny", cluster=dask.address).n_computed == 2


def test_no_scheduler_and_no_worker_are_told(dask_processes: START, tmp_path: Path) -> None:
    # Dask tells of its last attempt: refused, or cut short by the time limit on a busy machine.
    why = r"\(.*(refused|Timed out).*\)"
    with pytest.raises(GmemgpuError, match=rf"tcp://127.0.0.1:1: no Dask scheduler answers {why}; check the address"):
        sweep(TINY, tmp_path / "out", cluster="tcp://127.0.0.1:1")
    dask = dask_processes()
    with pytest.raises(GmemgpuError, match=r"127.0.0.1:\d+: no worker after 1 s; start some"):
        sweep(TINY, tmp_path / "out", cluster=dask.address, cluster_options={"start_timeout": "10 ms"})


@pytest.mark.parametrize("victim", ["worker", "nanny"])
def test_a_killed_worker_costs_nothing_and_a_killed_nanny_a_host(
    dask_processes: START,
    worker_children: Callable[[Any], list[psutil.Process]],
    spec_file: Path,
    undisturbed: Path,
    contents: Contents,
    tmp_path: Path,
    victim: str,
) -> None:
    dask = dask_processes()
    first = dask.start_workers(1)
    dask.start_workers(1)
    n_done = 0

    def kill(event: SweepEvent) -> None:
        nonlocal n_done
        n_done += isinstance(event, ShardDone)
        if isinstance(event, ShardDone) and n_done == 4:
            if victim == "worker":
                worker_children(first)[0].kill()
            else:
                first.kill()

    sweep(spec_file, tmp_path / "out", cluster=dask.address, progress=kill)
    assert n_done == 24
    assert contents(tmp_path / "out") == contents(undisturbed)


def test_a_killed_scheduler_ends_the_sweep_and_the_next_goes_on(
    dask_processes: START,
    spec_file: Path,
    undisturbed: Path,
    contents: Contents,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    dask = dask_processes()
    dask.start_workers(2)
    scheduler = dask.started[0]

    def kill(event: SweepEvent) -> None:
        if isinstance(event, ShardDone):
            scheduler.kill()

    with pytest.raises(GmemgpuError, match="the scheduler ended or cannot be reached any more; run the same command"):
        sweep(spec_file, tmp_path / "out", cluster=dask.address, progress=kill)
    assert not list((tmp_path / "out" / "claims").iterdir())
    assert not (tmp_path / "out" / "results.parquet").exists()
    # Dask would have tracebacks to tell.
    assert capfd.readouterr().err == ""
    again = sweep(spec_file, tmp_path / "out", workers=2)
    assert 0 < again.n_computed < 240
    assert contents(tmp_path / "out") == contents(undisturbed)


def test_tls_on_loopback(
    dask_processes: START, tls_files: TlsFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s.toml").write_text(
        'policies = ["v10"]\n[workload]\npreset = "idle-snp"\nhorizon_ns = "1 min"\nwarmup_ns = "1 s"\n'
    )
    ours, others = tls_files(tmp_path / "ours"), tls_files(tmp_path / "others")
    dask = dask_processes(["--tls-ca-file", ours["ca"], "--tls-cert", ours["cert"], "--tls-key", ours["key"]])
    dask.start_workers(1)
    assert dask.address.startswith("tls://")

    def run(files: dict[str, str]) -> int:
        options = [option for name, path in files.items() for option in (f"--tls-{name}", path)]
        command = ["sweep", str(tmp_path / "s.toml"), "-o", str(tmp_path / "out"), "--quiet"]
        return main([*command, "--cluster", dask.address, *options])

    # Whom we do not trust, who does not trust us, and nobody at all.
    assert run({**ours, "ca": others["ca"]}) == 1
    assert f"gmemgpu: {dask.address}: no trusted TLS connection (" in capsys.readouterr().err
    assert run({**others, "ca": ours["ca"]}) == 1
    assert f"gmemgpu: {dask.address}: " in capsys.readouterr().err
    assert run({}) == 2
    assert f"cluster: {dask.address} needs the files tls_ca, tls_cert and tls_key" in capsys.readouterr().err
    assert not list((tmp_path / "out").rglob("part-*.parquet"))
    assert run(ours) == 0
    assert len(list((tmp_path / "out").rglob("part-*.parquet"))) == 1


BLOCKED = "import sys; sys.modules['gmemgpu'] = None\n"


def test_a_worker_without_gmemgpu_is_refused(dask_processes: START, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(BLOCKED)
    dask = dask_processes()
    dask.start_workers(1, environment={"PYTHONPATH": str(tmp_path)})
    with pytest.raises(UnfitWorker, match=r"worker tcp://127.0.0.1:\d+: cannot run gmemgpu: .*; install gmemgpu "):
        sweep(TINY, tmp_path / "out", cluster=dask.address)


def test_a_scheduler_without_gmemgpu_is_refused(dask_processes: START, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(BLOCKED)
    dask = dask_processes(environment={"PYTHONPATH": str(tmp_path)})
    dask.start_workers(1)
    with pytest.raises(UnfitWorker, match=r"the scheduler cannot import gmemgpu: .*; install gmemgpu "):
        sweep(TINY, tmp_path / "out", cluster=dask.address, on_error="continue")
    assert not (tmp_path / "out" / "failures").exists()


def test_workers_without_a_gpu_are_refused_where_there_should_be_some(dask_processes: START, tmp_path: Path) -> None:
    dask = dask_processes()
    dask.start_workers(1)
    options = {"gpus": 1}
    with pytest.raises(UnfitWorker, match=r"none of 1 workers has the resource GPU=1 that cluster.gpus = 1 asks for"):
        sweep(TINY, tmp_path / "out", cluster=dask.address, cluster_options=options, backend="numpy")
    dask.start_workers(1, "--resources", "GPU=1")
    with Client(dask.address) as client:
        client.wait_for_workers(2, timeout=60)
    done = sweep(TINY, tmp_path / "out", cluster=dask.address, cluster_options=options, backend="numpy")
    assert done.n_computed == 2


def test_workers_that_all_end_in_mid_sweep_are_not_waited_for_for_ever(
    dask_processes: START, spec_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gmemgpu.sweeping import dispatch

    monkeypatch.setattr(dispatch, "_COUNT_EVERY_S", 0.1)
    dask = dask_processes()
    host = dask.start_workers(2)
    with Client(dask.address) as client:
        client.wait_for_workers(2, timeout=60)

    def kill(event: SweepEvent) -> None:
        if isinstance(event, ShardDone):
            host.kill()

    with pytest.raises(GmemgpuError, match=r"the scheduler at tcp://.*: no worker for \d+ s; start some, then"):
        sweep(
            spec_file, tmp_path / "out", cluster=dask.address, cluster_options={"start_timeout": "1 s"}, progress=kill
        )
    assert not list((tmp_path / "out" / "claims").iterdir())


def test_whoever_finished_meanwhile_took_our_mark_along(
    dask_processes: START, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dask = dask_processes()
    dask.start_workers(1)
    really = fitness.refuse_unfit_workers

    def beaten(*arguments: Any, **options: Any) -> None:
        sweep(TINY, tmp_path / "out", workers=1)
        really(*arguments, **options)

    monkeypatch.setattr(fitness, "refuse_unfit_workers", beaten)
    assert sweep(TINY, tmp_path / "out", cluster=dask.address).n_computed == 0
    assert (tmp_path / "out" / "results.parquet").exists()


class Answers:
    """A client whose workers answer so."""

    def __init__(self, *answers: Any) -> None:
        self.answers = answers

    def run_on_scheduler(self, function: Any) -> bool:
        return bool(function())

    def run(self, *arguments: Any, on_error: str) -> dict[str, Any]:
        return {f"tcp://w{i}:1": answer for i, answer in enumerate(self.answers)}


def test_a_worker_that_dies_while_it_is_looked_at_is_no_worker(tmp_path: Path) -> None:
    with marked_place(tmp_path) as place:
        refuse_unfit_workers(Answers(CommClosedError("Stream is closed"), (None, {})), place, {})  # type: ignore[arg-type]


def test_one_bad_node_of_many_is_no_reason_to_refuse_where_it_can_be_replaced(tmp_path: Path) -> None:
    bad = ("does not see it", {})
    for unfit, why in ((bad, "does not see it"), (ValueError("x"), "cannot run gmemgpu: x; install")):
        some, none = Answers((None, {}), unfit), Answers(unfit, bad)
        with marked_place(tmp_path) as place:
            refuse_unfit_workers(some, place, {}, some_will_do=True)  # type: ignore[arg-type]
            with pytest.raises(UnfitWorker, match=f"worker tcp://w1:1: {why}") as caught:
                refuse_unfit_workers(some, place, {})  # type: ignore[arg-type]
            assert caught.value.worker == "tcp://w1:1"
            with pytest.raises(UnfitWorker, match=f"worker tcp://w0:1: {why}"):
                refuse_unfit_workers(none, place, {}, some_will_do=True)  # type: ignore[arg-type]


@contextmanager
def one_thread() -> Any:
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def test_a_worker_that_sees_another_directory_or_runs_other_code_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with one_thread() as client, marked_place(tmp_path) as place:
        refuse_unfit_workers(client, place, {})
        unseen = rf"worker inproc.*: does not see {tmp_path}; results must lie on a file system that"
        for other in (replace(place, nonce="of another"), replace(place, mark="gone")):
            with pytest.raises(UnfitWorker, match=unseen):
                refuse_unfit_workers(client, other, {})
        with pytest.raises(UnfitWorker, match=r'does not run the same code \(code: "[0-9a-f]+… there, "old" here\)'):
            refuse_unfit_workers(client, replace(place, code="old"), {})
        numpy_1 = tuple((name, "1.26.0" if name == "numpy" else found) for name, found in place.versions)
        with pytest.raises(UnfitWorker, match=r'same code \(numpy: ".*" there, "1.26.0" here\); install the same'):
            refuse_unfit_workers(client, replace(place, versions=numpy_1), {})

        def full(*arguments: object) -> None:
            raise OSError(30, "Read-only file system")

        monkeypatch.setattr(Path, "write_text", full)
        fitness._unfitness.cache_clear()
        with pytest.raises(UnfitWorker, match=f"cannot write {tmp_path}: Read-only file system; results"):
            refuse_unfit_workers(client, place, {})
    assert list(tmp_path.iterdir()) == []


def test_what_a_worker_cannot_write_is_laid_to_the_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(number: int) -> Callable[..., None]:
        def compute(*arguments: Any) -> None:
            raise OSError(number, os.strerror(number))

        return compute

    with marked_place(tmp_path) as place:
        setting: Any = SimpleNamespace(auto=True)
        monkeypatch.setattr(fitness, "compute_shards", refuse(errno.ESTALE))
        with pytest.raises(LostStorage, match=r"worker on .*: .*Stale file handle") as caught:
            fitness.compute_if_fit([], setting, place)
        again = pickle.loads(pickle.dumps(caught.value))
        assert (type(again), str(again), again.worker) == (LostStorage, str(caught.value), "")
        monkeypatch.setattr(fitness, "compute_shards", refuse(errno.ENOSPC))
        with pytest.raises(OSError, match="No space left"):
            fitness.compute_if_fit([], setting, place)


def test_a_late_worker_is_looked_at_too(tmp_path: Path) -> None:
    with marked_place(tmp_path) as place, pytest.raises(UnfitWorker, match="does not see"):
        fitness.compute_if_fit([], None, replace(place, nonce="of another"))  # type: ignore[arg-type]


def test_a_dashboard_is_named_only_where_there_is_one(dask_processes: START, tmp_path: Path) -> None:
    dask = dask_processes(scheduler_options=["--no-dashboard"])
    dask.start_workers(1)
    events: list[SweepEvent] = []
    sweep(TINY, tmp_path / "out", cluster=dask.address, progress=events.append)
    (started,) = [event for event in events if isinstance(event, SweepStarted)]
    assert started.dashboard is None


def test_a_gpu_engine_needs_workers_with_gpus(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r'cluster\.gpus: is 0, and "cupy" needs a GPU for each'):
        sweep(TINY, tmp_path / "out", backend="cupy", cluster="tcp://127.0.0.1:1")
