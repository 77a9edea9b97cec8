"""The requests of a hook as columns for the kernels: when, which positions, whose list of regions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gmemgpu.engine.cupy.trace_input import Columns, TraceInput
from gmemgpu.model.policy import Hook, Policy
from gmemgpu.model.trace import Int32Array, Int64Array
from gmemgpu.timeline.episode import FreeRuns
from gmemgpu.timeline.request import Requests, hook_requests

__all__ = ["RequestInput", "request_input", "request_key", "fall_requests"]

_NO_RUNS = FreeRuns(
    np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, bool), np.zeros(0, np.int64)
)


@dataclass(frozen=True, slots=True, eq=False)
class RequestInput:
    """
    Requests in time order.

    Parameters
    ----------
    columns : Columns
        By `JobField`: REQUEST_NS, REQUEST_FIRST, REQUEST_STOP, REQUEST_LIST, LIST_OFFSET, LIST_POSITION, LIST_SINCE_NS.
    n_requests : int
    n_folios : int
        Folios that the requesting events at or after the warm-up cover.
    """

    columns: Columns
    n_requests: int
    n_folios: int


def request_key(policy: Policy) -> tuple[Hook, str]:
    """Name the columns that a policy reads; policies with the same key share them."""
    return policy.hook, policy.scope if policy.scope in ("vm", "inode") else ""


def fall_requests(fall_ns: Int64Array, fall_position: Int64Array) -> RequestInput:
    """
    Return the requests of hook ``region_free``.

    Parameters
    ----------
    fall_ns, fall_position : (n,) int64
        When covered regions became free, in any order.
    """
    order = np.lexsort((fall_position, fall_ns))
    position = fall_position[order].astype(np.int32)
    return _with_lists(fall_ns[order], position, position + np.int32(1), None, 0)


def request_input(policy: Policy, trace_input: TraceInput) -> RequestInput:
    """
    Collect the requests of a policy's hook, unless that is ``region_free``, which only the timelines know.

    Parameters
    ----------
    policy : Policy
    trace_input : TraceInput
    """
    trace = trace_input.trace
    found = hook_requests(policy.hook, trace, _NO_RUNS, trace_input.covered.astype(np.int64))
    first = trace_input.n_before[found.first_region]
    stop = trace_input.n_before[found.last_region + 1]  # no extent: 0, -1, and so 0, 0
    lists = None
    if policy.scope in ("vm", "inode"):
        lists = _lists(policy, trace_input, found)
    counted = found.t_ns >= trace.warmup_ns
    return _with_lists(found.t_ns, first, stop, lists, int(found.folios[counted].sum()))


def _lists(policy: Policy, trace_input: TraceInput, found: Requests) -> tuple[Int32Array, Columns]:
    by_vm = policy.scope == "vm"
    known = trace_input.positions(trace_input.by_vm if by_vm else trace_input.by_inode)
    names = (found.vm if by_vm else found.inode).astype(np.int64)
    ids, begin = np.unique(known.ids, return_index=True)
    at = np.minimum(np.searchsorted(ids, names), max(len(ids) - 1, 0))
    there = ids[at] == names if len(ids) else np.zeros(len(names), bool)
    columns: Columns = {
        "LIST_OFFSET": np.append(begin, len(known.ids)).astype(np.int64),
        "LIST_POSITION": known.region,
        "LIST_SINCE_NS": known.since_ns,
    }
    return np.where(there, at, -1).astype(np.int32), columns


def _with_lists(
    t_ns: Int64Array, first: Int32Array, stop: Int32Array, lists: tuple[Int32Array, Columns] | None, n_folios: int
) -> RequestInput:
    whose, columns = lists or (np.zeros(0, np.int32), {})
    return RequestInput(
        {"REQUEST_NS": t_ns, "REQUEST_FIRST": first, "REQUEST_STOP": stop, "REQUEST_LIST": whose, **columns},
        len(t_ns),
        n_folios,
    )
