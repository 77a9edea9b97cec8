"""What lies behind a symbolic link, or is not ours by name, is never read as ours, written or deleted."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from distributed import Client
from sweep_processes import parts_of

from gmemgpu.atomic import written_whole
from gmemgpu.errors import DirectoryError, StoreError
from gmemgpu.sweeping.run.share import compute_share
from gmemgpu.sweeping.run.sweep import sweep
from gmemgpu.sweeping.run.worker import mark
from gmemgpu.sweeping.store.check import check_directory
from gmemgpu.sweeping.store.read import read_rows
from gmemgpu.sweeping.store.status import read_status

Contents = Callable[[Path], dict[str, str]]
NOBODY = 65_534


@pytest.mark.parametrize("name", ["parts", "failures", "logs", "lock", "results.parquet", "manifest.json"])
def test_nothing_behind_a_link_is_read_written_or_deleted(
    tiny_file: Path, tiny: Path, contents: Contents, threads: Client, tmp_path: Path, name: str
) -> None:
    (tiny / "results.parquet").rename(tmp_path / "results.parquet")
    parts_of(tiny)[0].unlink()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    target = elsewhere / "target"
    # What a sweep would want to find there, or to remove.
    if name == "results.parquet":
        shutil.copyfile(tmp_path / name, target)
    elif (tiny / name).exists():
        (tiny / name).rename(target)
    elif name == "lock":
        target.write_text("a private key")
    else:
        target.mkdir()
    for file in ("a", f".lock.{'0' * 8}.partial", f"{'0' * 32}.json") if target.is_dir() else ():
        (target / file).write_text("a private key")
    (tiny / name).symlink_to(elsewhere / "target")
    before = contents(elsewhere)
    for run in (
        lambda: sweep(tiny_file, tiny, threads),
        lambda: compute_share(tiny_file, tiny, index=0, of=1, backend="numpy"),
    ):
        with pytest.raises(DirectoryError, match=rf"{tiny / name}: is a symbolic link, which is not followed"):
            run()
        assert contents(elsewhere) == before
    for use in (lambda: check_directory(tiny, repair=True), lambda: read_rows(tiny), lambda: read_status(tiny)):
        with suppress(StoreError):
            use()
        assert contents(elsewhere) == before
    assert (tiny / name).is_symlink()


def test_a_part_that_is_a_link_is_no_part(
    tiny_file: Path, tiny_whole: Path, tiny: Path, contents: Contents, threads: Client, tmp_path: Path
) -> None:
    (tiny / "results.parquet").unlink()
    part = parts_of(tiny)[1]
    part.rename(tmp_path / "target")
    part.symlink_to(tmp_path / "target")
    (fault,) = check_directory(tiny, repair=True).faults
    assert (fault.path, fault.removed) == (part, False)
    assert read_status(tiny).n_done == 4
    assert sweep(tiny_file, tiny, threads).n_computed == 2
    # Renamed over the link, not written through it.
    assert not part.is_symlink()
    assert (tmp_path / "target").exists()
    assert contents(tiny) == contents(tiny_whole)


def test_a_directory_itself_may_be_a_link(
    tiny_file: Path, tiny_whole: Path, contents: Contents, threads: Client, tmp_path: Path
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "real")
    sweep(tiny_file, tmp_path / "out", threads)
    assert contents(tmp_path / "real") == contents(tiny_whole)


def test_foreign_files_stay(tiny_file: Path, tiny_whole: Path, tiny: Path, contents: Contents, threads: Client) -> None:
    foreign = {"notes.txt", "parts/notes.txt", "parts/.hidden", ".hidden", "failures/notes.txt"}
    foreign |= {".notes.partial", "parts/.download.partial", "failures/.notes.01234567.partial"}
    (tiny / "failures").mkdir()
    for name in foreign:
        (tiny / name).write_text("years of work")
    (tiny / "parts" / "folder").mkdir()
    (tiny / "results.parquet").unlink()
    parts_of(tiny)[0].unlink()
    found = check_directory(tiny, repair=True)
    assert {fault.path.name for fault in found.faults} == {"notes.txt", "folder"}
    assert not any(fault.removed for fault in found.faults)
    sweep(tiny_file, tiny, threads)
    assert contents(tiny).keys() == contents(tiny_whole).keys() | foreign
    assert (tiny / "parts" / "folder").is_dir()


def test_what_killed_writers_left_goes(
    tiny_file: Path, tiny_whole: Path, tiny: Path, contents: Contents, threads: Client
) -> None:
    (tiny / "failures").mkdir()
    with mark(tiny / "parts") as (marked, _):
        pass
    part = parts_of(tiny)[0].relative_to(tiny)
    left = [tiny / "parts" / marked]
    for name in ("manifest.json", "results.parquet", "lock", part, f"failures/{'0' * 32}.json", f"parts/{marked}"):
        with suppress(KeyboardInterrupt), written_whole(tiny / name) as file:
            left.append(Path(file.name))
            raise KeyboardInterrupt
    for path in left:
        path.touch(exist_ok=False)
    (tiny / part).unlink()
    (tiny / "results.parquet").unlink()
    sweep(tiny_file, tiny, threads)
    assert contents(tiny).keys() == contents(tiny_whole).keys()


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


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make a folder that others can reach, unlike those of pytest."""
    from gmemgpu.sweeping.store import directory, identity

    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else for a while")
    # Somebody else may not read the environment that this runs in.
    found = identity.versions()
    monkeypatch.setattr(directory, "versions", lambda: found)
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_two_people_of_one_group_share_a_sweep(
    tiny_file: Path, tiny_whole: Path, contents: Contents, folder: Path
) -> None:
    directory, spec = folder / "out", folder / tiny_file.name
    shutil.copyfile(tiny_file, spec)
    directory.mkdir()
    os.chown(directory, 0, NOBODY)
    directory.chmod(0o2775)
    mask = os.umask(0o002)
    try:
        assert not compute_share(spec, directory, index=0, of=2, backend="numpy").is_merged
    finally:
        os.umask(mask)
    with somebody_else():
        assert compute_share(spec, directory, index=1, of=2, backend="numpy").is_merged
    assert contents(directory) == contents(tiny_whole)
    assert {path.stat().st_uid for path in parts_of(directory)} == {0, NOBODY}


