"""A results directory that gets more seeds: its parts become those of the larger sweep, and none is computed anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from gmemgpu.sweeping.store.directory import manifest_of, open_store, refuse_links
from gmemgpu.sweeping.store.failure import remove_failures
from gmemgpu.sweeping.store.files import MANIFEST, PARTS, RESULTS, writing
from gmemgpu.sweeping.store.lock import held
from gmemgpu.sweeping.store.manifest import Manifest, read_manifest, refuse_other_sweep, write_manifest
from gmemgpu.sweeping.store.part import PartFile, listed_parts, parts_of_sweep, write_part
from gmemgpu.sweeping.store.part_reader import DamagedPart, read_blocks, rows_of, whole

if TYPE_CHECKING:
    from gmemgpu.sweeping.run.plan import Plan
    from gmemgpu.sweeping.spec import SweepSpec

__all__ = ["extend_store"]


def extend_store(
    directory: str | Path, spec: SweepSpec, plan: Plan, until: Mapping[str, Any], *, take_over: bool = False
) -> None:
    """
    Open a directory for a plan: a new one, one of the same spec with fewer seeds, or one cut in another way.

    Parameters
    ----------
    directory : str or Path
        Of the sweep.
    spec : SweepSpec
        What is swept.
    plan : Plan
        Of that spec.
    until : mapping
        For the manifest, JSON-ready.
    take_over : bool
        As for `held`.

    Raises
    ------
    DirectoryError
        If it holds anything else, or another client works on it.
    StoreError
        If it cannot be read or written.

    Notes
    -----
    Rows stay what they are; which sweep they belong to, and their place in it, is written into each part anew. Whoever
    is killed meanwhile leaves a directory of the former plan, or one of the new plan with parts that do not count: the
    manifest says which, and the next call goes on.
    """
    directory = Path(directory)
    if not (directory / MANIFEST).exists():
        open_store(directory, spec, plan)
    ours = manifest_of(spec, plan)
    with held(directory, take_over=take_over) as lock, writing(directory):
        theirs = read_manifest(directory)
        _refuse_other(directory, theirs, ours)
        if theirs.sweep_id != ours.sweep_id:
            _adopt(directory / PARTS, theirs.sweep_id, plan)
            lock.check()
            write_manifest(
                directory, replace(ours, versions=theirs.versions, spec_file=theirs.spec_file, until=dict(until))
            )
            (directory / RESULTS).unlink(missing_ok=True)
            remove_failures(directory)
        elif theirs.until != until:
            write_manifest(directory, replace(theirs, until=dict(until)))
        if theirs.sweep_id != ours.sweep_id or theirs.results_sha256 is None:
            _remove_others(directory / PARTS, ours.sweep_id)


def _refuse_other(directory: Path, theirs: Manifest, ours: Manifest) -> None:
    # Fewer seeds, and another cut, are no difference here.
    seeds = ours.spec["seeds"]
    if theirs.spec.get("seeds") == seeds[: len(theirs.spec.get("seeds", ()))]:
        theirs = replace(theirs, spec={**theirs.spec, "seeds": seeds}, sweep_id=ours.sweep_id)
    refuse_other_sweep(directory, theirs, ours)
    refuse_links(directory)


def _adopt(folder: Path, sweep_id: str, plan: Plan) -> None:
    # Every shard of the plan whose seeds are all there gets its part.
    schema = plan.setting.schema
    there: dict[tuple[str, int], PartFile] = {}
    for file, part in chain.from_iterable(read_blocks(folder, listed_parts(folder)[0], list, schema, sweep_id)):
        if isinstance(part, DamagedPart):
            continue  # as if it were not there
        (found,) = whole([(file, part)])
        label = found.batch.column("label")[0].as_py()
        there |= {(label, seed): file for seed in found.batch.column("seed").unique().to_pylist()}
    for shard in plan.shards:
        label = plan.setting.label_of(shard)
        if all((label, seed) in there for seed in shard.seeds):
            files = list(dict.fromkeys(there[label, seed] for seed in shard.seeds))
            table = pa.concat_tables(read_blocks(folder, files, lambda found: rows_of(whole(found)), schema))
            table = table.filter(pc.is_in(table["seed"], pa.array(shard.seeds, pa.int64())))
            write_part(folder, shard.part_id, table, {"sweep": plan.setting.sweep_id, "index": shard.index})


def _remove_others(folder: Path, sweep_id: str) -> None:
    files = {file.name: file for file in listed_parts(folder)[0]}
    for name in files.keys() - parts_of_sweep(folder, files, sweep_id).keys():
        (folder / name).unlink(missing_ok=True)
