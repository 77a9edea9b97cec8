"""Whether a sweep on Slurm made the very files that a local one made."""

from __future__ import annotations

from pathlib import Path

__all__ = ["same_files", "same_rows"]


def same_files(directory: Path, local: Path) -> bool:
    """Check whether two results directories hold the same files."""

    def contents(of: Path) -> dict[str, bytes]:
        return {str(path.relative_to(of)): path.read_bytes() for path in of.rglob("*") if path.is_file()}

    return contents(directory) == contents(local)


def same_rows(directory: Path, local: Path) -> bool:
    """Check the same where the logs of jobs lie beside them."""
    names = ["manifest.json", "results.parquet", *(f"parts/{path.name}" for path in (local / "parts").iterdir())]
    assert len(list((directory / "parts").iterdir())) == len(names) - 2
    return all((directory / name).read_bytes() == (local / name).read_bytes() for name in names)