def test_what_may_not_be_read_or_written_is_told_and_kept(
    tiny_file: Path, tiny: Path, contents: Contents, folder: Path
) -> None:
    spec = folder / "s.toml"
    shutil.copyfile(tiny_file, spec)
    directory = Path(shutil.copytree(tiny, folder / "out"))
    with somebody_else():
        # All is there: nothing needs to be written.
        assert compute_share(spec, directory, index=0, of=1, backend="numpy").is_merged
        assert read_rows(directory).n_parts_done == read_status(directory).n_done == 5
        assert not check_directory(directory).faults
    (directory / "results.parquet").unlink()
    first, second, *_ = parts_of(directory)
    first.unlink()
    with somebody_else(), pytest.raises(StoreError, match=rf"{directory}.*: cannot be written: Permission denied; let"):
        compute_share(spec, directory, index=0, of=1, backend="numpy")
    second.chmod(0)
    before = contents(directory)
    with somebody_else():
        (fault,) = check_directory(directory).faults
        assert (fault.path, fault.is_ours) == (second, False)
        assert fault.what.startswith("cannot be read: Permission denied; check its permissions")
    (directory / "parts").chmod(0o311)
    with somebody_else():
        for use in (read_status, check_directory, read_rows):
            with pytest.raises(StoreError, match=r"/parts: cannot be read: Permission denied; check its"):
                use(directory)
    (directory / "parts").chmod(0o755)
    assert contents(directory) == before
