from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from gmemgpu.atomic import is_wrong_path, remove_unchanged, written_whole


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
