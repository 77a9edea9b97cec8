"""Shards that failed, one small JSON file each, with the reason."""

from __future__ import annotations

import json
import re
from collections.abc import Container
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from gmemgpu.atomic import written_whole
from gmemgpu.errors import StoreError
from gmemgpu.sweeping.store.files import FAILURES, read_regular, writing

__all__ = ["Failure", "record_failure", "read_failures", "remove_failures"]

_NAME = re.compile(r"[0-9a-f]{32}\.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """
    Why a shard has no part.

    Parameters
    ----------
    part_id, label : str
        Of the shard.
    seeds : tuple of int
        Of the shard.
    kind : {"error", "killed", "input"}
        The engine raised, the worker's process died, or a file that the shard reads is wrong.
    message : str
        For people.
    """

    part_id: str
    label: str
    seeds: tuple[int, ...]
    kind: Literal["error", "killed", "input"]
    message: str


def record_failure(directory: Path, failure: Failure) -> None:
    """Write a failure down, in place of an earlier one of the same shard."""
    folder = directory / FAILURES
    with writing(folder):
        folder.mkdir(exist_ok=True)
        with written_whole(folder / f"{failure.part_id}.json") as file:
            file.write(json.dumps(asdict(failure), indent=1, ensure_ascii=False).encode() + b"\n")


def _files(directory: Path) -> list[Path]:
    folder = directory / FAILURES
    if folder.is_symlink() or not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name) and not path.is_symlink())


def read_failures(directory: Path, done: Container[str] = ()) -> list[Failure]:
    """
    Read the failures of a results directory.

    But for those of parts that are there by now, and files that cannot be read as one: they keep nobody from going on.
    """
    found = []
    for path in _files(directory):
        with suppress(FileNotFoundError, StoreError, ValueError, RecursionError, TypeError, KeyError):
            fields = json.loads(read_regular(path))
            failure = Failure(**{**fields, "seeds": tuple(fields["seeds"])})
            if failure.part_id not in done:
                found.append(failure)
    return found


def remove_failures(directory: Path) -> None:
    """Remove all failures, once every part is there."""
    for path in _files(directory):
        with suppress(OSError):
            path.unlink()
    with suppress(OSError):
        (directory / FAILURES).rmdir()
