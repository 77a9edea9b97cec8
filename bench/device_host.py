"""
What an evaluation on the cupy engine costs the host beside CuPy's own calls, measured without a GPU.

The engine runs on the emulated CuPy of the tests. What each of its calls (functions, methods of arrays, launches,
copies, memory) takes of its thread's CPU time is subtracted: the rest is the package's own Python and NumPy, on all
threads together. Half of the traces, and one policy alone, tell what is for a batch, a trace and a pair.

    python -m bench.device_host [--traces N] [--horizon H ...] [--only small iaas copy] [--repeats N] [--save]

`copy` is the copy of whole traces into pinned memory, apart: it alone grows with events, and emulated kernels need
minutes for a whole trace and leave caches cold. Its time is that of all threads together, and by the clock.

Left out, since it needs a GPU: what CuPy itself takes to queue a call, and waiting. The calls are counted instead, and
of them those for which the host waits until the device is done; the estimate takes 9 µs for each, as seen on an H200
with 16 cores (1.7 s for 134,780 launches and copies, less some 0.5 s of host code). A call may be several launches.
What calls read and write of the device's memory is reckoned from their arrays: all of each, once. Sorts count eight
passes; of arrays that are gathered from, and searched, as much as comes out counts.
Error: time is taken twice a call, 2 µs where it was tried, and what that costs is subtracted (`meter_ns_a_call`). Where
others use the machine, two runs differed by half (187 and 303 µs a pair): compare on a quiet one. Calls and waits are
exact. Another CPU has another speed.
"""

from __future__ import annotations

import argparse
import functools
import gc
import inspect
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "emulator"))

import emulated_device  # noqa: E402
import emulated_stream  # noqa: E402
import numpy as np  # noqa: E402
import strict_array  # noqa: E402
import strict_cupy  # noqa: E402

from bench.gpu_batches import Case, thirty_policies, traces_of  # noqa: E402
from bench.hardware import record  # noqa: E402
from gmemgpu.engine.cupy.batch import evaluate_batches  # noqa: E402
from gmemgpu.engine.cupy.pieces import stage_events  # noqa: E402
from gmemgpu.engine.cupy.transfer import Arena  # noqa: E402
from gmemgpu.generator import generate  # noqa: E402
from gmemgpu.model.cost import Costs  # noqa: E402
from gmemgpu.model.policy import Policy  # noqa: E402
from gmemgpu.model.trace import Trace  # noqa: E402
from gmemgpu.units import NS_PER_S  # noqa: E402
from gmemgpu.workload.preset import preset  # noqa: E402

KINDS = ("small", "iaas", "copy")
_NO_CALLS = {"__del__", "__init__", "__enter__", "__exit__", "__len__", "empty", "get_current_stream"}
_NO_CALLS |= {"broadcast_to", "reshape", "slice", "view"}
"""Neither launch nor copy: memory comes from a pool or goes back, streams become current, arrays are seen otherwise."""
_CALL_US = 9.0
_SYNCHRONISING = {"get", "tolist", "__bool__", "__int__", "__index__", "flatnonzero", "nonzero", "synchronize", "item"}
_CALIBRATION = 200_000
_COPIES = 5
"""For each repeat of an evaluation: they are short."""
_SORT_PASSES = 8
"""Of a radix sort, eight bits at a time."""


def _size(value: Any) -> int:
    # Bytes of the arrays in it; one that is broadcast has few.
    if isinstance(value, strict_array.ndarray):
        return int(value.itemsize if 0 in value.strides else value.nbytes)
    return sum(map(_size, value)) if isinstance(value, list | tuple) else 0


def moved_bytes(name: str, arguments: Sequence[Any], result: Any) -> int:
    """Reckon what a call reads and writes of the device's memory; gathers and searches read what they give."""
    given, made = _size(tuple(arguments)), _size(result)
    if name == "__getitem__":
        flags = arguments[1].dtype == np.bool_
        return _size(arguments[1]) + (2 * made if not flags else _size(arguments[0]) + made)
    if name == "__setitem__":
        index = arguments[1]
        return _size(index) + 2 * max(_size(arguments[2]), arguments[0].itemsize * getattr(index, "size", 1))
    if name in ("sort", "argsort"):
        return _SORT_PASSES * (given + made)
    if name == "searchsorted":
        return _size(arguments[1]) + 2 * made
    if name == "flatnonzero":
        return given + 2 * 8 * arguments[0].size + made  # numbered in between
    if name == "__call__" and len(arguments) > 3:
        kernel, arrays = arguments[0].name, arguments[3]
        # Hardly any of its notes of owners is touched.
        return _size(arrays) - (_size(arrays[5]) if kernel == "region_timeline" else 0)
    return given + made


class _Depth(threading.local):
    inside = False


