"""The results directory: a manifest that says what belongs there, parts, and the merged rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gmemgpu.atomic import is_wrong_path, written_whole
from gmemgpu.errors import DirectoryError, StoreError
from gmemgpu.sweeping.claim import LEASE_S, Claims, remove_claims
from gmemgpu.sweeping.identity import SCHEMA_VERSION, code_hash, differences, versions
from gmemgpu.sweeping.journal import Journal
from gmemgpu.sweeping.part import parquet_writer, part_is_done, part_name
from gmemgpu.sweeping.plan import Plan
from gmemgpu.sweeping.shard import Shard
from gmemgpu.sweeping.spec import SweepSpec
from gmemgpu.sweeping.writing import writing

__all__ = ["Store", "open_store", "read_manifest", "writing"]

MANIFEST = "manifest.json"
RESULTS = "results.parquet"
PARTS = "parts"
CLAIMS = "claims"
FAILURES = "failures"
_ROWS_PER_GROUP = 50_000
_MAX_DIFFERENCES = 12
_GIVE = "give the directory of `gmemgpu sweep … -o DIR`"


@contextmanager
def _opening(directory: Path) -> Iterator[None]:
    # Before anything ran, a path that will not do is the user's mistake.
    try:
        yield
    except OSError as error:
        if not is_wrong_path(error):
            raise
        raise DirectoryError(f"{directory}: cannot be written: {error.strerror}; choose another directory") from error


@dataclass(frozen=True, slots=True, kw_only=True)
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

    def claims(self, *, lease_s: float = LEASE_S) -> Claims:
        """Give the claims of this process, to be entered; parameters as of `Claims`."""
        return Claims(self.directory / CLAIMS, lease_s=lease_s)

    def is_done(self, shard: Shard) -> bool:
        """Say whether the part of a shard is there, whole and its own."""
        return part_is_done(self.parts / part_name(shard.part_id), shard.part_id, shard.n_rows)

    def missing(self) -> list[Shard]:
        """List the shards whose parts are yet to be computed."""
        return [shard for shard in self.plan.shards if not self.is_done(shard)]

    def is_merged(self) -> bool:
        """Say whether the merged rows of exactly this plan are there."""
        return part_is_done(self.results, self.plan.results_id, self.plan.n_rows)

    def merge(self) -> None:
        """
        Write all rows, in the plan's order, into one file.

        The bytes depend on the rows alone: not on which worker wrote which part, when, or how often it was killed.

        Raises
        ------
        StoreError
            If a part is missing or damaged, or the file cannot be written.
        """
        with (
            writing(self.directory),
            written_whole(self.results) as file,
            parquet_writer(file, self.plan.setting.schema, self.plan.results_id, self.plan.n_rows) as writer,
        ):
            held: list[pa.Table] = []
            n_held = 0
            for shard in self.plan.shards:
                held.append(self._read_part(shard))
                n_held += shard.n_rows
                if n_held >= _ROWS_PER_GROUP:
                    writer.write_table(pa.concat_tables(held))
                    held, n_held = [], 0
            if held:
                writer.write_table(pa.concat_tables(held))

    def remove_temporaries(self) -> None:
        """Remove what killed workers left half-written; only once all parts are there, when nobody writes."""
        for path in self.parts.glob(".part-*.partial"):
            path.unlink(missing_ok=True)
        remove_claims(self.directory / CLAIMS)

    def _read_part(self, shard: Shard) -> pa.Table:
        path = self.parts / part_name(shard.part_id)
        try:
            table = pq.ParquetFile(path, page_checksum_verification=True).read()
        except (OSError, pa.ArrowException) as error:
            raise StoreError(f"{path}: is damaged ({error}); delete it and run the same command again") from None
        return table


def read_manifest(directory: str | Path) -> dict[str, Any]:
    """
    Read what a results directory says of itself.

    Raises
    ------
    DirectoryError
        If there is no sweep in it, or it cannot be read.
    StoreError
        If its manifest is damaged, or another version wrote it.
    """
    path = Path(directory) / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DirectoryError(f"{directory}: holds no sweep ({MANIFEST} is missing); {_GIVE}") from None
    except OSError as error:
        kind = DirectoryError if is_wrong_path(error) else StoreError
        raise kind(f"{path}: cannot be read: {error.strerror}; {_GIVE}") from None
    except ValueError as error:
        raise StoreError(f"{path}: is damaged ({error}); delete it and run the sweep again: parts are kept") from None
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA_VERSION:
        found = manifest.get("schema") if isinstance(manifest, dict) else None
        raise StoreError(f"{path}: is of schema {found}, and this version reads schema {SCHEMA_VERSION}")
    lacking = [key for key in _MANIFEST_KEYS if key not in manifest]
    if lacking:
        raise StoreError(
            f"{path}: is damaged ({', '.join(lacking)} missing); delete it and run the sweep again: parts are kept"
        )
    return manifest


_MANIFEST_KEYS = ("name", "backend", "versions", "code", "spec", "axes", "results", "parts")


def _manifest(spec: SweepSpec, plan: Plan) -> dict[str, Any]:
    return {
        "schema": SCHEMA_VERSION,
        "name": spec.name,
        "backend": plan.setting.backend,
        "versions": versions(),
        "code": code_hash(),
        "spec": spec.canonical,
        "axes": list(spec.axes),
        "results": {"id": plan.results_id, "rows": plan.n_rows},
        "parts": [
            {"id": shard.part_id, "label": shard.label, "seeds": list(shard.seeds), "rows": shard.n_rows}
            for shard in plan.shards
        ],
    }


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
    ours = _manifest(spec, plan)
    store = Store(directory=directory, plan=plan)
    with writing(directory), _opening(directory):
        if (directory / MANIFEST).exists():
            theirs = read_manifest(directory)
            _refuse_other_sweep(directory, theirs, {**ours, "backend": theirs["backend"]} if any_backend else ours)
            store.parts.mkdir(exist_ok=True)
            return store
        directory.mkdir(parents=True, exist_ok=True)
        _refuse_other_files(store)
        store.parts.mkdir(exist_ok=True)
        with written_whole(directory / MANIFEST) as file:
            file.write(json.dumps(ours, sort_keys=True, indent=1, ensure_ascii=False).encode() + b"\n")
    return store


def _refuse_other_files(store: Store) -> None:
    # Where the manifest is gone, merged rows tell by themselves whether they are this sweep's.
    ours = {PARTS, CLAIMS, FAILURES} | ({RESULTS} if store.is_merged() else set())
    found = {path.name for path in store.directory.iterdir() if not path.name.startswith(".")}
    foreign = sorted(found - ours)
    if foreign:
        raise DirectoryError(
            f"{store.directory}: holds other files ({', '.join(foreign[:3])}{', …' if len(foreign) > 3 else ''}); "
            "give a directory of its own to each sweep"
        )


def _refuse_other_sweep(directory: Path, theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    found: list[str] = []
    for key in ("spec", "code", "versions", "backend"):
        prefix = "" if key == "spec" else key
        found.extend(differences(theirs.get(key), ours[key], prefix))
    if not found and theirs.get("results") != ours["results"]:
        found.append("parts: cut in another way")
    if not found:
        return
    shown = "".join(f"\n  {difference}" for difference in found[:_MAX_DIFFERENCES])
    if len(found) > _MAX_DIFFERENCES:
        shown += f"\n  … and {len(found) - _MAX_DIFFERENCES} more"
    raise DirectoryError(
        f"{directory}: holds another sweep; choose another directory, or delete this one. What differs:{shown}"
    )
