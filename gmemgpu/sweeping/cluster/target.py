"""What ``--cluster`` says: where a sweep shall run."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

from gmemgpu.errors import Problem, SpecError
from gmemgpu.sweeping.cluster.options import ClusterOptions, options_over

__all__ = ["Target", "Tls", "read_target"]

Kind: TypeAlias = Literal["local", "slurm", "pbs", "lsf", "scheduler"]
_QUEUES: dict[str, Kind] = {"slurm": "slurm", "pbs": "pbs", "lsf": "lsf"}
_USE = "use local, slurm, pbs, lsf, tcp://HOST:PORT, tls://HOST:PORT or a scheduler file (….json)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """
    Files in PEM form by which client, scheduler and workers know one another.

    Parameters
    ----------
    ca : str
        Certificates of who may sign theirs.
    cert, key : str
        One's own.
    """

    ca: str
    cert: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """
    Where to run.

    Parameters
    ----------
    kind : {"local", "slurm", "pbs", "lsf", "scheduler"}
    options : ClusterOptions
    address : str
        Of a scheduler that is there already; else empty.
    tls : Tls or None
    """

    kind: Kind
    options: ClusterOptions
    address: str = ""
    tls: Tls | None = None

    @property
    def is_far(self) -> bool:
        """Whether workers may run on other hosts."""
        return self.kind != "local"


def read_target(
    cluster: str,
    below: ClusterOptions,
    options: str | Path | Mapping[str, Any] | None = None,
    *,
    tls_ca: str | Path | None = None,
    tls_cert: str | Path | None = None,
    tls_key: str | Path | None = None,
) -> Target:
    """
    Understand what a user asked for.

    Parameters
    ----------
    cluster : str
        ``local``, ``slurm``, ``pbs``, ``lsf``, a ``tcp://`` or ``tls://`` address, or a file that a Dask scheduler
        wrote.
    below : ClusterOptions
        The spec's.
    options : str, Path or mapping, optional
        Laid over those.
    tls_ca, tls_cert, tls_key : str or Path, optional
        All or none.

    Raises
    ------
    SpecError
        With every problem.
    """
    problems: list[Problem] = []
    try:
        merged = options_over(below, options)
    except SpecError as error:
        problems.extend(error.problems)
        merged = below
    tls = _tls({"tls_ca": tls_ca, "tls_cert": tls_cert, "tls_key": tls_key}, problems)
    kind: Kind = "scheduler"
    address = ""
    if cluster == "local":
        kind = "local"
        if tls is not None:
            problems.append(Problem("cluster", "is local, which no other machine can reach; leave the TLS files out"))
    elif cluster in _QUEUES:
        kind = _QUEUES[cluster]
    else:
        address = _address(cluster, problems)
        if address.startswith("tls://") and tls is None and not problems:
            problems.append(Problem("cluster", f"{address} needs the files tls_ca, tls_cert and tls_key"))
        if address.startswith("tcp://") and tls is not None:
            problems.append(Problem("cluster", f"{address} is not encrypted; leave the TLS files out, or use tls://"))
    if problems:
        raise SpecError(problems)
    return Target(kind=kind, options=merged, address=address, tls=tls)


def _tls(files: dict[str, str | Path | None], problems: list[Problem]) -> Tls | None:
    given = {name: str(path) for name, path in files.items() if path is not None}
    if not given:
        return None
    problems.extend(Problem(name, "is missing; TLS takes all three files") for name in files if name not in given)
    for name, path in given.items():
        try:
            with Path(path).open("rb"):
                pass
        except OSError as error:
            problems.append(Problem(name, f"{path} cannot be read: {error.strerror}; check the path"))
    if len(given) < len(files) or problems:
        return None
    # Jobs start elsewhere, and not in this folder.
    tls = Tls(**{name.removeprefix("tls_"): str(Path(path).resolve()) for name, path in given.items()})
    _look_into(tls, problems)
    return tls


def _look_into(tls: Tls, problems: list[Problem]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(tls.ca)
    except ssl.SSLError as error:
        problems.append(Problem("tls_ca", f"{tls.ca} holds no certificate in PEM form ({_reason(error)})"))
    try:
        # Dask cannot ask for a password either.
        context.load_cert_chain(tls.cert, tls.key, password="")
    except (ssl.SSLError, ValueError) as error:
        told = f"{tls.cert} and tls_key {tls.key} are no certificate with its own key, without a password, in PEM form"
        problems.append(Problem("tls_cert", f"{told} ({_reason(error)})"))


def _reason(error: Exception) -> str:
    return getattr(error, "reason", None) or str(error) or type(error).__name__


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("tcp", "tls") and bool(parts.hostname) and parts.port is not None
    except ValueError:
        return False


def _address(cluster: str, problems: list[Problem]) -> str:
    if cluster.startswith(("tcp://", "tls://")):
        if not _is_address(cluster):
            problems.append(Problem("cluster", f'"{cluster}" names no host and port; write tcp://HOST:PORT'))
        return cluster
    if not cluster.endswith(".json"):
        problems.append(Problem("cluster", f'"{cluster}" is unknown; {_USE}'))
        return ""
    try:
        told = json.loads(Path(cluster).read_text(encoding="utf-8"))
    except OSError as error:
        problems.append(Problem("cluster", f"{cluster}: cannot be read: {error.strerror}; is the scheduler up?"))
        return ""
    except ValueError as error:
        problems.append(Problem("cluster", f"{cluster}: is no scheduler file ({error})"))
        return ""
    address = told.get("address") if isinstance(told, dict) else None
    if not isinstance(address, str) or not _is_address(address):
        problems.append(Problem("cluster", f"{cluster}: is no scheduler file (names no tcp:// or tls:// address)"))
        return ""
    return address
