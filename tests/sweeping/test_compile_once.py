"""Compilation before work is shared out: told, by two processes, once for a user and a version."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import gmemgpu
from gmemgpu.cli.progress import shown_progress
from gmemgpu.sweeping import compile_once
from gmemgpu.sweeping.run.progress import Compiling


@pytest.fixture
def nothing_compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[subprocess.Popen[bytes]]:
    # Nothing is compiled here, and what other processes compile was compiled before; those are noted.
    if not compile_once.is_installed():
        pytest.skip("Numba is not installed")
    others: list[subprocess.Popen[bytes]] = []

    def noted(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        others.append(subprocess.Popen(command if not others else [sys.executable, "-c", ""], **options))
        return others[-1]

    monkeypatch.setattr(compile_once, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(compile_once, "generate", lambda *_, **__: SimpleNamespace(trace=None))
    monkeypatch.setattr(compile_once, "engine", lambda name: SimpleNamespace(evaluate=lambda *_: []))
    monkeypatch.setattr(compile_once, "Popen", noted)
    return others


def test_to_compile_is_told_and_done_once(
    nothing_compiled: list[subprocess.Popen[bytes]], capsys: pytest.CaptureFixture[str]
) -> None:
    with shown_progress(quiet=False, say_why=False) as listen:
        assert listen is not None
        took_s = [compile_once.compile_once(name, lambda: listen(Compiling())) for name in ("numpy", "numba", "numba")]
    assert [took is None for took in took_s] == [True, False, True]
    told = capsys.readouterr().err
    assert told == "gmemgpu: compiling the engine; this takes a minute, once for you and this version\n"
    # The process beside this one has done its part.
    assert [other.returncode for other in nothing_compiled] == [0]


@pytest.mark.parametrize("backend", ["cupy", "numba"])
def test_for_a_device_the_same_is_compiled(nothing_compiled: list[subprocess.Popen[bytes]], backend: str) -> None:
    # Its traces are made on cores, and so is what it leaves if it is lost.
    assert not compile_once.is_compiled()
    took_s = [compile_once.compile_once(name) for name in ("numpy", "reference", backend, "cupy", "numba")]
    assert [took is None for took in took_s] == [True, True, False, True, True]
    assert compile_once.is_compiled()


def test_without_another_process_all_is_compiled_in_this_one(
    nothing_compiled: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated: list[str] = []

    def refuse(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(compile_once, "Popen", refuse)
    monkeypatch.setattr(
        compile_once, "engine", lambda name: SimpleNamespace(evaluate=lambda *_: evaluated.append(name))
    )
    assert compile_once.compile_once("numba") is not None
    assert evaluated == ["numba"]


def test_a_process_that_compiles_ends_with_this_one(
    nothing_compiled: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(compile_once, "generate", interrupt)
    with pytest.raises(KeyboardInterrupt):
        compile_once.compile_once("numba")
    assert [other.returncode for other in nothing_compiled] == [-signal.SIGKILL]


def test_a_second_installation_compiles_for_itself(
    nothing_compiled: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Numba finds what it keeps by where a file lies and how old it is.
    took_s = [compile_once.compile_once("numba"), compile_once.compile_once("numba")]
    for place in ("here", "there"):
        source = tmp_path / place / "gmemgpu" / "__init__.py"
        source.parent.mkdir(parents=True)
        source.touch()
        monkeypatch.setattr(gmemgpu, "__file__", str(source))
        took_s += [compile_once.compile_once("numba"), compile_once.compile_once("numba")]
        os.utime(source, (1, 1))
        took_s += [compile_once.compile_once("numba"), compile_once.compile_once("numba")]
    assert [took is None for took in took_s] == [False, True] * 5
