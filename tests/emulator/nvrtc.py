"""NVRTC without CuPy, driver or device: what it makes of a kernel file for one architecture, and what ptxas says."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

__all__ = ["CUPY_OPTIONS", "Resources", "compile_kernels", "nvrtc_missing"]

CUPY_OPTIONS = ("-ftz=true", "--device-as-default-execution-space")
"""What CuPy 14.2 adds to the options of a RawModule, besides the architecture."""

_ENTRY = re.compile(r"Compiling entry function '(\w+)'")
_STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_USED = re.compile(r"Used (\d+) registers")
_SHARED = re.compile(r"(\d+) bytes smem")


@dataclass(frozen=True, slots=True)
class Resources:
    """What one thread, or for `shared_bytes` one block, of a kernel takes."""

    registers: int
    stack_bytes: int
    spill_bytes: int
    shared_bytes: int


def _library() -> Path | None:
    spec = find_spec("nvidia")
    for folder in spec.submodule_search_locations or () if spec else ():
        # `libnvrtc.alt.so` is the same without its speed.
        found = sorted(p for p in Path(folder).glob("cu13/lib/libnvrtc.so.*") if ".alt." not in p.name)
        if found:
            return found[0]
    return None


def nvrtc_missing() -> str | None:
    """Say how to get NVRTC if it is not here."""
    return None if _library() else "NVRTC is missing; pip install 'nvidia-cuda-nvrtc==13.0.*', which the extra test has"


@cache
def _nvrtc() -> Any:
    library = _library()
    assert library is not None, nvrtc_missing()
    # NVRTC looks for this one by name only, so that it must be loaded already.
    for builtins in library.parent.glob("libnvrtc-builtins.so.*"):
        ctypes.CDLL(str(builtins), mode=ctypes.RTLD_GLOBAL)
    return ctypes.CDLL(str(library))


def _output(program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    getattr(_nvrtc(), f"nvrtcGet{what}Size")(program, ctypes.byref(size))
    text = ctypes.create_string_buffer(size.value)
    getattr(_nvrtc(), f"nvrtcGet{what}")(program, text)
    return text.raw[: size.value]


def compile_kernels(
    code: str, architecture: str, options: Sequence[str], name: str = "kernels.cu"
) -> tuple[dict[str, Resources], str]:
    """
    Compile a CUDA C++ file to machine code.

    Parameters
    ----------
    code : str
    architecture : str
        As in ``sm_90``.
    options : sequence of str
    name : str
        What messages call the file.

    Returns
    -------
    dict of str to Resources
        By kernel.
    str
        What the compiler said.

    Raises
    ------
    ValueError
        If the file does not compile; with what the compiler said.
    """
    program = ctypes.c_void_p()
    nvrtc = _nvrtc()
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), code.encode(), name.encode(), 0, None, None)
    try:
        words = [f"-arch={architecture}", *CUPY_OPTIONS, *options, "--ptxas-options=-v"]
        given = (ctypes.c_char_p * len(words))(*(word.encode() for word in words))
        status = nvrtc.nvrtcCompileProgram(program, len(words), given)
        log = _output(program, "ProgramLog").rstrip(b"\0").decode()
        if status:
            raise ValueError(f"{name} does not compile for {architecture}:\n{log}")
        assert _output(program, "CUBIN").startswith(b"\x7fELF")
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return _resources(log), log


def _resources(log: str) -> dict[str, Resources]:
    found = {}
    for part in log.split("ptxas info    : Compiling")[1:]:
        entry, stack, used = _ENTRY.search("Compiling" + part), _STACK.search(part), _USED.search(part)
        if entry and stack and used:
            shared = _SHARED.search(part)
            found[entry[1]] = Resources(
                registers=int(used[1]),
                stack_bytes=int(stack[1]),
                spill_bytes=int(stack[2]) + int(stack[3]),
                shared_bytes=int(shared[1]) if shared else 0,
            )
    return found
