"""
A real Slurm of one node, all of it in one folder.

Slurm's own daemons run, as whoever starts them, with no systemd and no control groups. The node claims more cores than
the machine may have, and two GPUs that are links to ``/dev/null``: Slurm hands them out and sets
``CUDA_VISIBLE_DEVICES`` as it does with real ones. Neither the system's Slurm nor its munge is touched.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

__all__ = ["PACKAGES", "SlurmNode", "missing_programs", "running_node", "same_files", "wait_until"]

PACKAGES = "slurmctld slurmd slurm-client munge slurm-wlm-torque"
"""Of Debian and Ubuntu. The last has the commands of PBS for it."""

_PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "squeue", "scancel", "scontrol", "sinfo", "qsub", "qdel")
_SEARCH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
_PATIENCE_S = 30.0
_N_CORES = 4
_N_GPUS = 2


def missing_programs() -> list[str]:
    """Return the programs of Slurm that are not installed."""
    return [name for name in _PROGRAMS if shutil.which(name, path=_SEARCH) is None]


@dataclass(frozen=True)
class SlurmNode:
    """A running Slurm; its folder holds configuration, state and logs."""

    folder: Path

    @property
    def conf(self) -> Path:
        """What ``SLURM_CONF`` must say."""
        return self.folder / "slurm.conf"

    @property
    def environment(self) -> dict[str, str]:
        """Return this process's environment with this Slurm in it; nothing of an outer job's."""
        outer = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_"))}
        # Jobs call the gmemgpu that is tested.
        path = os.pathsep.join((str(Path(sys.executable).parent), _SEARCH))
        return {**outer, "PATH": path, "SLURM_CONF": str(self.conf)}

    def call(self, *command: str | Path, folder: Path | None = None) -> str:
        """Run one of Slurm's programs, in a folder if it matters, and return what it prints."""
        ran = subprocess.run(
            command, env=self.environment, cwd=folder, capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        )
        assert ran.returncode == 0, f"{command}: {ran.stderr}"
        return ran.stdout

    def submit(self, *arguments: str | Path) -> str:
        """Call sbatch and return the job's number."""
        return self.call("sbatch", "--parsable", *arguments).strip()

    def active_jobs(self) -> list[str]:
        """Return the jobs that wait or run, an array's tasks one by one."""
        return self.call("squeue", "--noheader", "--array", "--format=%i").split()

    def all_jobs(self) -> list[str]:
        """Return the jobs of the last minutes, those that have ended too, an array's tasks one by one."""
        return self.call("squeue", "--noheader", "--states=all", "--format=%A").split()

    def state_of(self, job: str) -> str:
        """Return a job's state, as ``RUNNING`` or ``TIMEOUT``; an array's task is ``123_4``."""
        told = self.call("scontrol", "--oneliner", "show", "job", job)
        return told.partition("JobState=")[2].split()[0]

    def wait_until_idle(self, patience_s: float) -> None:
        """Wait until no job waits or runs. `sbatch --wait` would ask every ten seconds only."""
        wait_until(lambda: not self.active_jobs(), patience_s, "the last job's end")

    def cancel_all(self) -> None:
        """End all jobs, and wait for that."""
        for job in {job.partition("_")[0] for job in self.active_jobs()}:
            self.call("scancel", job)
        self.wait_until_idle(_PATIENCE_S)

    def expire(self, job: str) -> None:
        """Let a running job's walltime end now; the controller looks every 30 s."""
        # Not at once, which would be in the past when the controller reads it.
        self.call("scontrol", "update", f"JobId={job}", "EndTime=now+2seconds")


def wait_until(condition: Callable[[], bool], patience_s: float, what: str) -> None:
    """Ask again and again until a condition holds."""
    give_up = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < give_up, f"waited {patience_s} s for {what}"
        time.sleep(0.2)


def same_files(directory: Path, local: Path) -> bool:
    """Check whether two results directories hold the same files, but for what jobs print."""

    def contents(of: Path) -> dict[str, bytes]:
        files = (path.relative_to(of) for path in of.rglob("*") if path.is_file())
        return {str(path): (of / path).read_bytes() for path in files if path.parts[0] != "logs"}

    return contents(directory) == contents(local)


