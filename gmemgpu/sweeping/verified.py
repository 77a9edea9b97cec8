"""Which parts were once found whole: an index that spares opening 10^5 files to go on with a sweep."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

from gmemgpu.atomic import written_whole

__all__ = ["VerifiedParts"]

_MAGIC = "gmemgpu verified parts 1"
_MAX_UNSAVED = 1000
"""That many a killed client may lose, or an eighth of all if that is more: each is a file to be opened again."""
_DOUBTED = "damaged"


class VerifiedParts:
    """
    Parts by what the file system says of them: size, both time stamps and inode, compared and never interpreted.

    What is torn, replaced, renamed or written over has another of these. They cannot show bytes that went bad on the
    disk by themselves, a file that was written over within the same tick of its file system's clock, or one whose time
    stamps somebody set back with a debugger of disks: ``gmemgpu check`` reads everything.

    The file is a cache. Without it, or if it is damaged, all parts are opened again; of several clients that write
    it, the last one wins.

    Parameters
    ----------
    path : Path
        The index; need not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = _read(path)
        self._n_unsaved = 0

    def compare(self, part_id: str, found: os.stat_result) -> Literal["same", "changed", "unknown"]:
        """Say whether a part is the file that was once found whole."""
        known = self._known.get(part_id)
        if known is None:
            return "unknown"
        return "same" if known == _state(found) else "changed"

    def note(self, part_id: str, found: os.stat_result) -> None:
        """Note that a part was whole in this state."""
        state = _state(found)
        if self._known.get(part_id) != state:
            self._known[part_id] = state
            self._n_unsaved += 1

    def doubt(self, part_id: str) -> None:
        """Note that a part turned out to be damaged: whatever is there must be read in full to be believed again."""
        self._known[part_id] = _DOUBTED
        self._n_unsaved += 1

    def save_now_and_then(self) -> None:
        """Save if much would be lost otherwise: so that noting n parts one by one costs no n² in all."""
        if self._n_unsaved >= max(_MAX_UNSAVED, len(self._known) // 8):
            self.save()

    def save(self) -> None:
        """Write the index, unless it would say what it said; a disk that is full can do without it."""
        if not self._n_unsaved:
            return
        # Twice line by line: of 10^5 parts the text is larger than what it is made from.
        digest = hashlib.sha256()
        for line in self._lines():
            digest.update(line)
        with suppress(OSError), written_whole(self._path) as file:
            file.write(f"{_MAGIC} {digest.hexdigest()}\n".encode())
            file.writelines(self._lines())
        self._n_unsaved = 0

    def _lines(self) -> Iterator[bytes]:
        return (f"{part_id} {state}\n".encode() for part_id, state in self._known.items())


def _state(found: os.stat_result) -> str:
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"


def _read(path: Path) -> dict[str, str]:
    digest = hashlib.sha256()
    known: dict[str, str] = {}
    try:
        with path.open("rb") as file:
            header = file.readline()
            for line in file:
                digest.update(line)
                part_id, _, state = line.decode("ascii", "replace").rstrip("\n").partition(" ")
                known[part_id] = state
    except OSError:
        return {}
    return known if header == f"{_MAGIC} {digest.hexdigest()}\n".encode() else {}
