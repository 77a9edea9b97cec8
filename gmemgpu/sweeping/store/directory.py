"""The results directory of a plan: opened, looked through, merged."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gmemgpu.atomic import is_wrong_path
from gmemgpu.errors import DirectoryError
from gmemgpu.sweeping.store.failure import remove_failures
from gmemgpu.sweeping.store.files import FAILURES, LOCK, LOGS, MANIFEST, PARTS, RESULTS, writing
from gmemgpu.sweeping.store.identity import versions
from gmemgpu.sweeping.store.manifest import Manifest, read_manifest, refuse_other_sweep, write_manifest
from gmemgpu.sweeping.store.part import listed_parts, part_files
from gmemgpu.sweeping.store.results import DamagedParts, results_are_whole, write_results

if TYPE_CHECKING:
    from gmemgpu.sweeping.run.plan import Plan
    from gmemgpu.sweeping.run.shard import Shard
    from gmemgpu.sweeping.spec import SweepSpec

__all__ = ["Store", "manifest_of", "refuse_links", "open_store", "count_parts"]

# As `written_whole` names a file of ours, or a mark, until it is complete; marks end so themselves.
_END = r"\.[0-9a-f]{8}\.partial"
_OURS = rf"manifest\.json|results\.parquet|lock|[0-9a-f]{{32}}(-[0-9a-f]{{16}}\.arrow|\.json)|\.mark{_END}"
_TEMPORARY = re.compile(rf"\.({_OURS}|mark){_END}")


@dataclass(frozen=True, kw_only=True)
class Store:
    """A results directory that belongs to a plan."""

    directory: Path  # of the sweep
    plan: Plan  # its shards

    @property
    def parts(self) -> Path:
        """Folder of the parts."""
        return self.directory / PARTS

    def missing(self, shards: Sequence[Shard] | None = None) -> list[Shard]:
        """List the shards, of some or of all, that have no part, by one look at the names."""
        there = part_files(self.parts)
        return [shard for shard in (self.plan.shards if shards is None else shards) if shard.part_id not in there]

    def is_merged(self) -> bool:
        """Check whether the merged rows are there, byte for byte as they were written."""
        return results_are_whole(self.directory, read_manifest(self.directory))

    def merge(self) -> None:
        """
        Write all rows, in the plan's order, into one file, and its digest into the manifest.

        The bytes depend on the rows alone: not on which worker wrote which part, when, or how often it was killed.
        """
        there = part_files(self.parts)
        for shard in self.plan.shards:
            if shard.part_id not in there:
                raise DamagedParts(f"{self.parts}: the part of {self.plan.setting.name_of([shard])} is missing")
        files = [there[shard.part_id] for shard in self.plan.shards]
        with writing(self.directory):
            try:
                sha256 = write_results(self.directory, files, self.plan.setting.schema, self.plan.setting.sweep_id)
            except DamagedParts as error:
                for file in error.files:
                    (self.parts / file.name).unlink(missing_ok=True)
                raise
            write_manifest(self.directory, replace(read_manifest(self.directory), results_sha256=sha256))
        remove_failures(self.directory)

    def remove_temporaries(self) -> None:
        """Remove what killed clients and workers left half-written, by the names that only they give."""
        for folder in (self.directory, self.parts, self.directory / FAILURES):
            if folder.is_symlink():
                continue
            for path in folder.glob(".*.partial"):
                if _TEMPORARY.fullmatch(path.name):
                    with suppress(OSError):
                        path.unlink()


def manifest_of(spec: SweepSpec, plan: Plan) -> Manifest:
    """Return the manifest with which a sweep begins, without merged rows."""
    return Manifest(
        name=spec.name,
        sweep_id=plan.setting.sweep_id,
        versions=versions(),
        spec=spec.canonical,
        axes=list(spec.axes),
        columns=[[field.name, str(field.type)] for field in plan.setting.schema],
        n_parts=len(plan.shards),
        n_rows=plan.n_rows,
        spec_file=spec.file_name,
    )


@contextmanager
def _opening(directory: Path) -> Iterator[None]:
    # Before anything ran, a path that will not do is the user's mistake.
    try:
        yield
    except OSError as error:
        if not is_wrong_path(error):
            raise
        raise DirectoryError(f"{directory}: cannot be written: {error.strerror}; choose another directory") from error


def open_store(directory: str | Path, spec: SweepSpec, plan: Plan) -> Store:
    """
    Open a results directory for a sweep, making it if need be.

    If it holds another sweep or other files, the `DirectoryError` names every difference.
    """
    directory = Path(directory)
    ours = manifest_of(spec, plan)
    with writing(directory), _opening(directory):
        directory.mkdir(parents=True, exist_ok=True)
        if not (directory / MANIFEST).exists():
            _refuse_other_files(directory)
            # Of two sweeps that begin here at once one is first, and the other sees by what it reads that it is not.
            write_manifest(directory, ours, replacing=False)
        refuse_other_sweep(directory, read_manifest(directory), ours)
        refuse_links(directory)
        (directory / PARTS).mkdir(exist_ok=True)
    return Store(directory=directory, plan=plan)


def count_parts(directory: str | Path, spec: SweepSpec, plan: Plan) -> int:
    """
    Count the parts of a sweep that a directory holds, without writing to it.

    Parameters
    ----------
    directory : str or Path
        Of the sweep, or none.
    spec : SweepSpec
        What is swept.
    plan : Plan
        Of that spec.

    Returns
    -------
    int
        0 if there is no such directory.

    Raises
    ------
    DirectoryError
        If it holds another sweep or other files, as for `open_store`.
    StoreError
        If it cannot be read.
    """
    directory = Path(directory)
    with _opening(directory):
        try:
            os.scandir(directory).close()
        except FileNotFoundError:
            return 0
        if not (directory / MANIFEST).exists():
            _refuse_other_files(directory)
            return 0
        refuse_other_sweep(directory, read_manifest(directory), manifest_of(spec, plan))
    store = Store(directory=directory, plan=plan)
    return len(plan.shards) - len(store.missing())


def refuse_links(directory: Path) -> None:
    """Refuse a results directory whose files or folders are symbolic links; it may be one itself."""
    for name in (PARTS, FAILURES, LOGS, LOCK, RESULTS):
        if (directory / name).is_symlink():
            raise DirectoryError(
                f"{directory / name}: is a symbolic link, which is not followed; DIR itself may be one"
            )


def _refuse_other_files(directory: Path) -> None:
    # A manifest that another client wrote this moment will be read next; parts outlive a manifest that was deleted.
    found = {path.name for path in directory.iterdir() if not path.name.startswith(".")}
    foreign = sorted(found - {MANIFEST, PARTS, FAILURES, LOGS, LOCK, RESULTS})
    if foreign:
        raise DirectoryError(
            f"{directory}: holds other files ({', '.join(foreign[:3])}{', …' if len(foreign) > 3 else ''}); "
            "give a directory of its own to each sweep"
        )
    parts = directory / PARTS
    unknown = [] if parts.is_symlink() else listed_parts(parts)[1]
    if unknown:
        raise DirectoryError(f"{parts}: holds other files ({unknown[0]}, …); choose another directory")
