from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gmemgpu.errors import StoreError
from gmemgpu.sweeping import owner as owning
from gmemgpu.sweeping.claim import Claims, read_claims, remove_claims

PART = "0123456789abcdef0123456789abcdef"
PATIENCE_S = 60
CLIENT = """
import sys
from pathlib import Path
from gmemgpu.sweeping import owner
from gmemgpu.sweeping.claim import Claims
folder, host, *parts = sys.argv[1:]
if host == "elsewhere":
    owner._boot = lambda: "another kernel's"
with Claims(Path(folder), lease_s=0.4) as claims:
    print("ready", flush=True)
    sys.stdin.readline()
    print(*(int(claims.take(part)) for part in parts), flush=True)
    sys.stdin.read()
"""


class Clock:
    """A monotonic clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(owning, "monotonic", clock)
    return clock


@pytest.fixture
def other_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    """No client sees that another runs under the same kernel."""
    monkeypatch.setattr(owning, "_boot", lambda: "")


@contextmanager
def clients(n: int, folder: Path, host: str, *parts: str) -> Iterator[tuple[list[subprocess.Popen[str]], list[str]]]:
    """Other processes that claim parts, all from the same moment, and then wait; yields them and what each got."""
    command = [sys.executable, "-c", CLIENT, str(folder), host, *parts]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) for _ in range(n)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
        yield processes, [process.stdout.readline().strip() for process in processes if process.stdout]
    finally:
        for process in processes:
            process.kill()
            process.communicate()


@contextmanager
def client(folder: Path, host: str, *parts: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """One of them."""
    with clients(1, folder, host, *parts) as ((process,), (got,)):
        yield process, got


def take_soon(claims: Claims, part_id: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not claims.take(part_id):
        assert time.monotonic() < deadline, "the claim is never taken over"
        time.sleep(0.02)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def abandon(claims: Claims) -> None:
    """End a client of this process as SIGKILL would: nothing is released, and its lock is gone."""
    claims._leaving.set()
    claims._thread.join()
    os.close(claims._life._file)


def test_what_one_holds_no_other_gets_until_it_is_released(tmp_path: Path) -> None:
    with Claims(tmp_path) as one, Claims(tmp_path) as two:
        assert one.take(PART)
        assert one.take(PART)
        assert not two.take(PART)
        assert two.take("other")
        one.release(PART)
        assert two.take(PART)
        assert not one.take(PART)
        # What is not held any more is nobody's to release twice.
        one.release(PART)
        assert not one.take(PART)
    assert names(tmp_path) == []


def test_leaving_releases_everything_also_on_an_error(tmp_path: Path) -> None:
    def fail() -> None:
        with Claims(tmp_path / "claims") as claims:
            assert claims.take(PART)
            assert len(names(tmp_path / "claims")) == 2
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert names(tmp_path / "claims") == []


@pytest.mark.parametrize("after_a_dead_one", [False, True])
def test_of_clients_that_try_at_the_same_moment_one_gets_each(tmp_path: Path, after_a_dead_one: bool) -> None:
    parts = [f"{i:032x}" for i in range(300)]
    if after_a_dead_one:
        with client(tmp_path, "here", *parts) as (_, got):
            assert got.split() == ["1"] * 300
    with clients(3, tmp_path, "here", *parts) as (_, took):
        each = zip(*(line.split() for line in took), strict=True)
        assert [sorted(got) for got in each] == [["0", "0", "1"]] * 300


def test_claims_of_a_process_killed_on_this_machine_are_free_at_once(tmp_path: Path, clock: Clock) -> None:
    with client(tmp_path, "here", PART) as (process, got), Claims(tmp_path) as claims:
        assert got == "1"
        assert not claims.take(PART)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(PATIENCE_S)
        # The clock stands still: no lease is waited for.
        assert claims.take(PART)


def test_claims_of_a_process_killed_elsewhere_are_free_after_the_lease(tmp_path: Path) -> None:
    with client(tmp_path, "elsewhere", PART) as (process, got), Claims(tmp_path, lease_s=0.4) as claims:
        assert got == "1"
        os.kill(process.pid, signal.SIGKILL)
        process.wait(PATIENCE_S)
        assert not claims.take(PART)
        take_soon(claims, PART)


def test_a_living_client_keeps_its_claims_however_long_it_takes(tmp_path: Path, clock: Clock) -> None:
    with client(tmp_path, "elsewhere", PART) as (_, got), Claims(tmp_path, lease_s=0.4) as claims:
        assert got == "1"
        beats = read_claims(tmp_path)[PART].owner
        assert beats is not None
        for _ in range(3):
            assert not claims.take(PART)
            deadline = time.monotonic() + PATIENCE_S
            while (now := read_claims(tmp_path)[PART].owner) is not None and now.n_beats == beats.n_beats:
                assert time.monotonic() < deadline, "no sign of life"
                time.sleep(0.02)
            assert now is not None
            beats = now
            clock.now += 3600


def test_a_lease_counts_from_when_we_first_saw_the_claim_in_this_state(
    tmp_path: Path, clock: Clock, other_hosts: None
) -> None:
    dead = Claims(tmp_path, lease_s=60)
    with dead, Claims(tmp_path, lease_s=60) as claims:
        assert dead.take(PART)
        clock.now += 3600
        assert not claims.take(PART)
        clock.now += 59
        assert not claims.take(PART)
        dead._life.beat()
        clock.now += 2
        assert not claims.take(PART)
        clock.now += 59
        assert not claims.take(PART)
        clock.now += 1
        assert claims.take(PART)
        # It was only slow; what it gives back now is not its own.
        dead.release(PART)
        assert not dead.take(PART)
    assert names(tmp_path) == []


def test_a_wall_clock_that_jumps_changes_nothing(
    tmp_path: Path, clock: Clock, other_hosts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Claims(tmp_path, lease_s=60) as one, Claims(tmp_path, lease_s=60) as two:
        assert one.take(PART)
        assert not two.take(PART)
        for jump_s in (-1e9, 1e9):
            monkeypatch.setattr(time, "time", lambda jump_s=jump_s: jump_s)
            for path in tmp_path.iterdir():
                os.utime(path, (abs(jump_s) * 2, abs(jump_s) * 2))
            assert not two.take(PART)
        # Time stamps that change are no sign of life either.
        clock.now += 60
        assert two.take(PART)


def test_of_many_that_see_a_dead_claim_one_takes_it_over(tmp_path: Path, clock: Clock, other_hosts: None) -> None:
    dead = Claims(tmp_path)
    dead.__enter__()
    assert dead.take(PART)
    abandon(dead)
    with Claims(tmp_path) as one, Claims(tmp_path) as two, Claims(tmp_path) as three:
        assert not any(claims.take(PART) for claims in (one, two, three))
        clock.now += 60
        # A client that has looked, and is then slow: the others are through by the time it goes on.
        replace = two._replace
        two._replace = lambda path: (one.take(PART), replace(path))[1]  # type: ignore[method-assign]
        assert two.take(PART)
        assert not one.take(PART)
        assert not three.take(PART)
        two.release(PART)
        assert three.take(PART)


def test_a_client_that_dies_while_it_takes_over_is_taken_over_too(
    tmp_path: Path, clock: Clock, other_hosts: None
) -> None:
    dead = Claims(tmp_path)
    dead.__enter__()
    assert dead.take(PART)
    abandon(dead)
    second = Claims(tmp_path)
    second.__enter__()

    def die(path: Path) -> bool:
        raise KeyboardInterrupt

    second._replace = die  # type: ignore[method-assign]
    second._remove = lambda name: None  # type: ignore[method-assign]
    assert not second.take(PART)
    clock.now += 60
    with pytest.raises(KeyboardInterrupt):
        second.take(PART)
    abandon(second)
    with Claims(tmp_path) as third:
        assert not third.take(PART)
        clock.now += 60
        assert not third.take(PART)
        clock.now += 60
        assert third.take(PART)


@pytest.mark.parametrize("content", [b"", b"\0\xff/../x", b"no such client's"])
def test_a_claim_that_makes_no_sense_goes_stale_like_any_other(tmp_path: Path, clock: Clock, content: bytes) -> None:
    (tmp_path / PART).write_bytes(content)
    with Claims(tmp_path, lease_s=60) as claims:
        assert not claims.take(PART)
        clock.now += 59
        assert not claims.take(PART)
        clock.now += 1
        assert claims.take(PART)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named_and_leaves_no_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def full(file: int, data: bytes) -> int:
        raise OSError(number, os.strerror(number))

    with Claims(tmp_path) as claims:
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", full)
            with pytest.raises(StoreError, match=f"{os.strerror(number)}; make room there"):
                claims.take(PART)
            # A sign of life that cannot be given is no reason to stop.
            claims._life.beat()
        assert PART not in names(tmp_path)
        assert claims.take(PART)
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(StoreError, match="cannot be written"), Claims(tmp_path):
            pass
    assert names(tmp_path) == []


def refuse(path: object, *arguments: object, **options: object) -> None:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


@pytest.mark.parametrize("function", ["open", "unlink"])
def test_missing_permissions_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    with Claims(tmp_path) as claims:
        assert claims.take(PART)
        with monkeypatch.context() as patched:
            # pathlib itself calls os.unlink.
            patched.setattr(os, function, refuse)
            with pytest.raises(StoreError, match=rf"{tmp_path}/\w+: cannot be written: Permission denied; let all"):
                claims.take("another") if function == "open" else claims.release(PART)


def test_an_onlooker_sees_who_claims_what_and_who_is_gone(tmp_path: Path) -> None:
    assert read_claims(tmp_path / "nothing") == {}
    with client(tmp_path, "here", PART) as (process, _), Claims(tmp_path) as claims:
        assert claims.take("mine")
        seen = read_claims(tmp_path)
        assert set(seen) == {PART, "mine"}
        owner = seen[PART].owner
        assert owner is not None
        assert (owner.host, owner.pid) == (os.uname().nodename, process.pid)
        assert str(owner) == f"{os.uname().nodename}, process {process.pid}"
        assert not seen[PART].gone
        process.kill()
        process.wait(PATIENCE_S)
        assert read_claims(tmp_path)[PART].gone
        assert not read_claims(tmp_path)["mine"].gone
    remove_claims(tmp_path)
    assert names(tmp_path) == []
    remove_claims(tmp_path / "nothing")


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o002, 0o664)])
def test_permissions_are_what_the_umask_leaves(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        with Claims(tmp_path / "claims") as claims:
            claims.take(PART)
            assert {path.stat().st_mode & 0o777 for path in (tmp_path / "claims").iterdir()} == {mode}
            assert (tmp_path / "claims").stat().st_mode & 0o777 == 0o777 & ~umask
    finally:
        os.umask(before)
