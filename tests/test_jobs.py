"""What jobs/ ships: specs that plan and run, scripts and manifests that hold together."""

from __future__ import annotations

import argparse
import re
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
import pytest
import yaml

from gmemgpu.cli import shard as shard_command
from gmemgpu.cli import sweep as sweep_command
from gmemgpu.cli.main import main
from gmemgpu.sweeping.run.plan import make_plan
from gmemgpu.sweeping.run.shard import shard_rows
from gmemgpu.sweeping.spec import read_spec

JOBS = Path(__file__).parents[1] / "jobs"
SPECS = sorted(JOBS.glob("*.toml"))
SCRIPTS = sorted([*JOBS.glob("slurm/*.sbatch"), *JOBS.glob("pbs/*.pbs")])
CONFIGS = sorted(JOBS.glob("*/jobqueue*.yaml"))
MANIFESTS = sorted(JOBS.glob("kubernetes/*.yaml"))
README = (JOBS / "README.md").read_text(encoding="utf-8")
CASES = sorted(JOBS.glob("cases/*.toml"))
README_OF_CASES = (JOBS / "cases" / "README.md").read_text(encoding="utf-8")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def name_of(path: Path) -> str:
    return path.name


def documents(*paths: Path) -> list[dict[str, Any]]:
    return [document for path in paths for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))]


def containers(kind: str) -> list[dict[str, Any]]:
    pods = [document["spec"]["template"]["spec"] for document in documents(*MANIFESTS) if document["kind"] == kind]
    return [container for pod in pods for container in pod["containers"]]


@pytest.mark.parametrize("path", SPECS, ids=name_of)
def test_a_spec_plans_as_many_evaluations_as_the_table_says(path: Path) -> None:
    plan = make_plan(read_spec(path), "numpy")
    (row,) = re.findall(rf"^\| \[{path.name}\]\({path.name}\) .*$", README, re.MULTILINE)
    assert row.split("|")[3].strip() == f"{plan.n_rows:,}"
    # Parts of a second or so each, not millions of files.
    assert len(plan.shards) < 5000


