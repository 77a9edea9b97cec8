"""The journal: shards that failed for good, with the reason, so that nobody tries them again unasked."""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from gmemgpu.atomic import written_whole
from gmemgpu.errors import StoreError
from gmemgpu.sweeping.writing import writing

__all__ = ["Failure", "FailureKind", "Journal"]

FailureKind = Literal["error", "killed", "input"]
_SUFFIX = ".json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """
    Why a shard has no part.

    Parameters
    ----------
    part_id, label : str
        Of the shard.
    seeds : tuple of int
    n_rows : int
    kind : {"error", "killed", "input"}
        The engine raised, its process died, or a file that it reads is wrong.
    message : str
        For people.
    attempts : int
        How often it was tried.
    where : str
        Host that tried last; empty if unknown.
    """

    part_id: str
    label: str
    seeds: tuple[int, ...]
    n_rows: int
    kind: FailureKind
    message: str
    attempts: int
    where: str


class Journal:
    """
    The failures of a results directory, one file each: any number of clients may write at once.

    Parameters
    ----------
    folder : Path
        Made with the first failure.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def record(self, failure: Failure) -> None:
        """
        Write a failure down, in place of an earlier one of the same shard.

        Raises
        ------
        StoreError
            If it cannot be written.
        """
        with writing(self._folder):
            self._folder.mkdir(exist_ok=True)
            with written_whole(self._path(failure.part_id)) as file:
                file.write(json.dumps(asdict(failure), indent=1, ensure_ascii=False).encode() + b"\n")

    def read(self) -> dict[str, Failure]:
        """
        Read all failures.

        Returns
        -------
        dict of str to Failure
            By part id, in its order. What makes no sense is left out: then its shard is tried once more.

        Raises
        ------
        StoreError
            If the folder cannot be read.
        """
        found = (_failure(path) for path in sorted(self._paths()))
        return {failure.part_id: failure for failure in found if failure is not None}

    def find(self, part_id: str) -> Failure | None:
        """
        Read the failure of one shard, if it has one.

        Raises
        ------
        StoreError
            If it cannot be read.
        """
        return _failure(self._path(part_id))

    def forget(self, part_ids: Collection[str] | None = None) -> int:
        """
        Forget failures, so that their shards are tried again.

        Parameters
        ----------
        part_ids : collection of str, optional
            All if left out.

        Returns
        -------
        int
            How many there were.

        Raises
        ------
        StoreError
            If one cannot be removed.
        """
        paths = self._paths() if part_ids is None else [self._path(part_id) for part_id in part_ids]
        n = 0
        with writing(self._folder):
            for path in paths:
                try:
                    path.unlink()
                except FileNotFoundError:
                    continue
                n += 1
        return n

    def _path(self, part_id: str) -> Path:
        return self._folder / f"{part_id}{_SUFFIX}"

    def _paths(self) -> list[Path]:
        try:
            names = [entry.name for entry in os.scandir(self._folder)]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(f"{self._folder}: cannot be read: {error.strerror}; check its permissions") from error
        return [self._folder / name for name in names if name.endswith(_SUFFIX) and not name.startswith(".")]


def _failure(path: Path) -> Failure | None:
    try:
        told: Any = json.loads(path.read_text(encoding="utf-8"))
        found = Failure(
            part_id=str(told["part_id"]),
            label=str(told["label"]),
            seeds=tuple(int(seed) for seed in told["seeds"]),
            n_rows=int(told["n_rows"]),
            kind=told["kind"],
            message=str(told["message"]),
            attempts=int(told["attempts"]),
            where=str(told["where"]),
        )
    except FileNotFoundError:
        # Somebody just forgot it.
        return None
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}; check its permissions") from error
    except (ValueError, KeyError, TypeError):
        return None
    return found if found.kind in get_args(FailureKind) and path.name == f"{found.part_id}{_SUFFIX}" else None
