"""A Dask scheduler that somebody else started, and its workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import dask
from distributed import Client
from distributed.security import Security

from gmemgpu.errors import GmemgpuError
from gmemgpu.sweeping.cluster.dashboard import dashboard_of
from gmemgpu.sweeping.cluster.quiet import quiet_dask
from gmemgpu.sweeping.cluster.target import Target, Tls
from gmemgpu.sweeping.cluster.workers import Workers

__all__ = ["existing_workers", "security_of", "slots_of"]

_CONNECT_S = 15
_START_S = 60.0


def security_of(tls: Tls) -> Security:
    """Give Dask's form of TLS files: one certificate for every role, and nothing unencrypted."""
    cert_and_key = {
        f"tls_{role}_{what}": value
        for role in ("client", "scheduler", "worker")
        for what, value in (("cert", tls.cert), ("key", tls.key))
    }
    return Security(require_encryption=True, tls_ca_file=tls.ca, **cert_and_key)


def slots_of(client: Client) -> Callable[[], int]:
    """Give a function that counts the threads of all workers that are up."""
    n_last = 0

    def n_slots() -> int:
        nonlocal n_last
        # A scheduler that is lost shows by its tasks.
        with suppress(OSError):
            n_last = sum(client.nthreads().values())
        return n_last

    return n_slots


@contextmanager
def existing_workers(target: Target) -> Iterator[Workers]:
    """
    Connect to a scheduler.

    Raises
    ------
    GmemgpuError
        If it does not answer, or not to these certificates.
    """
    resources = {"GPU": 1.0} if target.options.gpus else {}
    with _client(target) as client:
        n_slots = slots_of(client)
        patience_ns = target.options.start_timeout
        yield Workers(
            client=client,
            n_expected=0,
            n_slots=n_slots,
            resources=resources,
            dashboard=dashboard_of(client),
            whose=f"the scheduler at {target.address}",
            patience_s=_START_S if patience_ns is None else patience_ns / 1e9,
        )


@contextmanager
def _client(target: Target) -> Iterator[Client]:
    with quiet_dask():
        with dask.config.set({"distributed.comm.timeouts.connect": f"{_CONNECT_S}s"}):
            try:
                security = security_of(target.tls) if target.tls else None
                client = Client(target.address, security=security, timeout=_CONNECT_S, set_as_default=False)
            except (OSError, ValueError, TypeError) as error:
                raise GmemgpuError(f"{target.address}: {_reason(error, target)}") from error
        with client:
            yield client


def _reason(error: BaseException, target: Target) -> str:
    # The innermost says what is wrong; those around it, that it took place.
    chain = [error]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(inner)
    told = next((str(one) for one in reversed(chain) if str(one)), type(error).__name__)
    if target.tls is not None and any("TLS" in str(one) or "certificate" in str(one).lower() for one in chain):
        return f"no trusted TLS connection ({told}); check tls_ca, tls_cert and tls_key, on both sides"
    hint = "" if target.tls is not None else ", and whether it wants tls://"
    return f"no Dask scheduler answers ({told}); check the address{hint}, and that it is up"
