"""Which engine a name means; ``auto`` goes by what was measured here, and names the reason."""

from __future__ import annotations

from dataclasses import dataclass

from gmemgpu.engine.crossover import core_count, gpu_key, read_crossovers
from gmemgpu.engine.protocol import Engine
from gmemgpu.engine.registry import cpu_engine_name, engine, is_installed, why_missing

__all__ = ["UNMEASURED_CORES", "UNMEASURED_PAIRS", "NUMBA_PAIRS", "NUMBA_EVENTS", "EngineChoice", "choose_engine"]

UNMEASURED_PAIRS = 1000
"""From so many evaluations in a batch on `auto` takes a GPU where nothing was measured. An estimate: a batch takes the
host some 50 ms however small it is."""

UNMEASURED_CORES = {"numba": 3, "numpy": 12}
"""And on so many cores at most. Beside 16 cores with Numba an H200 did what 3.1 of them do on small traces, 4.2 and 7.2
on large ones (bench/results/gpu-nvidia-h200.json); NumPy's engine is four times as slow, or more."""

NUMBA_PAIRS = 50
"""From so many evaluations at once on `auto` takes Numba. To load it and what it compiled before takes two seconds; the
numpy engine does one in 0.004 to 0.6 s, its share of the timeline included (measured on a core of an AMD EPYC)."""

NUMBA_EVENTS = 400_000
"""From so many events on Numba also pays for the policies of one trace: their timeline takes numpy 3 µs an event, and
all named policies as much again (same machine)."""

_ELSEWHERE = "what workers elsewhere have is not seen from here; --backend cupy if each has a GPU"
_MEASURE = "`gmemgpu bench` measures it"


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """
    An engine, and how it came to be chosen.

    Parameters
    ----------
    engine : Engine
        One that can run here.
    reason : str or None
        Why ``auto`` took it; None if it was asked for by name.
    """

    engine: Engine
    reason: str | None


def choose_engine(name: str = "auto", *, n_pairs: int = 1, n_events: int = 0, elsewhere: bool = False) -> EngineChoice:
    """
    Choose the engine to use.

    Parameters
    ----------
    name : str
        Name of an engine, or ``auto``: the fastest that can run here. Nothing is measured for that, and no device is
        touched where the batch is too small for any.
    n_pairs : int
        (trace, policy) pairs that the engine will get at once.
    n_events : int
        Events of their trace; 0 if that is not known.
    elsewhere : bool
        Whether other machines will run it: ``auto`` then takes no GPU.

    Returns
    -------
    EngineChoice
        The engine, and why ``auto`` took it.

    Raises
    ------
    SpecError
        If there is no such engine.
    BackendError
        If it cannot run here; never for ``auto``.
    """
    if name != "auto":
        return EngineChoice(engine(name), None)
    pays, reason = (False, _ELSEWHERE) if elsewhere else _gpu(n_pairs)
    if pays:
        return EngineChoice(engine("cupy"), reason)
    if is_installed("numba") and n_pairs < NUMBA_PAIRS and n_events < NUMBA_EVENTS:
        few = f"Numba, two seconds to load, pays from {NUMBA_PAIRS} evaluations or {NUMBA_EVENTS:,} events"
        return EngineChoice(engine("numpy"), f"{reason}; {few}")
    return EngineChoice(engine(cpu_engine_name()), reason)


def _gpu(n_pairs: int) -> tuple[bool, str]:
    # Whether a GPU pays, and why.
    if not is_installed("cupy"):
        return False, why_missing("cupy") or ""
    stored = read_crossovers()
    known = f"{stored.problem}; {_MEASURE} anew" if stored.problem else f"not measured here; {_MEASURE}"
    # To start a device takes a second; no small evaluation shall wait for it.
    measured = [found.n_pairs for found in stored.by_gpu.values()]
    if not measured and _has_many_cores():
        return False, _many_cores(known)
    least = min((n for n in measured if n is not None), default=None) if measured else UNMEASURED_PAIRS
    if least is None:
        return False, "no GPU measured here was faster than all cores"
    if n_pairs < least:
        basis = "as measured here" if measured else f"an estimate: {known}"
        return False, f"{_batch(n_pairs)}; a GPU pays from {least:,} ({basis})"
    missing = why_missing("cupy")
    if missing is not None:
        return False, missing
    gpu = gpu_key()
    found = stored.by_gpu.get(gpu)
    if found is None:
        if _has_many_cores():
            return False, _many_cores(known)
        return n_pairs >= UNMEASURED_PAIRS, f"{_batch(n_pairs)}; {gpu}: {known}"
    if found.n_pairs is None:
        return False, f"{gpu} was slower than all cores in every batch (measured {found.date})"
    why = f"{_batch(n_pairs)}; {gpu} pays from {found.n_pairs:,} (measured {found.date})"
    return n_pairs >= found.n_pairs, why


def _cpu_engine() -> str:
    return "numba" if is_installed("numba") else "numpy"


def _has_many_cores() -> bool:
    return core_count() > UNMEASURED_CORES[_cpu_engine()]


def _many_cores(known: str) -> str:
    name = _cpu_engine()
    few = UNMEASURED_CORES[name]
    return f"{core_count()} cores with {name}, and a GPU does what {few} or more do (an estimate: {known})"


def _batch(n_pairs: int) -> str:
    return f"{n_pairs:,} evaluation{'s' if n_pairs > 1 else ''} at once"
