"""(trace, policy) pairs on the device: tables and scratch, in as many launches as memory asks for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gmemgpu.engine.class_code import CodeCosts, code_costs
from gmemgpu.engine.cupy.defines import THREADS, GroupField, JobField, OutField
from gmemgpu.engine.cupy.kernel import launch
from gmemgpu.engine.cupy.policy_table import attempt_lengths, keeps_lost, kernel_of, policy_table
from gmemgpu.engine.cupy.request_input import RequestInput, fall_requests, request_key
from gmemgpu.engine.cupy.resident import Resident
from gmemgpu.engine.cupy.transfer import DeviceColumns, aligned, packed_bytes
from gmemgpu.errors import BackendError
from gmemgpu.model.cost import Costs
from gmemgpu.model.policy import Executor, Policy
from gmemgpu.model.trace import Int64Array

__all__ = ["Pair", "PairRun", "PairRuns", "pair_bytes", "run_pairs"]


@dataclass(frozen=True, slots=True)
class Pair:
    """One policy on one trace, by index."""

    trace: int
    policy: int


@dataclass(frozen=True, slots=True, eq=False)
class PairRun:
    """
    What the device found for one pair.

    Parameters
    ----------
    out : (len(OutField),) int64
    groups : (n_groups, len(GroupField)) int64
    n_folios : int
        Of the policy's requests.
    code_costs : CodeCosts
        To turn counts of attempts into costs.
    """

    out: Int64Array
    groups: Int64Array
    n_folios: int
    code_costs: CodeCosts


@dataclass(frozen=True, slots=True, eq=False)
class PairRuns:
    """
    What the device found for the pairs of a batch.

    Parameters
    ----------
    by_pair : dict of Pair to PairRun
    predicted_bytes : int
        Of device memory at most, beside that of the timelines.
    """

    by_pair: dict[Pair, PairRun]
    predicted_bytes: int


def _scratch(policy: Policy, resident: Resident, n_requests: int) -> dict[str, int]:
    # Bytes of each scratch area, by `JobField`.
    n = resident.input.n_positions
    window = kernel_of(policy) == "evaluate_window"
    return {
        "BIT_END_NS": 8 * n,
        "CURSOR": 4 * n,
        "MEMBERS": -(-n // 32) * 4,
        "LATENCY_NS": 8 * resident.n_falls,
        **({"CODE": 2 * n} if window else {}),
        **({"LOST": -(-n_requests // 32) * 4} if keeps_lost(policy) else {}),
    }


def _out_size(resident: Resident) -> int:
    return len(OutField) + len(resident.input.core_counts) * len(GroupField)


def pair_bytes(policy: Policy, resident: Resident, n_requests: int) -> int:
    """Return the device memory of one pair while it is evaluated; the timelines of its trace are there already."""
    scratch = sum(map(aligned, _scratch(policy, resident, n_requests).values()))
    return scratch + 8 * (_out_size(resident) + 2 * len(JobField))  # its row is in two tables


class _Batch:
    # All that the pairs of a batch share on the device.

    def __init__(self, residents: Sequence[Resident], policies: Sequence[Policy], costs: Costs, stream: Any) -> None:
        self.residents = residents
        self.policies = policies
        self.stream = stream
        self.falls: dict[int, tuple[RequestInput, DeviceColumns]] = {}
        if any(policy.hook == "region_free" for policy in policies):
            for i, resident in enumerate(residents):
                found = fall_requests(*resident.falls(stream))
                self.falls[i] = found, DeviceColumns(found.columns, stream)
        self.costs: dict[tuple[Executor, int], CodeCosts] = {}
        lengths: dict[str, Int64Array] = {}
        for i, resident in enumerate(residents):
            for executor in {policy.executor for policy in policies}:
                threads_per_core = resident.input.trace.host.threads_per_core
                priced = code_costs(executor, costs, resident.input.core_counts, threads_per_core)
                self.costs[executor, i] = priced
                lengths[f"{executor} {i}"] = attempt_lengths(priced)
        self.lengths = DeviceColumns(lengths, stream)
        traces = np.stack([resident.fields for resident in residents])
        self.shared_bytes = packed_bytes(lengths) + sum(packed_bytes(found.columns) for found, _ in self.falls.values())
        self.tables = DeviceColumns(
            {"traces": traces.view(np.uint64), "policies": policy_table(policies).view(np.uint64)}, stream
        )

    def requests(self, pair: Pair) -> tuple[RequestInput, DeviceColumns]:
        policy, resident = self.policies[pair.policy], self.residents[pair.trace]
        if policy.hook == "region_free":
            return self.falls[pair.trace]
        key = request_key(policy)
        return resident.requests[key], resident.request_columns[key]

    def effort(self, pair: Pair) -> float:
        # How long a pair may take, to begin with the longest: its passes, and how many regions each of them looks at.
        policy, found = self.policies[pair.policy], self.residents[pair.trace].input
        n = self.requests(pair)[0].n_requests
        if policy.timer.kind == "periodic":
            n += found.trace.horizon_ns // policy.timer.delay_ns
        per_pass = found.n_positions / THREADS["WINDOW"] if kernel_of(policy) == "evaluate_window" else 1
        return n * max(per_pass, 1)

    def bytes(self, pair: Pair) -> int:
        policy, resident = self.policies[pair.policy], self.residents[pair.trace]
        return pair_bytes(policy, resident, self.requests(pair)[0].n_requests)


def _portions(batch: _Batch, budget_bytes: int) -> Iterator[list[Pair]]:
    # Lists of pairs that fit the device one after another, the longest pairs first.
    pairs = [Pair(i, j) for i in range(len(batch.residents)) for j in range(len(batch.policies))]
    pairs.sort(key=batch.effort, reverse=True)
    portion: list[Pair] = []
    room = budget_bytes
    for pair in pairs:
        n_bytes = batch.bytes(pair)
        if n_bytes > budget_bytes:
            raise BackendError(
                f'backend "cupy": one policy on this trace needs {n_bytes} bytes on the device, and {budget_bytes} are '
                "free; take numpy, or a device with more memory"
            )
        if n_bytes > room:
            yield portion
            portion, room = [], budget_bytes
        portion.append(pair)
        room -= n_bytes
    if portion:
        yield portion


def run_pairs(
    residents: Sequence[Resident], policies: Sequence[Policy], costs: Costs, budget_bytes: int, stream: Any
) -> PairRuns:
    """
    Evaluate every policy on every trace of a batch.

    Parameters
    ----------
    residents : sequence of Resident
        With their timelines.
    policies : sequence of Policy
        Without the oracle.
    costs : Costs
    budget_bytes : int
        Device memory for pairs; if they need more, they go one portion after another.
    stream : cupy.cuda.Stream

    Returns
    -------
    PairRuns

    Raises
    ------
    BackendError
        If a single pair does not fit.
    """
    if not policies:
        return PairRuns({}, 0)
    batch = _Batch(residents, policies, costs, stream)
    runs: dict[Pair, PairRun] = {}
    most_bytes = 0
    for portion in _portions(batch, max(budget_bytes - batch.shared_bytes, 0)):
        most_bytes = max(most_bytes, sum(map(batch.bytes, portion)))
        runs |= _run_portion(batch, portion)
    return PairRuns(runs, batch.shared_bytes + most_bytes)


def _run_portion(batch: _Batch, portion: Sequence[Pair]) -> dict[Pair, PairRun]:
    import cupy

    stream = batch.stream
    # One area for all scratch, one for all that comes back.
    jobs = np.zeros((len(portion), len(JobField)), np.int64)
    out_at = np.zeros(len(portion) + 1, np.int64)
    scratch_bytes = 0
    for row, (i, pair) in zip(jobs, enumerate(portion), strict=True):
        policy, resident = batch.policies[pair.policy], batch.residents[pair.trace]
        requests, columns = batch.requests(pair)
        row[JobField.TRACE], row[JobField.POLICY] = pair.trace, pair.policy
        row[JobField.N_REQUESTS] = requests.n_requests
        row[JobField.LENGTHS] = batch.lengths.address(f"{policy.executor} {pair.trace}")
        for name, address in columns.addresses().items():
            row[JobField[name]] = address
        for name, n_bytes in _scratch(policy, resident, requests.n_requests).items():
            row[JobField[name]] = scratch_bytes  # moved below, once the area has an address
            scratch_bytes += aligned(n_bytes)
        out_at[i + 1] = out_at[i] + _out_size(resident)
    with stream:
        scratch = cupy.empty(max(scratch_bytes, 1), np.uint8)
        out = cupy.zeros(int(out_at[-1]), np.int64)
    for row, (i, pair) in zip(jobs, enumerate(portion), strict=True):
        policy, resident = batch.policies[pair.policy], batch.residents[pair.trace]
        for name in _scratch(policy, resident, int(row[JobField.N_REQUESTS])):
            row[JobField[name]] += scratch.data.ptr
        row[JobField.OUT] = out.data.ptr + 8 * out_at[i]
    _launch(batch, portion, jobs)
    with stream:
        found = out.get()
    runs = {}
    for i, pair in enumerate(portion):
        policy = batch.policies[pair.policy]
        mine = found[out_at[i] : out_at[i + 1]]
        runs[pair] = PairRun(
            out=mine[: len(OutField)],
            groups=mine[len(OutField) :].reshape(-1, len(GroupField)),
            n_folios=batch.requests(pair)[0].n_folios,
            code_costs=batch.costs[policy.executor, pair.trace],
        )
    return runs


def _launch(batch: _Batch, portion: Sequence[Pair], jobs: Int64Array) -> None:
    import cupy

    stream = batch.stream
    window = np.array([kernel_of(batch.policies[pair.policy]) == "evaluate_window" for pair in portion])
    # Both kernels at a time: neither fills the device by itself towards its end.
    rows = jobs.view(np.uint64)
    tables = DeviceColumns({"few": rows[~window], "window": rows[window], "all": rows}, stream)
    shared = batch.tables.array("traces"), batch.tables.array("policies")
    side = cupy.cuda.Stream(non_blocking=True)
    side.wait_event(stream.record())
    launch("evaluate_window", int(window.sum()), THREADS["WINDOW"], (*shared, tables.array("window")), stream)
    launch("evaluate_few", int((~window).sum()), THREADS["FEW"], (*shared, tables.array("few")), side)
    stream.wait_event(side.record())
    launch("latency_ranks", len(jobs), THREADS["RANKS"], (tables.array("all"),), stream)
    stream.synchronize()
