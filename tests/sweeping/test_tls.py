"""Who may speak to a sweep's scheduler: nobody else on this machine, and whom Dask's own configuration names."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from distributed import Client
from distributed.security import Security
from sweep_processes import (
    DaskProcesses,
    Hold,
    parts_of,
    run_gmemgpu,
    running,
    tls_environment,
    wait_for_parts,
)

pytestmark = pytest.mark.slow


def listening(process: psutil.Process) -> list[Any]:
    found = []
    for one in (process, *process.children(recursive=True)):
        found += [told.laddr for told in one.net_connections("tcp") if told.status == psutil.CONN_LISTEN]
    return found


def answers_http(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
        plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
        try:
            return plain.recv(4) == b"HTTP"
        except OSError:
            return False


def handshake(port: int) -> None:
    """Speak TLS to a port, with no certificate; what it says to a stranger comes with the first bytes read."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=5) as plain, context.wrap_socket(plain) as tls:
        if tls.recv(1) == b"":
            raise ssl.SSLError("closed")


def test_a_local_sweep_listens_on_loopback_and_answers_no_stranger(spec_file: Path, hold: Hold, tmp_path: Path) -> None:
    with running("sweep", spec_file, "-o", tmp_path / "out", "--workers", 2, "--quiet") as process:
        wait_for_parts(process, tmp_path / "out", 2)
        places = listening(psutil.Process(process.pid))
        assert {place.ip for place in places} == {"127.0.0.1"}
        # A scheduler, two nannies, two workers, and web pages, which show what runs and take no orders.
        ports = [place.port for place in places if not answers_http(place.port)]
        assert len(ports) >= 5
        strangers: list[Security | None] = [None, Security.temporary()]
        for port in ports:
            with pytest.raises((ssl.SSLError, ConnectionError, TimeoutError)):
                handshake(port)
        for security in strangers:
            protocol = "tcp" if security is None else "tls"
            with pytest.raises(OSError, match=r"Timed out|refused|closed|[Cc]ertificate|SSL|TLS"):
                Client(f"{protocol}://127.0.0.1:{ports[0]}", security=security, timeout=2, set_as_default=False)
        assert process.poll() is None


@pytest.fixture
def tls(dask_processes: Callable[..., DaskProcesses], tmp_path: Path) -> tuple[DaskProcesses, dict[str, str]]:
    """Start a scheduler with TLS files of its own and a worker; return them and Dask's configuration for clients."""
    environment = tls_environment(tmp_path / "ours")
    dask = dask_processes("--protocol", "tls", environment=environment)
    assert dask.address.startswith("tls://")
    dask.start_workers(1)
    return dask, environment


def test_tls_files_of_dasks_configuration_are_used(
    tls: tuple[DaskProcesses, dict[str, str]], tiny_file: Path, tiny_whole: Path, tmp_path: Path
) -> None:
    dask, ours = tls
    command = ("sweep", tiny_file, "-o", tmp_path / "out", "--quiet", "--scheduler")
    others = tls_environment(tmp_path / "others")
    wrong_ca = {key: others[key] if key.endswith("CA_FILE") else path for key, path in ours.items()}
    untrusted = {key: ours[key] if key.endswith("CA_FILE") else path for key, path in others.items()}
    line = rf"gmemgpu: {dask.address}: no Dask scheduler answers \(.*\); check distributed\.comm\.tls of Dask's .*\n"
    for environment in (wrong_ca, untrusted, {}):
        code, output, errors = run_gmemgpu(*command, dask.address, environment=environment)
        assert (code, output) == (1, "")
        assert re.fullmatch(line, errors), errors
    assert not parts_of(tmp_path / "out")
    assert run_gmemgpu(*command, dask.address, environment=ours) == (0, "", "")
    assert (tmp_path / "out" / "results.parquet").read_bytes() == (tiny_whole / "results.parquet").read_bytes()


def test_no_scheduler_is_told_in_one_line(tiny_file: Path, tmp_path: Path) -> None:
    command = ("sweep", tiny_file, "-o", tmp_path / "out", "--quiet", "--scheduler")
    code, _, errors = run_gmemgpu(*command, "tcp://127.0.0.1:1")
    assert code == 1
    assert re.fullmatch(
        r"gmemgpu: tcp://127.0.0.1:1: no Dask scheduler answers \(.*\); check the address, .*\n", errors
    )
    code, _, errors = run_gmemgpu(*command, tmp_path / "gone.json")
    assert code == 2
    assert f'scheduler: "{tmp_path}/gone.json" is neither an address (tcp://…) nor a file' in errors