def _free_ports(n: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(closing(socket.socket())) for _ in range(n)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _configuration(folder: Path, host: str) -> str:
    controller_port, node_port = _free_ports(2)
    user = psutil.Process().username()
    return f"""\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmctldPort={controller_port}
SlurmdPort={node_port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
# Jobs start at once rather than after some seconds.
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
# Without it one job takes all memory and jobs run one by one.
DefMemPerCPU=1024
# A terminated job is killed this long after.
KillWait=5
Waittime=0
InactiveLimit=0
# The node may claim more than the machine has.
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={_N_CORES} RealMemory=16384 Gres=gpu:{_N_GPUS} State=UNKNOWN
PartitionName=debug Nodes={host} Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""


def _write(folder: Path) -> None:
    for name in ("state", "spool"):
        (folder / name).mkdir()
    host = socket.gethostname().partition(".")[0]
    (folder / "slurm.conf").write_text(_configuration(folder, host))
    gpus = ["AutoDetect=off"]
    for i in range(_N_GPUS):
        # Slurm takes device nodes only; the flag has it set CUDA_VISIBLE_DEVICES.
        (folder / f"gpu{i}").symlink_to("/dev/null")
        gpus.append(f"NodeName={host} Name=gpu File={folder}/gpu{i} Flags=nvidia_gpu_env")
    (folder / "gres.conf").write_text("\n".join(gpus) + "\n")
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
    # It sets the variables by which PBS tells a job of itself.
    (folder / "plugstack.conf").write_text("required spank_pbs.so\n")
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(1024))


def _daemons(folder: Path) -> list[Sequence[str]]:
    munge = [f"--{option}={folder}/munge.{option.removesuffix('-file')}" for option in ("key-file", "pid-file")]
    munge += [f"--socket={folder}/munge.socket", f"--seed-file={folder}/munge.seed", f"--log-file={folder}/munge.log"]
    # --force: folders above ours may be writable to others, as /tmp is.
    return [("munged", "--foreground", "--force", *munge), ("slurmctld", "-D"), ("slurmd", "-D")]


@contextmanager
def running_node() -> Iterator[SlurmNode]:
    """Start Slurm, wait until its node takes jobs, and at the end leave no process of it and no file."""
    with ExitStack() as stack:
        # Short, for a socket's path has 108 characters at most.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slurm-"))).resolve()
        _write(folder)
        node = SlurmNode(folder)
        stack.callback(_stop_survivors, node)
        for command in _daemons(folder):
            stack.enter_context(_daemon(command, node))
        _wait_for_node(node)
        stack.callback(node.cancel_all)
        yield node


@contextmanager
def _daemon(command: Sequence[str], node: SlurmNode) -> Iterator[None]:
    with (node.folder / f"{command[0]}.log").open("ab") as log:
        process = subprocess.Popen(
            command, env=node.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for_node(node: SlurmNode) -> None:
    command = ["sinfo", "--noheader", "--Node", "--format=%T"]

    def is_idle() -> bool:
        asked = subprocess.run(command, env=node.environment, capture_output=True, text=True, check=False)
        return asked.stdout.strip() == "idle"

    try:
        wait_until(is_idle, _PATIENCE_S, "the node to be idle")
    except AssertionError as error:
        logs = "".join(f"\n--- {path.name}\n{path.read_text()[-1500:]}" for path in sorted(node.folder.glob("*.log")))
        raise RuntimeError(f"{error}{logs}") from None


def _stop_survivors(node: SlurmNode) -> None:
    # Steps belong to no daemon's session; they know their Slurm by its configuration.
    left = [process for process in psutil.process_iter() if _belongs_to(process, node)]
    _, left = psutil.wait_procs(left, timeout=5)
    for process in left:
        process.kill()
    assert not left, f"Slurm left processes behind: {left}"


def _belongs_to(process: psutil.Process, node: SlurmNode) -> bool:
    try:
        return process.environ().get("SLURM_CONF") == str(node.conf)
    except psutil.Error:
        return False
