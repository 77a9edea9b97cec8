"""
Run the kernels of a CUDA C++ file on the CPU: g++ builds them behind `cuda_emulator.h`, ctypes launches them.

``EmulatedModule(code).launch("name", grid, block, arguments)``; NumPy arrays stand for device memory. A kernel is
``extern "C" __global__ void name(plain parameters)``, with ``__launch_bounds__`` before or after ``void``.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

__all__ = [
    "EmulatedModule",
    "Kernel",
    "Parameter",
    "EmulatorError",
    "KernelFault",
    "compiler",
    "kernels_of",
    "sanitizer_environment",
]

HEADER = Path(__file__).with_name("cuda_emulator.h")
MAX_THREADS = 1024
MAX_SHARED_BYTES = 227 * 1024
"""Of a thread block on sm_90 and sm_100; sm_80 has 163 KiB."""

SCALARS: dict[str, Any] = {
    "u64": ctypes.c_uint64,
    "unsigned long long": ctypes.c_uint64,
    "i64": ctypes.c_int64,
    "long long": ctypes.c_int64,
    "u32": ctypes.c_uint32,
    "unsigned int": ctypes.c_uint32,
    "unsigned": ctypes.c_uint32,
    "i32": ctypes.c_int32,
    "int": ctypes.c_int32,
    "u16": ctypes.c_uint16,
    "unsigned short": ctypes.c_uint16,
    "i16": ctypes.c_int16,
    "short": ctypes.c_int16,
    "u8": ctypes.c_uint8,
    "unsigned char": ctypes.c_uint8,
    "i8": ctypes.c_int8,
    "signed char": ctypes.c_int8,
    "bool": ctypes.c_bool,
}
"""Parameter types by the names that kernel files give them."""

VECTOR_BYTES = {"uint2": 8, "int2": 8, "uint4": 16, "int4": 16, "ulonglong2": 16, "longlong2": 16}
"""Size and alignment of what a pointer parameter may point to besides `SCALARS`."""

_KERNEL = re.compile(
    r'extern\s+"C"\s+__global__\s+'
    r"(?:__launch_bounds__\s*\(\s*(?P<before>[^()]*)\)\s*)?void\s+(?:__launch_bounds__\s*\(\s*(?P<after>[^()]*)\)\s*)?"
    r"(?P<name>\w+)\s*\((?P<parameters>[^)]*)\)"
)
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)


class EmulatorError(Exception):
    """A kernel file cannot be built or launched here."""


class KernelFault(EmulatorError):
    """A kernel did what would hang or corrupt a device."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a kernel: its name, the type's name without const and pointer, and whether it is a pointer."""

    name: str
    type: str
    pointer: bool


@dataclass(frozen=True, slots=True)
class Kernel:
    """Name, parameters and the most threads a block may have."""

    name: str
    parameters: tuple[Parameter, ...]
    max_threads: int


def _parameter(kernel: str, text: str) -> Parameter:
    plain = " ".join(re.sub(r"\b(?:const|volatile|__restrict__)\b", " ", text).replace("*", " * ").split())
    matched = re.fullmatch(r"(.+?)( \*)? (\w+)", plain)
    known = {*SCALARS, *VECTOR_BYTES}
    if matched is None or matched[1] not in known or (matched[1] in VECTOR_BYTES and not matched[2]):
        raise EmulatorError(f'{kernel}: parameter "{plain}" is not plain; known types: {", ".join(sorted(known))}')
    return Parameter(matched[3], matched[1], matched[2] is not None)


def kernels_of(code: str, options: Sequence[str] = ()) -> dict[str, Kernel]:
    """
    Find the kernels in the text of a CUDA C++ file.

    Parameters
    ----------
    code : str
    options : sequence of str
        Compiler options; a launch bound may be a name that ``-Dname=value`` defines.

    Returns
    -------
    dict of str to Kernel
        `Kernel.max_threads` is 1024 where the file states no bound.

    Raises
    ------
    EmulatorError
        If a parameter is not plain, or a launch bound is no number.
    """
    values = _definitions(options)
    found = {}
    for match in _KERNEL.finditer(_COMMENT.sub(" ", code)):
        name, parameters = match["name"], match["parameters"].strip()
        bound = (match["before"] or match["after"] or str(MAX_THREADS)).split(",")[0].strip()
        bound = values.get(bound, bound)
        if not bound.isdecimal():
            raise EmulatorError(f'{name}: launch bound "{bound}" is neither a number nor given by -D')
        listed = tuple(_parameter(name, text) for text in parameters.split(",")) if parameters else ()
        found[name] = Kernel(name, listed, int(bound))
    return found


