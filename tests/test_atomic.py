from __future__ import annotations

import errno
from pathlib import Path

import pytest

from gmemgpu.atomic import is_wrong_path, written_whole


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
