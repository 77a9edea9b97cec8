"""TOML files: a user's, whose mistakes are named, and those that ship with the package."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from gmemgpu.errors import Problem, SpecError

__all__ = ["read_toml", "packaged_toml", "unknown_key"]

_MOST_BYTES = 16 << 20
"""A hundred thousand policies; as objects of Python a file takes some ten times its size."""


def unknown_key(key: str, known: Iterable[str], what: str = "key") -> str:
    """
    Return the message for a name that is unknown, with the known one that was probably meant.

    Parameters
    ----------
    key : str
        What was written.
    known : iterable of str
        What could have been.
    what : str
        What the names are names of.

    Returns
    -------
    str
        To follow the place of the key.
    """
    known = list(known)
    close = get_close_matches(key, known, n=1)
    hint = f'; did you mean "{close[0]}"?' if close else f"; known: {', '.join(known)}"
    return f"unknown {what}{hint}"


def read_toml(path: str | Path) -> dict[str, Any]:
    """
    Read a TOML file.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    dict
        The whole document.

    Raises
    ------
    SpecError
        If the file is missing, unreadable, far too large, not UTF-8, nested too deeply, with too long an integer or no
        TOML; the message names it.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            fault = f"is larger than {_MOST_BYTES >> 20} MiB, as no such file is; is this the right one?"
            raise SpecError(Problem(str(path), fault))
        # utf-8-sig: editors on Windows put a byte-order mark first, which TOML forbids.
        return tomllib.loads(data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n"))
    except OSError as error:
        raise SpecError(Problem(str(path), f"cannot be read: {error.strerror}; check the path")) from None
    except UnicodeDecodeError as error:
        raise SpecError(Problem(str(path), f"is not UTF-8 (byte {error.start}); save it as UTF-8 text")) from None
    except tomllib.TOMLDecodeError as error:
        raise SpecError(Problem(str(path), f"is no valid TOML: {error}")) from None
    except ValueError:
        # Python reads no integer of more than 4,300 digits.
        raise SpecError(Problem(str(path), "holds an integer of too many digits; TOML has 64 bits")) from None
    except RecursionError:
        raise SpecError(Problem(str(path), "is nested too deeply; no key needs more than a few tables")) from None


@cache
def packaged_toml(stem: str) -> dict[str, Any]:
    """
    Read a TOML file of the package's data.

    Parameters
    ----------
    stem : str
        As in ``"lifetimes"``, for ``gmemgpu/data/lifetimes.toml``.

    Returns
    -------
    dict
        Shared by all callers: to be read, never changed.
    """
    return tomllib.loads((resources.files("gmemgpu.data") / f"{stem}.toml").read_text(encoding="utf-8"))
