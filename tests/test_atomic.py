from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gmemgpu.atomic import is_wrong_path, remove_unchanged, written_output, written_whole


def test_the_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")
    with written_whole(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("failure", [OSError, KeyboardInterrupt])
def test_a_failure_leaves_what_was_there(tmp_path: Path, failure: type[BaseException]) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")

    def fail_half_way() -> None:
        with written_whole(path) as file:
            file.write(b"new")
            raise failure

    with pytest.raises(failure):
        fail_half_way()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def write_first(path: Path, text: bytes) -> None:
    with written_whole(path, replacing=False) as file:
        file.write(text)


def test_the_first_of_two_stays_if_neither_replaces(tmp_path: Path) -> None:
    path = tmp_path / "f"
    write_first(path, b"first")
    write_first(path, b"second")
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]
    assert path.stat().st_nlink == 1


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.EIO])
def test_without_hard_links_the_last_stays_and_other_failures_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*paths: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    path = tmp_path / "f"
    path.write_bytes(b"first")
    monkeypatch.setattr(os, "link", refuse)
    if number == errno.EIO:
        with pytest.raises(OSError, match="Input/output"):
            write_first(path, b"second")
        assert path.read_bytes() == b"first"
    else:
        write_first(path, b"second")
        assert path.read_bytes() == b"second"
    assert list(tmp_path.iterdir()) == [path]


def test_only_the_file_that_was_looked_at_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"bad")
    found = path.stat()
    with written_whole(path) as file:
        file.write(b"new")
    assert not remove_unchanged(path, found)
    assert path.read_bytes() == b"new"
    assert remove_unchanged(path, path.stat())
    assert not path.exists()
    assert not remove_unchanged(path, found)


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    with written_whole(tmp_path / "f"):
        pass
    (tmp_path / "g").touch()
    assert (tmp_path / "f").stat().st_mode == (tmp_path / "g").stat().st_mode


def test_a_path_is_wrong_where_another_would_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "gone" / "f", tmp_path / "file" / "f", tmp_path / "folder", tmp_path / ("n" * 300)):
        with pytest.raises(OSError, match="Errno") as caught, written_whole(path):
            pass
        assert is_wrong_path(caught.value)
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
        assert not is_wrong_path(OSError(number, ""))


@pytest.mark.parametrize("there", [True, False])
def test_an_output_at_the_end_of_a_link_leaves_the_link(tmp_path: Path, there: bool) -> None:
    (tmp_path / "other").mkdir()
    file, link = tmp_path / "other" / "file", tmp_path / "link"
    link.symlink_to("other/file")
    if there:
        file.write_bytes(b"old")
    with written_output(link) as target:
        target.write(b"new")
    assert link.is_symlink()
    assert file.read_bytes() == b"new"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "link", "other"]


def test_a_pipe_gets_an_output_when_it_is_complete(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as reader:
        found = reader.submit(pipe.read_bytes)
        with written_output(pipe) as target:
            target.write(b"12")
            target.seek(0)
            target.write(b"3")
            assert not found.done()
        assert found.result() == b"32"
    assert pipe.is_fifo()


def test_a_device_that_is_full_says_so_and_stays(tmp_path: Path) -> None:
    # By a link, so that the device itself is safe from what this is about.
    link = tmp_path / "link"
    link.symlink_to("/dev/full")
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)), written_output(link) as target:
        target.write(b"new")
    assert link.is_char_device()