class Meter:
    """CPU time of the threads of an evaluation, and how much of it calls of CuPy took."""

    def __init__(self) -> None:
        self._depth = _Depth()
        self._calls: list[tuple[str, int, bool, int]] = []
        self._threads_ns: list[int] = []

    def wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Give a function whose outermost calls are noted."""
        depth, note, now = self._depth, self._calls.append, time.thread_time_ns
        waits = name in _SYNCHRONISING

        @functools.wraps(function)
        def timed(*arguments: Any, **options: Any) -> Any:
            if depth.inside:
                return function(*arguments, **options)
            depth.inside = True
            begin = now()
            result = None
            try:
                result = function(*arguments, **options)
            finally:
                if name == "__getitem__" and not getattr(arguments[1], "ndim", 0):
                    note(("slice", now() - begin, False, 0))
                else:
                    # Of an index of flags the device must say first how many are set.
                    flags = name == "__getitem__" and arguments[1].dtype == np.bool_
                    moved = moved_bytes(name, arguments, result)
                    note((name, now() - begin, waits or flags, moved))
                depth.inside = False
            return result

        return timed

    def thread(self, run: Callable[..., Any]) -> Callable[..., Any]:
        """Give a `Thread.run` whose CPU time is noted."""

        def timed(thread: threading.Thread) -> None:
            begin = time.thread_time_ns()
            try:
                run(thread)
            finally:
                self._threads_ns.append(time.thread_time_ns() - begin)

        return timed

    def measure(self, work: Callable[[], Any], repeats: int = 1) -> tuple[float, Counter[str], int, int]:
        """
        Do some work; give the host's own seconds, the calls by name, how many of them wait, and the bytes they move.

        Of repeats the fastest counts: what comes on top of it is the machine's other work.
        """
        return min((self._once(work) for _ in range(repeats)), key=lambda found: found[0])

    def _once(self, work: Callable[[], Any]) -> tuple[float, Counter[str], int, int]:
        gc.collect()
        self._calls.clear()
        self._threads_ns.clear()
        begin = time.thread_time_ns()
        work()
        spent_ns = time.thread_time_ns() - begin + sum(self._threads_ns)
        calls = self._calls.copy()
        own_ns = spent_ns - sum(call[1] for call in calls) - len(calls) * self.overhead_ns
        moved = sum(call[3] for call in calls if call[0] not in _NO_CALLS)
        return own_ns / 1e9, Counter(call[0] for call in calls), sum(call[2] for call in calls), moved

    @functools.cached_property
    def overhead_ns(self) -> float:
        """What noting a call costs outside of what is noted."""
        nothing = self.wrap("nothing", lambda *_: None)
        begin = time.thread_time_ns()
        for _ in range(_CALIBRATION):
            nothing(0, 0)
        whole = time.thread_time_ns() - begin
        inside = sum(call[1] for call in self._calls[-_CALIBRATION:])
        begin = time.thread_time_ns()
        for _ in range(_CALIBRATION):
            pass
        return (whole - inside - (time.thread_time_ns() - begin)) / _CALIBRATION


def _classes(module: Any) -> Iterator[type]:
    for value in vars(module).values():
        made = value if inspect.isclass(value) else type(value)
        if made.__module__.startswith(("strict_", "emulated_")):
            yield made


@contextmanager
def metered(cupy: Any) -> Iterator[Meter]:
    """Note all calls of a CuPy meanwhile."""
    meter = Meter()
    replaced: list[tuple[Any, str, Any]] = []

    def replace(holder: Any, name: str, function: Any) -> None:
        replaced.append((holder, name, function))
        setattr(holder, name, meter.wrap(name, function))

    holders = {*_classes(cupy), *_classes(cupy.cuda), emulated_device.Allocation, emulated_stream.Stream}
    holders.add(emulated_stream.Event)
    for holder in holders:
        for name, value in list(vars(holder).items()):
            if inspect.isfunction(value) and name != "__new__":
                replace(holder, name, value)
    for module in (cupy, cupy.cuda):
        for name, value in list(vars(module).items()):
            if inspect.isfunction(value):
                replace(module, name, value)
    try:
        with patch.object(threading.Thread, "run", meter.thread(threading.Thread.run)):
            meter.overhead_ns  # noqa: B018
            yield meter
    finally:
        for holder, name, function in reversed(replaced):
            setattr(holder, name, function)


def host_figures(
    cupy: Any, traces: Sequence[Trace], policies: Sequence[Policy], most_called: int, repeats: int = 1
) -> dict[str, Any]:
    """Evaluate traces with one policy and with all, and give what the host did."""
    few = policies[:1]
    evaluate_batches(traces[:1], policies, Costs())  # compiles, imports
    with metered(cupy) as meter:
        few_s, few_calls, few_syncs, _ = meter.measure(lambda: evaluate_batches(traces, few, Costs()), repeats)
        all_s, calls, syncs, moved = meter.measure(lambda: evaluate_batches(traces, policies, Costs()), repeats)
        half = traces[: len(traces) // 2]
        half_s, half_calls, *_ = meter.measure(lambda: evaluate_batches(half, policies, Costs()), repeats)
        overhead_ns = meter.overhead_ns
    for of in (few_calls, half_calls, calls):
        for name in _NO_CALLS:
            del of[name]
    n, n_pairs = len(traces), len(traces) * len(policies)
    pair_s = (all_s - few_s) / (n_pairs - n * len(few))
    further_s = (all_s - half_s) / (n - len(half))
    return {
        "traces": n,
        "policies": len(policies),
        "events_a_trace": sum(map(len, traces)) // n,
        "host_us_a_pair_in_all": round(1e6 * all_s / n_pairs, 1),
        "host_us_a_pair_of_each_further_trace": round(1e6 * further_s / len(policies), 1),
        "host_us_each_further_policy_of_a_trace": round(1e6 * pair_s, 1),
        "host_ms_a_batch": round(1e3 * (all_s - further_s * n), 2),
        "host_s": round(all_s, 4),
        "estimated_us_a_pair_on_a_gpu": round((1e6 * all_s + _CALL_US * calls.total()) / n_pairs, 1),
        "calls_a_batch": calls.total(),
        "calls_a_batch_of_half_the_traces": half_calls.total(),
        "calls_a_batch_of_one_policy": few_calls.total(),
        "waits_a_batch": syncs,
        "waits_a_batch_of_one_policy": few_syncs,
        "moved_kb_a_pair": round(moved / n_pairs / 1e3, 1),
        "meter_ns_a_call": round(overhead_ns),
        "most_called": dict(calls.most_common(most_called)),
    }


def copy_figures(traces: Sequence[Trace], repeats: int) -> dict[str, Any]:
    """Copy traces, and half of them, into pinned memory that is there already, and give what each further one takes."""
    arena = Arena()
    stage_events(traces, arena)

    def least_s(some: Sequence[Trace]) -> tuple[float, float]:
        spent = []
        for _ in range(repeats):
            process_s, clock_s = time.process_time(), time.perf_counter()
            stage_events(some, arena)
            spent.append((time.process_time() - process_s, time.perf_counter() - clock_s))
        cpu_s, wall_s = zip(*spent, strict=True)
        return min(cpu_s), min(wall_s)

    half = traces[: len(traces) // 2]
    n_further = len(traces) - len(half)
    cpu_s, wall_s = ((both - one) / n_further for both, one in zip(least_s(traces), least_s(half), strict=True))
    return {
        "traces": len(traces),
        "events_a_trace": sum(map(len, traces)) // len(traces),
        "copy_cpu_ms_each_further_trace": round(1e3 * cpu_s, 2),
        "copy_wall_ms_each_further_trace": round(1e3 * wall_s, 2),
    }


def _iaas(hours: float, n: int) -> list[Trace]:
    workload = preset("iaas-mixed")
    horizon_ns = round(hours * 3600 * NS_PER_S)
    update = {"horizon_ns": horizon_ns, "warmup_ns": min(workload.warmup_ns, horizon_ns // 2)}
    return [generate(workload.model_copy(update=update), seed).trace for seed in range(n)]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=int, default=16, help="in a batch")
    parser.add_argument("--horizon", type=float, nargs="+", default=[1.0, 3.0], help="hours of iaas-mixed; two or more")
    parser.add_argument("--only", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--calls", type=int, default=12, help="how many of the most frequent calls are listed")
    parser.add_argument("--repeats", type=int, default=3, help="of each measurement, of which the least counts")
    parser.add_argument("--save", action="store_true", help="keep it in bench/results")
    arguments = parser.parse_args(argv)
    policies = thirty_policies()
    figures: dict[str, Any] = {}
    with strict_cupy.installed(16 << 30) as cupy:
        if "small" in arguments.only:
            case = Case("mixed-pods", True, arguments.traces)
            traces = list(traces_of(case, range(case.n_traces)))
            figures[case.name] = host_figures(cupy, traces, policies, arguments.calls, arguments.repeats)
        if "iaas" in arguments.only:
            for hours in arguments.horizon:
                # Emulated kernels need minutes for a whole trace; the host's part grows with events.
                figures[f"iaas-mixed, {hours:g} h"] = host_figures(
                    cupy, _iaas(hours, arguments.traces), policies, arguments.calls, arguments.repeats
                )
        if "copy" in arguments.only:
            workload = preset("iaas-mixed")
            traces = _iaas(workload.horizon_ns / NS_PER_S / 3600, arguments.traces)
            figures["iaas-mixed, copied"] = copy_figures(traces, _COPIES * arguments.repeats)
    record("device-host", "python -m bench.device_host", figures, save=arguments.save)
    return 0


if __name__ == "__main__":
    sys.exit(main())
