"""A results directory that several people share, or that is not ours: what the file system forbids is told as such."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gmemgpu.cli.main import main
from gmemgpu.errors import StoreError
from gmemgpu.sweeping import manifest as manifests
from gmemgpu.sweeping.array import compute_share
from gmemgpu.sweeping.checking import check_directory
from gmemgpu.sweeping.status import read_status

Contents = Callable[[Path], dict[str, str]]

NOBODY = 65_534
SPEC = """
policies = ["v10"]
[workload]
preset = "idle-snp"
horizon_ns = "10 min"
warmup_ns = "1 s"
snp.share = [0.2, 0.4, 0.6, 0.8]
"""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else for a while")


@contextmanager
def somebody_else() -> Iterator[None]:
    """Be an ordinary user of another group; what is imported by then stays imported."""
    mask = os.umask(0o002)
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.umask(mask)


@pytest.fixture(autouse=True)
def known_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else may not read the environment that this runs in."""
    found = manifests.versions()
    monkeypatch.setattr(manifests, "versions", lambda: found)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder that others can reach, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def spec(folder: Path) -> Path:
    path = folder / "spec.toml"
    path.write_text(SPEC)
    return path


@pytest.fixture
def finished(spec: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert share(spec, folder / "finished", 0, 1)
    # Whatever these import must be imported before somebody else calls them, who may not see it.
    for command in ("status", "check", "show"):
        assert main([command, str(folder / "finished")]) == 0
    capsys.readouterr()
    return folder / "finished"


def share(spec: Path, directory: Path, index: int, of: int) -> bool:
    return compute_share(spec, directory, index=index, of=of, backend="numpy").complete


def parts(directory: Path) -> list[Path]:
    return sorted((directory / "parts").iterdir())


def test_two_people_of_one_group_share_a_sweep(spec: Path, folder: Path, finished: Path, contents: Contents) -> None:
    directory = folder / "out"
    directory.mkdir()
    os.chown(directory, 0, NOBODY)
    directory.chmod(0o2775)
    mask = os.umask(0o002)
    try:
        assert not share(spec, directory, 0, 2)
    finally:
        os.umask(mask)
    with somebody_else():
        assert share(spec, directory, 1, 2)
    assert contents(directory) == contents(finished)
    assert {path.stat().st_uid for path in parts(directory)} == {0, NOBODY}


def test_a_part_that_may_not_be_read_is_told_and_kept(
    spec: Path, finished: Path, contents: Contents, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(finished)
    part = parts(finished)[1]
    part.chmod(0)
    (finished / "verified.txt").unlink()
    with somebody_else():
        with pytest.raises(StoreError, match=f"{part}: cannot be read: Permission denied; check its permissions"):
            share(spec, finished, 0, 1)
        assert main(["check", str(finished), "--repair"]) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith(f"{part}: cannot be read: Permission denied; check")
    assert told[1].endswith("1 fault; merged rows are whole, with not all parts to compare")
    assert len(told) == 2
    assert contents(finished) == before


def test_what_is_anothers_can_be_read_and_not_gone_on_with(
    spec: Path, folder: Path, finished: Path, contents: Contents, capsys: pytest.CaptureFixture[str]
) -> None:
    half = folder / "half"
    assert not share(spec, half, 0, 2)
    before = contents(folder)
    with somebody_else():
        # All is there: nothing needs to be written.
        assert share(spec, finished, 0, 1)
        for command in ("status", "check", "show"):
            assert main([command, str(finished)]) == 0
        assert read_status(half).n_missing == 2
        with pytest.raises(StoreError, match=f"{half}/claims/client-.*: cannot be written: Permission denied; let all"):
            share(spec, half, 1, 2)
    assert contents(folder) == before
    assert capsys.readouterr().err == ""


def test_a_folder_that_may_not_be_listed_is_told(spec: Path, finished: Path) -> None:
    (finished / "results.parquet").unlink()
    (finished / "parts").chmod(0o311)
    told = r"/parts: cannot be read: Permission denied; check its"
    with somebody_else():
        with pytest.raises(StoreError, match=told):
            share(spec, finished, 0, 1)
        with pytest.raises(StoreError, match=told):
            read_status(finished)
        with pytest.raises(StoreError, match=told):
            check_directory(finished)
    (finished / "parts").chmod(0o600)
    with somebody_else(), pytest.raises(StoreError, match=told):
        check_directory(finished)
