"""Whether a worker elsewhere sees the results directory and runs the same code: asked before it computes anything."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gmemgpu.atomic import written_whole
from gmemgpu.engine.registry import why_missing
from gmemgpu.errors import GmemgpuError, StoreError
from gmemgpu.sweeping.identity import code_hash, differences, versions
from gmemgpu.sweeping.shard import Setting, Shard, compute_shards
from gmemgpu.sweeping.writing import is_full, writing

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Place", "UnfitWorker", "LostStorage", "marked_place", "refuse_unfit_workers", "compute_if_fit"]

_SHARED = "results must lie on a file system that this machine and all workers share, under the same path"


class UnfitWorker(GmemgpuError):
    """
    A worker cannot take part, through no fault of any shard.

    Parameters
    ----------
    message : str
        Why, and what to do.
    worker : str
        Its address; empty if it is not one worker alone.
    """

    def __init__(self, message: str, worker: str = "") -> None:
        # Both go along when it is pickled.
        super().__init__(message, worker)
        self.worker = worker

    def __str__(self) -> str:
        return str(self.args[0])


class LostStorage(UnfitWorker):
    """A worker that did see the results directory cannot read or write there any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """
    Where a sweep stores its parts, and what computes them.

    Parameters
    ----------
    parts : str
        Folder, as this process names it.
    mark, nonce : str
        File in that folder and what it holds: another folder of that name would not have it.
    code : str
    versions : tuple of (str, str)
        As in the manifest.
    """

    parts: str
    mark: str
    nonce: str
    code: str
    versions: tuple[tuple[str, str], ...]


@contextmanager
def marked_place(parts: Path) -> Iterator[Place]:
    """
    Describe this process's place, and leave a mark there by which workers know it.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    nonce = secrets.token_hex(16)
    # Named as what killed workers leave, so that it goes the same way if this process is killed.
    mark = parts / f".part-mark.{nonce[:8]}.partial"
    with writing(parts), written_whole(mark) as file:
        file.write(nonce.encode())
    try:
        yield Place(
            parts=str(parts), mark=mark.name, nonce=nonce, code=code_hash(), versions=tuple(sorted(versions().items()))
        )
    finally:
        mark.unlink(missing_ok=True)


@cache
def _unfitness(place: Place) -> str | None:
    # Why this process cannot take part. Once a process: it reads the package's sources and writes a file.
    folder = Path(place.parts)
    try:
        sees = (folder / place.mark).read_text() == place.nonce
    except OSError:
        sees = False
    if not sees:
        return f"does not see {folder}; {_SHARED}"
    own = folder / f".part-mark.{secrets.token_hex(4)}.partial"
    try:
        own.write_text(place.nonce)
        own.unlink()
    except OSError as error:
        return f"cannot write {folder}: {error.strerror}; {_SHARED}, and all must be allowed to write there"
    there, here = {"code": place.code, **dict(place.versions)}, {"code": code_hash(), **versions()}
    if there != here:
        told = "; ".join(differences(here, there))
        return f"does not run the same code ({told}); install the same versions there, or results could differ"
    return None


def _look(place: Place, dask_worker: Any) -> tuple[str | None, dict[str, float]]:
    # A tuple, unlike the errors that Dask hands over in its place.
    return _unfitness(place), dict(dask_worker.state.total_resources)


def _is_here() -> bool:
    return True


def refuse_unfit_workers(
    client: Client, place: Place, resources: Mapping[str, float], *, some_will_do: bool = False
) -> None:
    """
    Look at the scheduler and every worker that is up.

    Parameters
    ----------
    client : distributed.Client
    place : Place
    resources : mapping of str to float
        What every task needs of its worker.
    some_will_do : bool
        Whether it is enough that one can take part; others are found out when they get a task.

    Raises
    ------
    UnfitWorker
        Names one that will not do.
    """
    version = dict(place.versions)["gmemgpu"]
    same = f"install gmemgpu {version} there, with the same Python and packages as here"
    try:
        client.run_on_scheduler(_is_here)
    except OSError:
        # It is gone, as whoever asks next will see.
        return
    except Exception as error:
        # It hands on tasks that name functions of this package.
        raise UnfitWorker(f"the scheduler cannot import gmemgpu: {error}; {same}") from error
    found: dict[str, Any] = client.run(_look, place, on_error="return")
    # A worker that died just now is no worker.
    alive = {address: told for address, told in found.items() if not isinstance(told, OSError)}
    reasons = {
        address: told[0] if isinstance(told, tuple) else f"cannot run gmemgpu: {told}; {same}"
        for address, told in alive.items()
    }
    unfit = [
        UnfitWorker(f"worker {address}: {reason}", address) for address, reason in reasons.items() if reason is not None
    ]
    if unfit and (len(unfit) == len(alive) or not some_will_do):
        raise unfit[0]
    if alive and not any(_has(told[1], resources) for told in alive.values() if isinstance(told, tuple)):
        needed = " ".join(f"{name}={n:g}" for name, n in resources.items())
        raise UnfitWorker(
            f"none of {len(alive):,} workers has the resource {needed} that cluster.gpus = 1 asks for; start each with "
            f"--resources {needed}, one for each GPU, or write gpus = 0"
        )


def _has(offered: Mapping[str, float], needed: Mapping[str, float]) -> bool:
    return all(offered.get(name, 0.0) >= n for name, n in needed.items())


def compute_if_fit(shards: Sequence[Shard], setting: Setting, place: Place) -> None:
    """
    Compute shards as `compute_shards` does, on a worker that may have come up just now.

    Raises
    ------
    UnfitWorker
        If this worker will not do; a `LostStorage` if it could not write what it computed.
    OSError
        If a disk is full.
    """
    told = _unfitness(place) or (None if setting.auto else why_missing(setting.backend))
    if told is not None:
        raise UnfitWorker(f"worker on {socket.gethostname()}: {told}", _address())
    try:
        compute_shards(shards, setting, place.parts)
    except (OSError, StoreError) as error:
        if is_full(error):
            raise
        raise LostStorage(f"worker on {socket.gethostname()}: {error}", _address()) from error


def _address() -> str:
    from distributed import get_worker

    try:
        return str(get_worker().address)
    except ValueError:
        return ""
