"""From how many evaluations at once a GPU beats all cores: measured, and stored for `auto`."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gmemgpu.atomic import written_whole
from gmemgpu.engine.crossover import Crossover, core_count, document, read_crossovers, store_file
from gmemgpu.engine.protocol import Engine
from gmemgpu.engine.registry import cpu_engine_name, engine, why_missing
from gmemgpu.errors import BackendError, StoreError
from gmemgpu.measuring.cores import all_cores
from gmemgpu.measuring.sample import ALL, policy_kinds, sample_traces
from gmemgpu.model.cost import Costs
from gmemgpu.model.metric import MetricRow
from gmemgpu.model.policy import Policy
from gmemgpu.model.trace import Trace

__all__ = ["BenchPlan", "FULL", "QUICK", "Rate", "Rates", "crossover_pairs", "measure_rates", "save_crossover"]


@dataclass(frozen=True, slots=True)
class BenchPlan:
    """
    What is measured, and for how long.

    Parameters
    ----------
    n_traces : tuple of int
        Traces in a batch, ascending.
    kinds : bool
        Whether kinds of policies are timed one by one beside all of them together.
    least_s : float
        Least time that each figure is measured for.
    """

    n_traces: tuple[int, ...]
    kinds: bool
    least_s: float


FULL = BenchPlan((1, 4, 16, 64, 256), kinds=True, least_s=1.0)
QUICK = BenchPlan((1, 4, 16, 64), kinds=False, least_s=0.3)
_TRACES_ON_CORES = 4


@dataclass(frozen=True, slots=True)
class Rate:
    """
    Evaluations per second of one batch.

    Parameters
    ----------
    kind : str
        Kind of the policies.
    n_policies, n_traces : int
        Size of the batch.
    cpu_per_s : float
        Rate on all cores; the batch makes no difference to it.
    cupy_per_s : float or None
        Rate on one GPU, from traces in host memory to rows in host memory; None if it cannot run here.
    """

    kind: str
    n_policies: int
    n_traces: int
    cpu_per_s: float
    cupy_per_s: float | None

    @property
    def n_pairs(self) -> int:
        """(trace, policy) pairs of the batch."""
        return self.n_policies * self.n_traces


@dataclass(frozen=True, slots=True)
class Rates:
    """
    What was measured.

    Parameters
    ----------
    rates : tuple of Rate
        One for each kind of policies and size of batch.
    cpu_engine : str
        The fastest on CPU cores that can run here.
    cores : int
        Cores that it ran on.
    missing : str or None
        Why there is no figure of a GPU.
    """

    rates: tuple[Rate, ...]
    cpu_engine: str
    cores: int
    missing: str | None


def measure_rates(plan: BenchPlan, report: Callable[[str], None]) -> Rates:
    """
    Time the fastest CPU engine on all cores, and the cupy engine if it can run here.

    Parameters
    ----------
    plan : BenchPlan
        `FULL`, `QUICK`, or another.
    report : callable
        Called with a line of text before each step.

    Returns
    -------
    Rates
        Figures, and why there is none of a GPU.

    Raises
    ------
    BackendError
        If two engines find different integers; then there are no figures.
    """
    missing = why_missing("cupy")
    device = engine("cupy") if missing is None else None
    kinds = policy_kinds() if plan.kinds else {ALL: policy_kinds()[ALL]}
    n_cores = core_count()
    rates: list[Rate] = []
    on_cpu = cpu_engine_name()
    report(f"traces, and {on_cpu} on {n_cores} cores")
    traces = sample_traces(plan.n_traces[-1] if device else _TRACES_ON_CORES)
    expected = engine(on_cpu).evaluate(traces, kinds[ALL], Costs())
    of_policy = {policy.name: i for i, policy in enumerate(kinds[ALL])}
    with all_cores(on_cpu, n_cores, _TRACES_ON_CORES) as cores:
        cpu_per_s = {}
        for kind, policies in kinds.items():
            report(f"{on_cpu} on {n_cores} cores, {kind}")
            cpu_per_s[kind], rows = cores.measure(policies, plan.least_s)
            columns = [of_policy[policy.name] for policy in policies]
            _compare(rows, expected, columns, f"{on_cpu} on another core", on_cpu)
    # Not before the cores are free again: the device's host code needs one of them.
    for kind, policies in kinds.items():
        columns = [of_policy[policy.name] for policy in policies]
        for n in plan.n_traces if device else (_TRACES_ON_CORES,):
            cupy_per_s = None
            if device:
                report(f"cupy, {kind}, {n} traces")
                cupy_per_s, rows = _rate(device, traces[:n], policies, plan.least_s)
                _compare(rows, expected, columns, "cupy", on_cpu)
            rates.append(Rate(kind, len(policies), n, cpu_per_s[kind], cupy_per_s))
    return Rates(tuple(rates), on_cpu, n_cores, missing)


def _rate(
    device: Engine, traces: Sequence[Trace], policies: Sequence[Policy], least_s: float
) -> tuple[float, list[list[MetricRow]]]:
    # The first call compiles kernels and fills memory pools.
    rows = device.evaluate(traces, policies, Costs())
    n_rounds = 0
    begin = now = time.perf_counter()
    while n_rounds == 0 or now - begin < least_s:
        device.evaluate(traces, policies, Costs())
        n_rounds += 1
        now = time.perf_counter()
    return n_rounds * len(traces) * len(policies) / (now - begin), rows


def _compare(
    found: list[list[MetricRow]], expected: list[list[MetricRow]], columns: Sequence[int], name: str, on_cpu: str
) -> None:
    for seed, (rows, right) in enumerate(zip(found, expected, strict=False)):
        if rows != [right[i] for i in columns]:
            raise BackendError(
                f"{name} gives other integers than {on_cpu} (seed {seed} of the sample); no figure is worth printing. "
                "`gmemgpu verify` names the differences of a trace"
            )


def crossover_pairs(rates: Sequence[Rate], kind: str = ALL) -> int | None:
    """
    Find the smallest batch from which on the GPU was never slower than all cores.

    Parameters
    ----------
    rates : sequence of Rate
        In any order.
    kind : str
        Kind of policies to look at.

    Returns
    -------
    int or None
        Its (trace, policy) pairs; None if the GPU was slower in the largest batch, or was not measured.
    """
    found: int | None = None
    for rate in sorted((rate for rate in rates if rate.kind == kind), key=lambda rate: -rate.n_pairs):
        if rate.cupy_per_s is None or rate.cupy_per_s < rate.cpu_per_s:
            break
        found = rate.n_pairs
    return found


def save_crossover(gpu: str, n_pairs: int | None) -> Path:
    """
    Store what `auto` goes by; what is stored of other GPUs stays.

    Parameters
    ----------
    gpu : str
        Name as `gmemgpu.engine.crossover.gpu_key` returns it.
    n_pairs : int or None
        As `crossover_pairs` returns it.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    path = store_file()
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    held = {**read_crossovers().by_gpu, gpu: Crossover(n_pairs=n_pairs, date=today)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as file:
            file.write(json.dumps(document(held), indent=1, ensure_ascii=False).encode() + b"\n")
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be written: {error.strerror}; set XDG_CACHE_HOME to a folder that you may write to"
        ) from error
    return path
