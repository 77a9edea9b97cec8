"""Where Dask's web page is, if it has one."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["dashboard_of"]

_PATIENCE_S = 2.0


def dashboard_of(client: Client) -> str | None:
    """
    Give the address of a scheduler's dashboard.

    Returns
    -------
    str or None
        None if no page is to be had there: Dask names an address also where pages were switched off, or can be
        reached from another host alone. Without bokeh there is a page that says so.
    """
    link = client.dashboard_link
    if not link:
        return None
    try:
        # It is on this host or on a neighbour: no proxy has to do with it.
        with build_opener(ProxyHandler({})).open(link, timeout=_PATIENCE_S):
            return str(link)
    except (OSError, URLError, ValueError):
        return None
