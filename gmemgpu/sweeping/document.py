"""A spec's text: TOML files that include one another, merged into one table that remembers who said what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gmemgpu.errors import Problem, SpecError
from gmemgpu.toml_file import read_toml
from gmemgpu.workload.preset import lay_over

__all__ = ["Document", "KeyPath", "read_document"]

KeyPath = tuple[str, ...]
Anchor = Callable[[dict[str, Any], Path], dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """
    A merged spec.

    Parameters
    ----------
    source : str
        The file that was asked for, as its user names it.
    folder : Path
        What relative paths of `source` start from.
    values : dict
        The merged table, without ``include``.
    origins : dict of key path to str
        For keys that an included file said: which file.
    """

    source: str
    folder: Path
    values: dict[str, Any]
    origins: dict[KeyPath, str] = field(default_factory=dict)

    def where(self, path: str) -> str:
        """
        Place a problem: the file that said it and its key.

        Parameters
        ----------
        path : str
            Dotted keys, as in ``workload.memory.placement`` or ``policy[2].timer``.
        """
        keys = tuple(part.partition("[")[0] for part in path.split("."))
        for n in range(len(keys), 0, -1):
            if keys[:n] in self.origins:
                return f"{self.origins[keys[:n]]}: {path}"
        return f"{self.source}: {path}" if path else self.source


def _leaves(table: Mapping[str, Any], prefix: KeyPath = ()) -> list[KeyPath]:
    paths: list[KeyPath] = []
    for key, value in table.items():
        path = (*prefix, key)
        paths.extend(_leaves(value, path) if isinstance(value, Mapping) and value else [path])
    return paths


def read_document(path: str | Path, anchor: Anchor) -> Document:
    """
    Read a TOML file and what it includes.

    Parameters
    ----------
    path : str or Path
    anchor : callable
        ``anchor(values, folder)`` gives the values of one file with its relative paths made absolute.

    Returns
    -------
    Document

    Raises
    ------
    SpecError
        If a file cannot be read, is no TOML, or includes itself.
    """
    return _read(Path(path), anchor, ())


def _included_toml(path: Path, includer: Path) -> dict[str, Any]:
    try:
        return read_toml(path)
    except SpecError as error:
        raise SpecError(Problem(f"{includer}: include", str(problem)) for problem in error.problems) from None


def _read(path: Path, anchor: Anchor, including: tuple[Path, ...]) -> Document:
    resolved = path.resolve()
    if resolved in including:
        chain = " includes ".join(str(file) for file in (*including[including.index(resolved) :], resolved))
        raise SpecError(Problem(f"{including[-1]}: include", f"goes round in a circle: {chain}; remove one include"))
    table = _included_toml(path, including[-1]) if including else read_toml(path)
    values = anchor(table, path.parent)
    include = values.pop("include", None)
    if include is None:
        return Document(source=str(path), folder=path.parent, values=values)
    if not isinstance(include, str):
        raise SpecError(Problem(f"{path}: include", f'{include!r} is no file name; write include = "other.toml"'))
    below = _read(path.parent / include, anchor, (*including, resolved))
    mine = set(_leaves(values))
    origins = {keys: below.origins.get(keys, below.source) for keys in _leaves(below.values) if keys not in mine}
    return Document(source=str(path), folder=path.parent, values=lay_over(below.values, values), origins=origins)