def compiler() -> str | None:
    """Give the path of the C++ compiler, ``$CXX`` or g++, or None."""
    return shutil.which(os.environ.get("CXX") or "g++")


def _cache_folder() -> Path:
    named = os.environ.get("GMEMGPU_EMULATOR_CACHE")
    folder = Path(named) if named else Path(tempfile.gettempdir()) / f"gmemgpu-emulator-{os.getuid()}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _flags(sanitize: bool) -> list[str]:
    # Kernels reinterpret shared memory as they need it; nvcc does not reason about types there either.
    flags = ["-std=c++17", "-O2", "-g1", "-fPIC", "-shared", "-fvisibility=hidden", "-fno-strict-aliasing"]
    flags += ["-Wall", "-Werror", "-Wno-unknown-pragmas", "-Wno-unused-function"]
    flags += ["-Wno-sign-compare", "-Wno-maybe-uninitialized"]  # of no concern to CUDA compilers; too often mistaken
    if platform.machine() == "x86_64":
        flags.append("-march=x86-64-v2")  # popcount is one instruction
    if sanitize:
        flags += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
        flags.append("-fsanitize-sections=emulated_shared")  # red zones between __shared__ variables
    return flags


def _build(text: str, sanitize: bool, races: bool) -> Path:
    gxx = compiler()
    if gxx is None:
        raise EmulatorError('no C++ compiler to emulate kernels with; "apt-get install g++", or set CXX')
    flags = _flags(sanitize)
    watching = ["-fsanitize=thread", "--param=tsan-instrument-func-entry-exit=0"] if races else []
    content = "\0".join([text, HEADER.read_text(encoding="utf-8"), gxx, *flags, *watching])
    folder = _cache_folder()
    library = folder / f"{hashlib.sha256(content.encode()).hexdigest()[:24]}.so"
    if library.exists():
        return library
    # Of several test processes that need the same file one builds it, while the others wait.
    with library.with_suffix(".lock").open("w") as lock, tempfile.TemporaryDirectory(dir=folder) as scratch:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if library.exists():
            return library
        source, compiled, built = (Path(scratch, f"kernels.{suffix}") for suffix in ("cpp", "o", "so"))
        source.write_text(text, encoding="utf-8")
        # Linked by itself, since the header has what the thread sanitizer's library would be linked for.
        commands = [
            [gxx, *flags, *watching, f"-I{HEADER.parent}", "-c", str(source), "-o", str(compiled)],
            [gxx, *flags, str(compiled), "-o", str(built)],
        ]
        # The compiler itself need not run under the sanitizers.
        environment = {key: value for key, value in os.environ.items() if key != "LD_PRELOAD"}
        for command in commands:
            ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
            if ran.returncode:
                raise EmulatorError(f"the kernels do not compile for the emulator:\n{ran.stderr}")
        built.replace(library)
    return library


def _definitions(options: Sequence[str]) -> dict[str, str]:
    # -D and -U only: whatever else a CUDA compiler is told (-std, --use_fast_math) means nothing here.
    values: dict[str, str] = {}
    for option in options:
        if option.startswith("-D"):
            name, _, value = option.removeprefix("-D").partition("=")
            values[name] = value or "1"
        elif option.startswith("-U"):
            values.pop(option.removeprefix("-U"), None)
    return values


def sanitizer_environment() -> dict[str, str]:
    """
    Give what a process needs in its environment to launch kernels built with ``sanitize=True``.

    Raises
    ------
    EmulatorError
        If the compiler or its sanitizer libraries are missing.
    """
    gxx = compiler()
    if gxx is None:
        raise EmulatorError('no C++ compiler to emulate kernels with; "apt-get install g++", or set CXX')
    libraries = []
    for name in ("libasan.so", "libubsan.so"):
        ran = subprocess.run([gxx, f"-print-file-name={name}"], capture_output=True, text=True, check=True)
        if not Path(ran.stdout.strip()).is_absolute():
            raise EmulatorError(f"{gxx} has no {name}")
        libraries.append(ran.stdout.strip())
    return {
        # Python is not built with the sanitizers, so they have to be there before it.
        "LD_PRELOAD": " ".join(libraries),
        # Python leaves memory to the end of the process; fibers have no fake stacks.
        "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONMALLOC": "malloc",
    }


