"""A scheduler that somebody else started."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distributed import Client
from distributed.security import Security

from gmemgpu.errors import GmemgpuError, Problem, SpecError
from gmemgpu.sweeping.clusters.settings import innermost, quiet

__all__ = ["scheduler_client"]

_CONNECT_S = 15


@contextmanager
def scheduler_client(address: str) -> Iterator[Client]:
    """
    Open a client of a Dask scheduler that somebody else started.

    Parameters
    ----------
    address : str
        ``tcp://…``, ``tls://…``, or the file that the scheduler wrote. TLS files are what Dask's configuration says.

    Yields
    ------
    distributed.Client

    Raises
    ------
    GmemgpuError
        If it does not answer, or not to these certificates.
    """
    with quiet():
        try:
            where = {"address": address} if "://" in address else {"scheduler_file": address}
            if "scheduler_file" in where and not Path(address).is_file():
                raise SpecError(Problem("scheduler", f'"{address}" is neither an address (tcp://…) nor a file'))
            _refuse_without_certificates(address)
            client = Client(**where, timeout=_CONNECT_S, set_as_default=False)
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            message = innermost(error)
            tls = "TLS" in message or "certificate" in message.lower() or address.startswith("tls://")
            remedy = (
                "check distributed.comm.tls of Dask's configuration, on both sides"
                if tls
                else "check the address, whether it wants tls://, and that it is up"
            )
            raise GmemgpuError(f"{address}: no Dask scheduler answers ({message}); {remedy}") from error
        with client:
            yield client


def _refuse_without_certificates(address: str) -> None:
    # A client of Dask that finds it out by itself waits half a minute, and ends with a traceback.
    text = address if "://" in address else Path(address).read_text(encoding="utf-8")
    if "tls://" in text and Security().get_connection_args("client").get("ssl_context") is None:
        raise ValueError("it wants TLS, and the configuration here names no certificate")
