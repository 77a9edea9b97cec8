"""The results directory: a manifest that says what belongs there, parts, and the merged rows."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from gmemgpu.atomic import is_wrong_path, remove_unchanged, written_whole
from gmemgpu.errors import DirectoryError, StoreError
from gmemgpu.sweeping.claim import LEASE_S, MERGING, Claims, remove_claims
from gmemgpu.sweeping.journal import Journal
from gmemgpu.sweeping.layout import CLAIMS, FAILURES, LOGS, PARTS, RESULTS, VERIFIED
from gmemgpu.sweeping.manifest import MANIFEST, manifest_bytes, manifest_of, read_manifest, refuse_other_sweep
from gmemgpu.sweeping.part import (
    PartError,
    parquet_writer,
    part_id_of,
    part_is_done,
    part_name,
    read_part,
)
from gmemgpu.sweeping.plan import Plan
from gmemgpu.sweeping.read_ahead import gathered, read_ahead
from gmemgpu.sweeping.shard import Shard
from gmemgpu.sweeping.spec import SweepSpec
from gmemgpu.sweeping.verified import VerifiedParts
from gmemgpu.sweeping.writing import unreadable, writing

__all__ = ["Store", "open_store", "count_there"]

_LOOK_EVERY_S = 1.0
"""At what another client merges."""
_ROWS_PER_GROUP = 16_384
"""Of the merged file: a few megabytes in memory while it is written."""


@contextmanager
def _opening(directory: Path) -> Iterator[None]:
    # Before anything ran, a path that will not do is the user's mistake.
    try:
        yield
    except OSError as error:
        if not is_wrong_path(error):
            raise
        raise DirectoryError(f"{directory}: cannot be written: {error.strerror}; choose another directory") from error


@dataclass(frozen=True, kw_only=True)
class Store:
    """
    A results directory that belongs to a plan.

    Parameters
    ----------
    directory : Path
    plan : Plan
    """

    directory: Path
    plan: Plan

    @property
    def parts(self) -> Path:
        """Folder of the parts."""
        return self.directory / PARTS

    @property
    def results(self) -> Path:
        """File of the merged rows."""
        return self.directory / RESULTS

    @property
    def journal(self) -> Journal:
        """Failures of shards."""
        return Journal(self.directory / FAILURES)

    def claims(self, *, lease_s: float = LEASE_S, n_workers: int = 1, n_devices: int = 0) -> Claims:
        """Give the claims of this process, to be entered; parameters as of `Claims`."""
        return Claims(self.directory / CLAIMS, lease_s=lease_s, n_workers=n_workers, n_devices=n_devices)

    @cached_property
    def _verified(self) -> VerifiedParts:
        return VerifiedParts(self.directory / VERIFIED)

    def is_done(self, shard: Shard) -> bool:
        """
        Say whether the part of a shard is there, whole and its own; a part that was so once is not opened again.

        Raises
        ------
        StoreError
            If it is there and cannot be read.
        """
        found = self._stat(self._path(shard))
        return found is not None and self._is_whole(shard, found)

    def remove_if_damaged(self, shard: Shard) -> None:
        """
        Remove a part that is there and not whole; a worker that looks at its last bytes alone could take it for done.

        Raises
        ------
        StoreError
            If it is there and cannot be read, or not be removed.
        """
        # A client of a network file system remembers for a while that a file was not there, which another machine may
        # have written since; opening the folder is what makes it ask the server (nfs(5), close-to-open consistency).
        with suppress(OSError):
            os.close(os.open(self.parts, os.O_RDONLY | os.O_DIRECTORY))
        found = self._stat(self._path(shard))
        if found is not None:
            self._is_whole_or_gone(shard, found)

    def has_all_names(self) -> bool:
        """
        Say whether there is a file by the name of each part; whether it is whole is another matter.

        Raises
        ------
        StoreError
            If their folder cannot be read.
        """
        return self.n_named() == len(self.plan.shards)

    def n_named(self) -> int:
        """Count the parts for which there is a file of that name; raises as `has_all_names` does."""
        there = {entry.name for entry in self._entries()}
        return sum(part_name(shard.part_id) in there for shard in self.plan.shards)

    def missing(self) -> list[Shard]:
        """
        List the shards whose parts are yet to be computed, those in the journal among them.

        A part that is there and not whole is removed.

        Raises
        ------
        StoreError
            As `remove_if_damaged` does, or if their folder cannot be read.
        """
        shards = {shard.part_id: shard for shard in self.plan.shards}
        whole: set[str] = set()
        for entry in self._entries():
            shard = shards.get(part_id_of(entry.name))
            if shard is None:
                continue
            try:
                found = entry.stat()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise unreadable(self._path(shard), error) from error
            if self._is_whole_or_gone(shard, found):
                whole.add(shard.part_id)
        missing = [shard for shard in self.plan.shards if shard.part_id not in whole]
        self._verified.save()
        return missing

    def note_done(self, shards: Iterable[Shard]) -> None:
        """Note parts that were just written: whoever goes on with this sweep need not open them."""
        for shard in shards:
            with suppress(OSError):
                self._verified.note(shard.part_id, self._path(shard).stat())
        self._verified.save_now_and_then()

    def _entries(self) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(self.parts) as entries:
                yield from entries
        except FileNotFoundError:
            return
        except OSError as error:
            raise unreadable(self.parts, error) from error

    def _path(self, shard: Shard) -> Path:
        return self.parts / part_name(shard.part_id)

    def _stat(self, path: Path) -> os.stat_result | None:
        try:
            return path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise unreadable(path, error) from error

    def _is_whole_or_gone(self, shard: Shard, found: os.stat_result) -> bool:
        whole = self._is_whole(shard, found)
        if not whole:
            with writing(self.directory):
                remove_unchanged(self._path(shard), found)
        return whole

    def _is_whole(self, shard: Shard, found: os.stat_result) -> bool:
        known = self._verified.compare(shard.part_id, found)
        if known == "same":
            return True
        if known == "changed":
            # Somebody or something was at it: its last bytes are no proof of the others any more.
            try:
                read_part(self._path(shard), shard.part_id, shard.n_rows)
            except PartError:
                return False
        elif not part_is_done(self._path(shard), shard.part_id, shard.n_rows):
            return False
        self._verified.note(shard.part_id, found)
        return True

    def is_merged(self) -> bool:
        """
        Say whether the merged rows of exactly this plan are there and whole; read in full unless they once were.

        Raises
        ------
        StoreError
            If they are there and cannot be read.
        """
        found = self._stat(self.results)
        if found is None:
            return False
        # The index says that it was whole; whose it is, it does not say.
        known = self._verified.compare(RESULTS, found) == "same"
        whole = part_is_done(self.results, self.plan.results_id, self.plan.n_rows, in_full=not known)
        if whole and not known:
            self._verified.note(RESULTS, found)
            self._verified.save()
        return whole

    def merge(self) -> None:
        """
        Write all rows, in the plan's order, into one file.

        The bytes depend on the rows alone: not on which worker wrote which part, when, or how often it was killed.

        Raises
        ------
        StoreError
            If a part is missing or damaged, or the file cannot be written.
        """
        with self.claims() as claims:
            # Many end at once, and one does this for all; whoever waits for it takes over if it dies.
            while not claims.take(MERGING):
                if self.is_merged():
                    return
                time.sleep(_LOOK_EVERY_S)
            if self.is_merged():
                return
            with writing(self.directory):
                try:
                    self._write_results()
                except OSError:
                    # Another that took this process for dead was done first, and cleared up after it.
                    if not self.is_merged():
                        raise
            with suppress(OSError):
                self._verified.note(RESULTS, self.results.stat())
        self._verified.save()

    def _write_results(self) -> None:
        with (
            written_whole(self.results) as file,
            parquet_writer(
                file, self.plan.setting.schema, self.plan.results_id, self.plan.n_rows, compression="zstd"
            ) as writer,
        ):
            for rows in gathered(self._tables(), _ROWS_PER_GROUP):
                writer.write_table(rows)

    def remove_temporaries(self) -> None:
        """Remove what killed clients and workers left half-written; only once the merged rows are there."""
        for folder in (self.directory, self.parts, self.directory / FAILURES):
            for path in folder.glob(".*.partial"):
                with suppress(OSError):
                    path.unlink()
        remove_claims(self.directory / CLAIMS)

    def _tables(self) -> Iterator[pa.Table]:
        def read(shard: Shard) -> tuple[pa.Table, os.stat_result]:
            return read_part(self._path(shard), shard.part_id, shard.n_rows)

        parts = read_ahead(read, self.plan.shards)
        for shard in self.plan.shards:
            try:
                table, found = next(parts)
            except PartError as error:
                self._verified.doubt(shard.part_id)
                self._verified.save()
                raise StoreError(
                    f"{error}; run the sweep, or all shares of it, once more: that part is computed anew"
                ) from None
            self._verified.note(shard.part_id, found)
            yield table


def open_store(directory: str | Path, spec: SweepSpec, plan: Plan, *, any_backend: bool = False) -> Store:
    """
    Open a results directory for a sweep, making it if need be.

    Parameters
    ----------
    directory : str or Path
    spec : SweepSpec
    plan : Plan
        Of that spec.
    any_backend : bool
        Whether to go on with what another engine began: all give the same integers.

    Returns
    -------
    Store

    Raises
    ------
    DirectoryError
        If the directory cannot be made, or holds another sweep or other files; every difference is named.
    StoreError
        If it has no room, or its manifest is damaged.
    """
    directory = Path(directory)
    ours = manifest_of(spec, plan)
    store = Store(directory=directory, plan=plan)
    with writing(directory), _opening(directory):
        if not (directory / MANIFEST).exists():
            directory.mkdir(parents=True, exist_ok=True)
            _refuse_other_files(store)
            store.parts.mkdir(exist_ok=True)
        if not (directory / MANIFEST).exists():
            # Of two sweeps that begin here at once one is first, and the other sees by what it reads that it is not.
            with written_whole(directory / MANIFEST, replacing=False) as file:
                file.write(manifest_bytes(ours))
        theirs = read_manifest(directory)
        refuse_other_sweep(directory, theirs, {**ours, "backend": theirs["backend"]} if any_backend else ours)
        store.parts.mkdir(exist_ok=True)
    return store


def count_there(directory: str | Path, spec: SweepSpec, plan: Plan) -> int:
    """
    Count the parts of a sweep that a directory holds by name, without writing to it.

    Returns
    -------
    int
        0 if there is no such directory.

    Raises
    ------
    DirectoryError
        If it holds another sweep or other files, as for `open_store`; an engine is not compared.
    StoreError
        If it cannot be read.
    """
    directory = Path(directory)
    store = Store(directory=directory, plan=plan)
    with _opening(directory):
        try:
            os.scandir(directory).close()
        except FileNotFoundError:
            return 0
        if (directory / MANIFEST).exists():
            theirs = read_manifest(directory)
            refuse_other_sweep(directory, theirs, {**manifest_of(spec, plan), "backend": theirs["backend"]})
        else:
            _refuse_other_files(store)
    return store.n_named()


def _refuse_other_files(store: Store) -> None:
    # Where the manifest is gone, merged rows tell by themselves whether they are this sweep's.
    # A manifest that another client wrote this moment will be read next.
    ours = {MANIFEST, PARTS, CLAIMS, FAILURES, LOGS, VERIFIED} | ({RESULTS} if store.is_merged() else set())
    found = {path.name for path in store.directory.iterdir() if not path.name.startswith(".")}
    foreign = sorted(found - ours)
    if foreign:
        raise DirectoryError(
            f"{store.directory}: holds other files ({', '.join(foreign[:3])}{', …' if len(foreign) > 3 else ''}); "
            "give a directory of its own to each sweep"
        )
