"""Sweeps that get seeds until policies are compared as precisely as one asks."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gmemgpu.catalogue import tell_doubts
from gmemgpu.errors import Problem, SpecError
from gmemgpu.metrics.quantity import Quantity, quantity_named, quantity_names
from gmemgpu.report.comparison import compare
from gmemgpu.report.samples import default_baseline
from gmemgpu.sweeping.run.plan import SEEDS_AT_ONCE, make_plan
from gmemgpu.sweeping.run.sweep import SweepResult, refuse_wrong, sweep
from gmemgpu.sweeping.spec import SweepSpec, read_spec
from gmemgpu.sweeping.spec.document import read_document
from gmemgpu.sweeping.spec.spec import MAX_SEEDS
from gmemgpu.sweeping.store.extension import extend_store
from gmemgpu.sweeping.store.files import MANIFEST
from gmemgpu.sweeping.store.manifest import read_manifest
from gmemgpu.toml_file import unknown_key
from gmemgpu.units import NS_PER_S, parse_duration_ns

if TYPE_CHECKING:
    from distributed import Client

    from gmemgpu.sweeping.run.outcome import OnError
    from gmemgpu.sweeping.run.progress import Listener

__all__ = ["DEFAULT_MAX_SEEDS", "Target", "read_target", "sweep_until", "told_stop"]

DEFAULT_MAX_SEEDS = 64
_EXAMPLE = 'write --until "regret: 0.1 %"'
_NUMBER = re.compile(r"\s*(-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)\s*")
_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """
    How precise a sweep shall be.

    Parameters
    ----------
    quantity : Quantity
        In what.
    tolerance : float
        The most that half of a 95 % interval may be wide, in the quantity's unit; a share as 0 to 1.
    text : str
        The tolerance as it was written.
    """

    quantity: Quantity
    tolerance: float
    text: str


def read_target(text: str) -> Target:
    """
    Read a quantity and a tolerance.

    Parameters
    ----------
    text : str
        Such as ``"regret: 0.1 %"``, ``"latency p99: 5 s"`` or ``"never: 2"``.

    Returns
    -------
    Target
        A positive one.

    Raises
    ------
    SpecError
        If it is none.

    Examples
    --------
    >>> read_target("regret: 0.1 %").tolerance
    0.001
    """
    name, colon, amount = (piece.strip() for piece in text.rpartition(":"))
    quantity = quantity_named(name)
    if not colon:
        raise SpecError(Problem("--until", f'"{text}" is no quantity with a tolerance; {_EXAMPLE}'))
    if quantity is None:
        raise SpecError(Problem("--until", f'"{name}": {unknown_key(name, quantity_names(), "name")}'))
    try:
        tolerance = _amount(quantity, amount)
    except ValueError as error:
        raise SpecError(Problem("--until", f"{name}: {error}")) from None
    if not 0 < tolerance < math.inf:
        raise SpecError(Problem("--until", f'{name}: "{amount}" is not positive; no sweep is as precise as that'))
    return Target(quantity=quantity, tolerance=tolerance, text=amount)


def _amount(quantity: Quantity, text: str) -> float:
    if quantity.unit in ("ns", "s"):
        return parse_duration_ns(text) / (1 if quantity.unit == "ns" else NS_PER_S)
    is_share = quantity.unit == "share"
    found = _NUMBER.fullmatch(text.removesuffix("%") if is_share else text)
    if is_share and not text.endswith("%"):
        raise ValueError(f'"{text}" is no share; write percentage points, as in "0.1 %"')
    if found is None:
        raise ValueError(f'"{text}" is no number; write one {"and %, " if is_share else ""}without other units')
    return float(found[1]) / (100 if is_share else 1)


def sweep_until(
    spec: str | Path | Mapping[str, Any],
    directory: str | Path,
    client: Client | Callable[[], AbstractContextManager[Client]] | None = None,
    *,
    until: str,
    baseline: str | None = None,
    max_seeds: int = DEFAULT_MAX_SEEDS,
    backend: str | None = None,
    workers: int | None = None,
    progress: Listener | None = None,
    on_error: OnError = "stop",
    retries: int = 2,
    take_over: bool = False,
    strict: bool = False,
    note: Callable[[str], None] = lambda line: None,
) -> tuple[SweepResult, dict[str, Any]]:
    """
    Run a sweep with more and more seeds until every policy differs from the baseline by a well-known amount.

    Parameters
    ----------
    spec : str, Path or mapping
        As for `gmemgpu.sweep`. A number of seeds is the least.
    directory : str or Path
        As for `gmemgpu.sweep`, or of the same sweep with fewer seeds, whose rows are kept.
    client : distributed.Client or callable, optional
        As for `gmemgpu.sweep`.
    until : str
        As for `read_target`.
    baseline : str, optional
        A policy of the spec that the others are held against; ``merged`` if left out, else ``v10``, else the first.
    max_seeds : int
        Where to end in any case.
    backend : str, optional
        As for `gmemgpu.sweep`.
    workers : int, optional
        As for `gmemgpu.sweep`.
    progress : callable, optional
        As for `gmemgpu.sweep`.
    on_error : {"stop", "continue"}
        As for `gmemgpu.sweep`.
    retries : int
        As for `gmemgpu.sweep`.
    take_over : bool
        As for `gmemgpu.sweep`.
    strict : bool
        As for `gmemgpu.sweep`.
    note : callable
        Called with a line for people after each round.

    Returns
    -------
    result : SweepResult
        Of the last round; its `n_computed` is of all rounds.
    stop : dict
        What the manifest says of it; `told_stop` tells it in words.

    Raises
    ------
    SpecError
        If `until`, `baseline`, `max_seeds` or `spec` is wrong, or the latter lists its seeds.
    GmemgpuError
        As `gmemgpu.sweep` does.

    Notes
    -----
    A round has 8 seeds or a multiple, at most twice as many as the one before it. In the end the directory is what
    `gmemgpu.sweep` makes of the spec with as many seeds.
    """
    refuse_wrong(client, workers, on_error, retries)
    target = read_target(until)
    what = read_spec(spec)
    n = _first(spec, max_seeds)
    baseline = _baseline(what, baseline)
    tell_doubts(what.policies, what.source, strict=strict)
    stored = read_manifest(directory) if (Path(directory) / MANIFEST).exists() else None
    n_stored = 0 if stored is None else len(stored.spec.get("seeds", ()))
    n = max(n, n_stored)
    stop: dict[str, Any] = {
        "quantity": target.quantity.key,
        "tolerance": target.text,
        "baseline": baseline,
        "max_seeds": max_seeds,
        "rounds": [],
        "stop": None,
        "wide": [],
    }
    before = None if stored is None else stored.until
    if before is not None and all(before[key] == stop[key] for key in ("quantity", "tolerance", "baseline")):
        stop["rounds"] = [n_seeds for n_seeds in before["rounds"] if n_seeds < n]
    n_computed = 0

    def run(n: int, *, growing: bool) -> SweepResult:
        nonlocal n_computed
        what = read_spec(spec, seeds=n)
        extend_store(directory, what, make_plan(what, "numpy", growing=growing), stop, take_over=take_over)
        result = sweep(
            what,
            directory,
            opening,
            backend=backend,
            workers=workers,
            progress=progress,
            on_error=on_error,
            retries=retries,
            take_over=take_over,
            growing=growing,
        )
        n_computed += result.n_computed
        return result

    with ExitStack() as stack:
        opening = _opened_once(client, stack) if callable(client) else client
        while True:
            stop["rounds"].append(n)
            stop["wide"] = []  # not known with so many
            # Once it has stopped, a directory is cut as that of any sweep; if that is enough, it stays so.
            is_plain = stored is not None and n == n_stored and _is_cut_plainly(spec, n, stored.sweep_id)
            run(n, growing=not is_plain)
            wide = _wide(directory, target, baseline)
            stop["wide"] = [text for _, text in wide]
            if not wide or n >= max_seeds:
                stop["stop"] = "ceiling" if wide else "reached"
                result = run(n, growing=False)
                note(told_stop(stop))
                return replace(result, n_computed=n_computed), stop
            note(told_stop(stop))
            n = _next(n, wide[0][0], max_seeds)


def told_stop(stop: Mapping[str, Any]) -> str:
    """
    Return in words how far a sweep came towards its precision.

    Parameters
    ----------
    stop : mapping
        As the manifest has it.

    Returns
    -------
    str
        A line.
    """
    n = stop["rounds"][-1]
    asked = f"{stop['quantity']} to ±{stop['tolerance']} against {stop['baseline']}"
    if stop["stop"] == "reached":
        return f"{asked}: reached with {n:,} seeds"
    wide = ", ".join(stop["wide"][:_NAMED])
    if len(stop["wide"]) > _NAMED:
        wide += f" and {len(stop['wide']) - _NAMED:,} more"
    if stop["stop"] == "ceiling":
        return f"{asked}: not reached with {n:,} seeds, and --max-seeds is {stop['max_seeds']:,}; still wide: {wide}"
    return f"{asked}: {n:,} seeds by now, at most {stop['max_seeds']:,}" + (f"; still wide: {wide}" if wide else "")


def _first(spec: str | Path | Mapping[str, Any], max_seeds: int) -> int:
    # How many seeds the first round has.
    document = read_document(spec)
    seeds = document.values.get("seeds", 1)
    problems = []
    if not isinstance(seeds, int):
        message = "is a list, to which none can be added; write a number, the least, or leave it out for --until"
        problems.append(Problem(document.where("seeds"), message))
    elif seeds > max_seeds >= SEEDS_AT_ONCE:
        problems.append(Problem("--max-seeds", f"{max_seeds} are fewer than the {seeds} of {document.where('seeds')}"))
    if not SEEDS_AT_ONCE <= max_seeds <= MAX_SEEDS:
        problems.append(Problem("--max-seeds", f"{max_seeds} is outside {SEEDS_AT_ONCE} to {MAX_SEEDS}"))
    if problems:
        raise SpecError(problems)
    return min(_whole(seeds), max_seeds)


def _whole(n: int) -> int:
    return -(-n // SEEDS_AT_ONCE) * SEEDS_AT_ONCE


def _next(n: int, ratio: float, max_seeds: int) -> int:
    # An interval shrinks with the root of the seeds; an early guess is a rough one, so that no step more than doubles.
    needed = n * ratio**2 if ratio < 2 else 2 * n
    return min(_whole(min(max(math.ceil(needed), n + 1), 2 * n)), max_seeds)


def _baseline(what: SweepSpec, asked: str | None) -> str:
    names = [policy.name for policy in what.policies]
    compared = [policy.name for policy in what.policies if not policy.is_oracle]
    if asked is not None and asked not in names:
        raise SpecError(Problem("--baseline", f'"{asked}": {unknown_key(asked, names, "policy")}'))
    baseline = asked or default_baseline(compared or names)
    if not [name for name in compared if name != baseline]:
        raise SpecError(
            Problem(f"{what.source}: policies", "--until compares policies, and there is but one; add others")
        )
    return baseline


def _is_cut_plainly(spec: str | Path | Mapping[str, Any], n: int, sweep_id: str) -> bool:
    return make_plan(read_spec(spec, seeds=n), "numpy").setting.sweep_id == sweep_id


def _wide(directory: str | Path, target: Target, baseline: str) -> list[tuple[float, str]]:
    # What is not known well enough, the widest first: in tolerances, and in words.
    found = []
    for group in compare(directory, baseline=baseline, quantities=[target.quantity.key]).groups:
        for comparison in group.comparisons:
            difference = comparison.found
            if difference is None or difference.same:
                continue
            half_width = math.inf if difference.half_width is None else difference.half_width
            if half_width > target.tolerance:
                name = f"{comparison.policy} ({', '.join(str(key) for key in group.keys.values())})"
                found.append((half_width / target.tolerance, f"{name} ±{_value_text(target.quantity, half_width)}"))
    return sorted(found, key=lambda one: -one[0])


def _value_text(quantity: Quantity, value: float) -> str:
    if math.isinf(value):
        return "any amount"
    if quantity.unit == "share":
        return f"{100 * value:.3g} %"
    if quantity.unit == "count":
        return f"{value:.3g}"
    return f"{value / (NS_PER_S if quantity.unit == 'ns' else 1):.3g} s"


def _opened_once(
    opening: Callable[[], AbstractContextManager[Client]], stack: ExitStack
) -> Callable[[], AbstractContextManager[Client]]:
    # Jobs that one round got stay for the next.
    opened: list[Client] = []

    def enter() -> AbstractContextManager[Client]:
        if not opened:
            opened.append(stack.enter_context(opening()))
        return nullcontext(opened[0])

    return enter
