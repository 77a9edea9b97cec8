"""What a results directory says of itself: which sweep, how many rows, and what the merged rows' bytes are."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gmemgpu.atomic import written_whole
from gmemgpu.errors import DirectoryError, StoreError
from gmemgpu.sweeping.store.files import MANIFEST, read_regular
from gmemgpu.sweeping.store.identity import differences, digest

__all__ = ["Manifest", "DamagedManifest", "read_manifest", "write_manifest", "refuse_other_sweep", "sweep_command"]

_SCHEMA = 3
"""Of the store: its file names, its columns, its metadata. Raised when an old store can no longer be resumed."""
_MAX_DIFFERENCES = 10
_GIVE = "give the directory of a sweep, as after `gmemgpu sweep SPEC -o DIR`"
_LEFT_OUT_IF_NONE = ("until", "spec_file")
_DIGEST = "sha256"
"""Key of the digest of all others: a flipped bit shall not pass for another sweep, or for another name."""


class DamagedManifest(StoreError):
    """A manifest is not what was written: it goes, and the sweep writes it anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """
    The manifest of a results directory.

    Parameters
    ----------
    name : str
        The sweep's, for people.
    sweep_id : str
        Hash of all part ids in their order: what this directory's parts name as theirs.
    versions : dict of str to str
        What began the sweep.
    spec : dict
        Canonical: two sweeps are the same if these and the model's version are.
    axes : list of str
        Columns that tell scenarios apart, ``preset`` not among them.
    columns : list of [str, str]
        Name and Arrow type of each.
    n_parts, n_rows : int
        Of the whole sweep.
    results_sha256 : str or None
        Of results.parquet; None until the rows are merged.
    schema : int
        Version of the store's form.
    until : dict or None
        Of a sweep that gets seeds until it is precise enough: what that means, how far it came, and why it stopped.
    spec_file : str or None
        Name of the file that the spec came from, without its folder, for people; None if it came from none.
    """

    name: str
    sweep_id: str
    versions: dict[str, str]
    spec: dict[str, Any]
    axes: list[str]
    columns: list[list[str]]
    n_parts: int
    n_rows: int
    results_sha256: str | None = None
    schema: int = _SCHEMA
    until: dict[str, Any] | None = None
    spec_file: str | None = None


def read_manifest(directory: str | Path) -> Manifest:
    """
    Read the manifest of a results directory.

    Parameters
    ----------
    directory : str or Path
        Of a sweep.

    Returns
    -------
    Manifest
        A valid one.

    Raises
    ------
    DirectoryError
        If there is no sweep in it, or it cannot be read.
    DamagedManifest
        If its manifest is not what was written.
    StoreError
        If another version wrote it.
    """
    directory = Path(directory)
    path = directory / MANIFEST
    if directory.exists() and not directory.is_dir():
        raise DirectoryError(f"{directory}: is a file, not a results directory; {_GIVE}")
    try:
        content = read_regular(path)
    except FileNotFoundError:
        raise DirectoryError(f"{directory}: holds no sweep ({MANIFEST} is missing); {_GIVE}") from None
    except StoreError as error:
        raise DirectoryError(str(error)) from error
    try:
        fields = json.loads(content)
        if not isinstance(fields, dict):
            raise ValueError("it holds no table")
        sha256, schema = fields.pop(_DIGEST, None), fields.get("schema")
        # Other versions may write none.
        if sha256 != digest(fields) and not (sha256 is None and schema != _SCHEMA):
            raise ValueError("its values are not those that were written")
    except (ValueError, RecursionError) as error:
        raise DamagedManifest(
            f"{path}: is damaged ({error}); delete it, as `gmemgpu check {directory} --repair` does, and run the "
            "sweep again: parts are kept"
        ) from None
    if schema != _SCHEMA:
        raise StoreError(
            f"{path}: is of schema {schema}, and this version of gmemgpu reads schema {_SCHEMA}; use another directory"
        )
    return Manifest(**fields)


def write_manifest(directory: Path, manifest: Manifest, *, replacing: bool = True) -> None:
    """Write a manifest, for people too: a line for each value; if not `replacing`, in nobody's place."""
    fields = asdict(manifest)
    for name in _LEFT_OUT_IF_NONE:
        if fields[name] is None:
            del fields[name]
    with written_whole(directory / MANIFEST, replacing=replacing) as file:
        text = json.dumps({**fields, _DIGEST: digest(fields)}, sort_keys=True, indent=1, ensure_ascii=False)
        file.write(text.encode() + b"\n")


def refuse_other_sweep(directory: Path, theirs: Manifest, ours: Manifest) -> None:
    """Refuse a directory whose manifest differs from what it should be in anything that rows depend on."""
    found = differences(theirs.spec, ours.spec)
    found += differences(theirs.versions.get("model"), ours.versions["model"], "version of the model")
    if not found and theirs.sweep_id != ours.sweep_id:
        found.append("parts: cut in another way")
    if not found:
        return
    shown = "".join(f"\n  {difference}" for difference in found[:_MAX_DIFFERENCES])
    if len(found) > _MAX_DIFFERENCES:
        shown += f"\n  … and {len(found) - _MAX_DIFFERENCES} more"
    if theirs.until is not None:
        shown += "\nIt was swept with --until: the same command goes on with it."
    raise DirectoryError(
        f"{directory}: holds another sweep; choose another directory, or delete this one. What differs:{shown}"
    )


def sweep_command(manifest: Manifest, directory: str) -> str:
    """
    Return the command that computes a sweep again.

    Parameters
    ----------
    manifest : Manifest
        Of the sweep.
    directory : str
        Where to.

    Returns
    -------
    str
        For a shell; SPEC stands for a specification that was no file.
    """
    words = [shlex.quote(manifest.spec_file or "SPEC"), "-o", shlex.quote(directory)]
    if manifest.until is not None:
        stop = manifest.until
        words += ["--until", shlex.quote(f"{stop['quantity']}: {stop['tolerance']}")]
        words += ["--baseline", shlex.quote(stop["baseline"]), "--max-seeds", str(stop["max_seeds"])]
    return f"gmemgpu sweep {' '.join(words)}"
