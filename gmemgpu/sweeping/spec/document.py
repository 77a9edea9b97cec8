"""A spec's text: TOML files that include one another, merged into one table that remembers which file said what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gmemgpu.errors import Problem, SpecError
from gmemgpu.sweeping.spec.keys import KeyPath, map_paths
from gmemgpu.toml_file import read_toml
from gmemgpu.units import INT64_MAX
from gmemgpu.workload.preset import lay_over

__all__ = ["Document", "read_document", "shown"]

_MAX_DEPTH = 16
"""Of tables in tables; no key of a spec is half as deep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A merged spec, and what is wrong with it."""

    source: str  # the file that was asked for, as its user names it; ``spec`` for a mapping
    folder: Path  # what relative paths of `source` start from
    values: dict[str, Any]  # the merged table, without ``include``; file names in it are absolute
    origins: dict[KeyPath, str] = field(default_factory=dict)  # for keys that an included file said: which file
    is_file: bool = False  # whether it came from a file, not from a mapping
    problems: list[Problem] = field(default_factory=list)  # found so far

    def file(self, path: str) -> str:
        """Return the file that said a key."""
        keys = tuple(part.partition("[")[0] for part in path.split("."))
        said = (self.origins[keys[:n]] for n in range(len(keys), 0, -1) if keys[:n] in self.origins)
        return next(said, self.source)

    def where(self, path: str) -> str:
        """
        Return the place of a problem: the file that said a key, and the key.

        Keys are dotted, as in ``workload.memory.placement`` or ``policy[2].timer``; none is the whole.
        """
        return f"{self.file(path)}: {path}" if path else self.source

    def report(self, path: str, message: str) -> None:
        """Record a problem of a key; every point of an axis finds the same ones, which are recorded once."""
        problem = Problem(self.where(path), message)
        if problem not in self.problems:
            self.problems.append(problem)


def shown(value: object) -> str:
    """Return a wrong value as a message shows it, cut short if it is long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def read_document(spec: str | Path | Mapping[str, Any]) -> Document:
    """
    Read a spec and what it includes.

    Parameters
    ----------
    spec : str, Path or mapping
        A TOML file, or what one would hold; relative paths of a mapping start from the working directory.

    Returns
    -------
    Document
        With everything included in its place.

    Raises
    ------
    SpecError
        If a file cannot be read, is no TOML or includes itself, or if a value is none of a spec's.
    """
    if isinstance(spec, Mapping):
        return _merged("spec", Path(), spec, ())
    return _read(Path(spec), ())


def _read(path: Path, including: tuple[Path, ...]) -> Document:
    resolved = path.resolve()
    if resolved in including:
        chain = " includes ".join(str(file) for file in (*including[including.index(resolved) :], resolved))
        raise SpecError(Problem(f"{including[-1]}: include", f"goes round in a circle: {chain}; remove one include"))
    try:
        table = read_toml(path)
    except SpecError as error:
        if not including:
            raise
        raise SpecError(Problem(f"{including[-1]}: include", str(problem)) for problem in error.problems) from None
    return _merged(str(path), path.parent, table, (*including, resolved))


def _merged(source: str, folder: Path, table: Mapping[str, Any], including: tuple[Path, ...]) -> Document:
    problems: list[Problem] = []
    plain = _plain_table(table, "", f"{source}: ", problems)
    values = map_paths(plain, lambda text: str((folder / text).absolute()))
    include = values.pop("include", None)
    if include is not None and not isinstance(include, str):
        message = f'{shown(include)} is no file name; write include = "other.toml"'
        problems.append(Problem(f"{source}: include", message))
    if problems:
        raise SpecError(problems)
    if include is None:
        return Document(source=source, folder=folder, values=values, is_file=bool(including))
    below = _read(folder / include, including)
    mine = set(_leaves(values))
    origins = {keys: below.origins.get(keys, below.source) for keys in _leaves(below.values) if keys not in mine}
    return Document(
        source=source,
        folder=folder,
        values=lay_over(below.values, values),
        origins=origins,
        is_file=bool(including),
    )


def _plain(value: Any, key: str, place: str, problems: list[Problem]) -> Any:
    # Dicts, lists and scalars alone, as TOML has them; what no part of a spec can hold is refused here, once.
    if key.count(".") + key.count("[") >= _MAX_DEPTH:
        problems.append(Problem(f"{place}{key[:60]}…", "is nested too deeply; no key needs more than a few tables"))
    elif isinstance(value, Mapping):
        return _plain_table(value, f"{key}.", place, problems)
    elif isinstance(value, list | tuple | range):
        return [_plain(inner, f"{key}[{i}]", place, problems) for i, inner in enumerate(value)]
    elif isinstance(value, int) and not -INT64_MAX <= value <= INT64_MAX:
        # Not shown: Python writes no integer of more than 4,300 digits.
        problems.append(Problem(f"{place}{key}", f"is an integer beyond 64 bits; the largest is {INT64_MAX}"))
    return value


def _plain_table(table: Mapping[Any, Any], prefix: str, place: str, problems: list[Problem]) -> dict[str, Any]:
    plain = {}
    for key, value in table.items():
        if isinstance(key, str):
            plain[key] = _plain(value, f"{prefix}{key}", place, problems)
        else:
            problems.append(Problem(f"{place}{prefix}{key!r}", "is no text; write keys as text"))
    return plain


def _leaves(table: Mapping[str, Any], prefix: KeyPath = ()) -> list[KeyPath]:
    paths: list[KeyPath] = []
    for key, value in table.items():
        path = (*prefix, key)
        paths.extend(_leaves(value, path) if isinstance(value, Mapping) and value else [path])
    return paths