class EmulatedModule:
    """
    The kernels of one CUDA C++ file, built for this CPU.

    Parameters
    ----------
    code : str
        The file's text, with no #include.
    options : sequence of str
        As for a CUDA compiler; ``-Dname=value`` counts, the rest is ignored. ``-DEMULATOR_UCONTEXT`` takes the fibers
        that run on every processor, 4 to 12 times slower; with ``-DEMULATOR_RACES`` every access is looked at, and a
        barrier that is missing is a fault.
    sanitize : bool
        Build with AddressSanitizer and UndefinedBehaviorSanitizer; see `sanitizer_environment`.
    name : str
        What compiler messages and sanitizer reports call the file.

    Attributes
    ----------
    kernels : dict of str to Kernel

    Raises
    ------
    EmulatorError
        If there is no compiler, the text does not compile, or a kernel's parameters are not plain.
    """

    def __init__(
        self, code: str, options: Sequence[str] = (), *, sanitize: bool = False, name: str = "kernels.cu"
    ) -> None:
        values = _definitions(options)
        self.kernels = kernels_of(code, options)
        before = [f"#define {key} {value}" for key, value in values.items() if key.startswith("EMULATOR_")]
        # After the header: short names such as O_... and S_... are macros of the C library too.
        after = [f"#undef {key}\n#define {key} {value}" for key, value in values.items()]
        # The namespace gives variables of the shared section internal linkage, without which g++ may refuse them.
        kernels = ["namespace {", f'#line 1 "{name}"', code, "}", '#line 1 "entries"']
        entries = [f"EMULATOR_ENTRY({kernel})" for kernel in self.kernels]
        text = "\n".join([*before, f'#include "{HEADER.name}"', *after, *kernels, *entries, ""])
        self._library = ctypes.CDLL(str(_build(text, sanitize, "EMULATOR_RACES" in values)))
        self._entries: dict[str, Any] = {}
        for kernel in self.kernels:
            entry = self._library[f"launch_{kernel}"]
            entry.restype = ctypes.c_char_p
            entry.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_void_p]
            self._entries[kernel] = entry
        self._one_at_a_time = threading.Lock()  # a library has one set of fibers

    def launch(
        self,
        kernel: str,
        grid: Sequence[int],
        block: Sequence[int],
        arguments: Sequence[Any],
        shared_mem: int = 0,
        order: int = 0,
    ) -> None:
        """
        Run every block of a grid and wait for it.

        Parameters
        ----------
        kernel : str
        grid, block : sequence of one to three int
        arguments : sequence
            C-contiguous NumPy arrays, or addresses, for pointers; integers for the rest.
        shared_mem : int
            Bytes of dynamic shared memory, at most 227 KiB.
        order : int
            0 forward, 1 reverse, from 2 on a shuffle each.

        Raises
        ------
        KernelFault
            If a block deadlocks, lanes meet in different operations, or dynamic shared memory is overrun.
        TypeError, ValueError
            If arguments or sizes do not fit the kernel.
        """
        known = self.kernels[kernel]
        sizes = [(*(int(n) for n in given), 1, 1)[:3] for given in (grid, block)]
        n_threads = sizes[1][0] * sizes[1][1] * sizes[1][2]
        if min(*sizes[0], *sizes[1]) < 1:
            raise ValueError(f"{kernel}: grid {sizes[0]} or block {sizes[1]} is empty")
        if n_threads > min(known.max_threads, MAX_THREADS):
            raise ValueError(f"{kernel}: {n_threads} threads a block; its launch bound is {known.max_threads}")
        if not 0 <= shared_mem <= MAX_SHARED_BYTES:
            raise ValueError(f"{kernel}: {shared_mem} bytes of shared memory; a block has at most {MAX_SHARED_BYTES}")
        if len(arguments) != len(known.parameters):
            raise TypeError(f"{kernel}: {len(arguments)} arguments for {len(known.parameters)} parameters")
        values = [_as_c(kernel, *pair) for pair in zip(known.parameters, arguments, strict=True)]
        addresses = (ctypes.c_void_p * (len(values) + 1))(*(ctypes.addressof(value) for value in values))
        three = ctypes.c_uint * 3
        with self._one_at_a_time:
            fault = self._entries[kernel](three(*sizes[0]), three(*sizes[1]), shared_mem, order, addresses)
        if fault:
            raise KernelFault(f"{kernel}: {fault.decode()}")


def _as_c(kernel: str, parameter: Parameter, argument: Any) -> Any:
    if not parameter.pointer:
        return SCALARS[parameter.type](argument)
    if isinstance(argument, np.ndarray):
        if not argument.flags.c_contiguous:
            raise TypeError(f"{kernel}({parameter.name}): the array is not C-contiguous")
        return ctypes.c_void_p(argument.ctypes.data)
    if isinstance(argument, int | np.integer):
        return ctypes.c_void_p(int(argument))
    raise TypeError(f"{kernel}({parameter.name}): {type(argument).__name__} is no array and no address")