@pytest.mark.parametrize("path", SPECS, ids=name_of)
def test_a_thinned_spec_runs(path: Path) -> None:
    spec = read_spec(path)
    plan = make_plan(spec, "numpy")
    thin = [{"horizon_ns": one.workload.horizon_ns // 100, "warmup_ns": 0} for one in spec.scenarios]
    scenarios = tuple(
        replace(one, workload=one.workload.model_copy(update=update))
        for one, update in zip(spec.scenarios, thin, strict=True)
    )
    setting = replace(plan.setting, scenarios=scenarios)
    by_preset = {scenarios[shard.scenario].preset: shard for shard in reversed(plan.shards)}
    assert by_preset
    for shard in by_preset.values():
        (rows,), _ = shard_rows([replace(shard, seeds=shard.seeds[:1])], setting)
        assert [row["policy"] for row in rows] == [policy.name for policy in spec.policies]


def test_the_largest_spec_has_a_million_pairs() -> None:
    spec = read_spec(JOBS / "large.toml")
    assert len(spec.scenarios) * len(spec.seeds) * len(spec.policies) > 1_000_000


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_the_command_of_a_jobqueue_file_prints_its_jobs(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = re.findall(rf"gmemgpu (sweep .*jobs/{path.parent.name}/{path.name} .*)$", path.read_text(), re.MULTILINE)
    here = {"SPEC": str(JOBS / "delay.toml"), f"jobs/{path.parent.name}/{path.name}": str(path)}
    assert main([*(here.get(word, word) for word in line.split()), "--print-job"]) == 0
    script = capsys.readouterr().out
    asked = yaml.safe_load(path.read_text())["jobqueue"][path.parent.name]
    assert asked["walltime"] in script
    # What a file asks for comes last, so that it holds.
    assert " ".join(["--no-dashboard", *asked["worker-extra-args"]]) in script
    for directive in asked.get("job-extra-directives", []):
        assert directive in script
    on_device = "--backend cupy" in line
    assert "--nthreads 1 " in script
    assert ("--nworkers" in script) is (not on_device and asked["cores"] > 1)
    # Keys that somebody may wish for are there as comments, and dask-jobqueue knows them all.
    known = dask.config.get(f"jobqueue.{path.parent.name}")
    wished = re.findall(r"^ +# ([a-z-]+): ", path.read_text(), re.MULTILINE)
    assert {*asked, *wished} <= set(known)


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_a_script_is_sound_bash_that_says_how_to_run_it(path: Path) -> None:
    subprocess.run(["bash", "-n", path], check=True)
    text = path.read_text(encoding="utf-8")
    submit = "sbatch" if path.suffix == ".sbatch" else "qsub"
    assert re.search(rf"^#   {submit} .*jobs/{path.parent.name}/{path.name}", text, re.MULTILINE)
    for named in re.findall(r"jobs/[\w/.-]+\.(?:toml|sbatch|pbs|yaml)", text):
        assert (JOBS.parent / named).exists(), named


@pytest.mark.parametrize("path", [*SCRIPTS, *MANIFESTS], ids=name_of)
def test_options_of_gmemgpu_in_scripts_exist(path: Path) -> None:
    known: set[str] = set()
    for command in (sweep_command, shard_command):
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        known |= {option for action in parser._actions for option in action.option_strings}
    calls = re.findall(r"gmemgpu,? (?:sweep|shard),? ([^\n]*(?:\n[^\n]*\]$)?)", path.read_text(), re.MULTILINE)
    used = {option for call in calls for option in re.findall(r"(?<![\w-])--?[a-z][a-z-]*", call)}
    assert used <= known


@pytest.mark.parametrize("path", MANIFESTS, ids=name_of)
def test_manifests_are_what_kubernetes_takes(path: Path) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    for document in documents(path):
        kubernetes_validate.validate(document, "1.31", strict=True)


def command_of(container: dict[str, Any], folder: Path, address: str) -> list[str]:
    """Return a container's command for a process here: other places, another address, the same words otherwise."""
    programs = {"dask": "dask.__main__", "gmemgpu": "gmemgpu"}
    program, *words = container["command"]
    here = {"/spec/spec.toml": str(folder / "spec.toml"), "/results/sweep": str(folder / "out"), "/tmp": str(folder)}
    here |= {"tcp://gmemgpu-scheduler:8786": address, "$(JOB_COMPLETION_INDEX)": "0", "32": "1"}
    return [sys.executable, "-m", programs[program], *(here.get(word, word) for word in words)]


@pytest.mark.slow
def test_the_commands_of_the_pods_do_the_sweep(tmp_path: Path) -> None:
    scheduler, worker = containers("Deployment")
    share, client = containers("Job")
    for folder in (tmp_path, tmp_path / "array"):
        folder.mkdir(exist_ok=True)
        # Three parts for the pods to share; more seeds would tell no more.
        (folder / "spec.toml").write_text((JOBS / "delay.toml").read_text().replace("seeds = 10", "seeds = 1"))
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    serve = [str(port) if word == "8786" else word for word in command_of(scheduler, tmp_path, address)]
    started = []
    try:
        for command in ([*serve, "--host", "127.0.0.1"], command_of(worker, tmp_path, address)):
            started.append(subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True))
        # It may ask before the scheduler answers: a pod that fails is started anew.
        for _ in range(5):
            ran = subprocess.run([*command_of(client, tmp_path, address), "--quiet"], timeout=120, check=False)
            if ran.returncode == 0:
                break
    finally:
        for process in started:
            process.terminate()
            process.wait(60)
    merged = (tmp_path / "out" / "results.parquet").read_bytes()
    subprocess.run(command_of(share, tmp_path / "array", address), timeout=120, check=True, stderr=subprocess.DEVNULL)
    assert (tmp_path / "array" / "out" / "results.parquet").read_bytes() == merged


def test_manifests_name_one_scheduler_one_claim_and_one_spec() -> None:
    of_kind: dict[str, list[dict[str, Any]]] = {}
    for document in documents(*MANIFESTS):
        of_kind.setdefault(document["kind"], []).append(document)
    (service,) = of_kind["Service"]
    (claim,) = of_kind["PersistentVolumeClaim"]
    (scheduler,) = [one for one in of_kind["Deployment"] if one["spec"]["replicas"] == 1]
    address = f"tcp://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"
    assert service["spec"]["selector"].items() <= scheduler["spec"]["template"]["metadata"]["labels"].items()
    (container,) = scheduler["spec"]["template"]["spec"]["containers"]
    assert container["ports"][0]["name"] == service["spec"]["ports"][0]["targetPort"]
    assert str(service["spec"]["ports"][0]["port"]) in container["command"]
    users = [container for container in containers("Deployment") + containers("Job") if address in container["command"]]
    assert {container["name"] for container in users} == {"worker", "client"}
    for document in (*of_kind["Deployment"], *of_kind["Job"]):
        pod = document["spec"]["template"]["spec"]
        assert {container["image"] for container in pod["containers"]} == {"gmemgpu:latest"}
        for volume in pod.get("volumes", []):
            if volume["name"] == "results":
                assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
            else:
                assert volume == {"name": "spec", "configMap": {"name": "gmemgpu-spec"}}
        mounted = [mount["name"] for container in pod["containers"] for mount in container.get("volumeMounts", [])]
        assert mounted == [volume["name"] for volume in pod.get("volumes", [])]
        if document["kind"] == "Deployment":
            labels = document["spec"]["template"]["metadata"]["labels"]
            assert document["spec"]["selector"]["matchLabels"] == labels


def test_the_indexed_job_has_as_many_shares_as_pods() -> None:
    (job,) = [one for one in documents(JOBS / "kubernetes" / "array.yaml") if one["kind"] == "Job"]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    command = container["command"]
    assert command[command.index("--of") + 1] == str(job["spec"]["completions"])
    variable = command[command.index("--index") + 1]
    assert variable.removeprefix("$(").removesuffix(")") in [entry["name"] for entry in container["env"]]


def test_readme_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert {link for link in links if not link.startswith("https://") and not (JOBS / link).exists()} == set()
    shipped = {str(path.relative_to(JOBS)) for path in (*SPECS, *SCRIPTS, *CONFIGS)}
    assert shipped <= set(links)


@pytest.mark.parametrize("path", CASES, ids=name_of)
def test_a_case_says_how_to_run_it_and_the_table_what_it_gives(path: Path) -> None:
    command = f"#   gmemgpu sweep jobs/cases/{path.name} -o results/{path.stem}"
    assert re.match(rf"(# .+\n)+{re.escape(command)}\n\n", path.read_text(encoding="utf-8"))
    (row,) = re.findall(rf"^\| \[{path.stem}\]\({path.name}\) .*$", README_OF_CASES, re.MULTILINE)
    ((policy, metric, figure),) = re.findall(r"\| `(\w+)` `(\w+)` ([\d,]+) \|$", row)
    expected = [one.metrics for one in read_spec(path).expect if one.policy == policy]
    value = int(figure.replace(",", ""))
    assert (value, value) in [metrics.get(metric) for metrics in expected]
