"""The public functions behind ``import gmemgpu``: they check what they are given, then hand it on."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from gmemgpu.catalogue import choose_policies, named_policies, read_costs, read_policies, tell_doubts
from gmemgpu.engine.choice import choose_engine
from gmemgpu.engine.fallback import evaluate_with_fallback
from gmemgpu.errors import Problem, SpecError
from gmemgpu.metrics.table import MetricTable
from gmemgpu.model.cost import Costs
from gmemgpu.model.metric import METRIC_NAMES
from gmemgpu.model.policy import Policy
from gmemgpu.model.trace import Trace
from gmemgpu.toml_file import read_toml
from gmemgpu.trace.check import check_trace
from gmemgpu.trace.warn import trace_doubts
from gmemgpu.validation import validated

if TYPE_CHECKING:
    from gmemgpu.workload.spec import Workload

__all__ = ["evaluate", "generate", "policies", "presets", "read_trace"]

_SEEDS = 1 << 64

_warned: WeakSet[Trace] = WeakSet()
"""Nobody wants to hear of the same rows whenever another policy is evaluated."""


def _tell_doubts(trace: Trace, where: str) -> None:
    if trace not in _warned:
        _warned.add(trace)
        for doubt in trace_doubts(trace, where):
            warnings.warn(str(doubt), RuntimeWarning, stacklevel=3)


def read_trace(path: str | Path) -> Trace:
    """
    Read a trace and check it.

    Parameters
    ----------
    path : str or Path
        ``.parquet`` with the header in its metadata, or ``.csv`` or ``.csv.gz`` with ``<stem>.toml`` beside it.
        Columns in any order, of any integer type that fits; kinds as text, dictionary-encoded or not.

    Returns
    -------
    Trace
        A valid one.

    Raises
    ------
    TraceError
        With every problem of the file: what cannot be read, and what breaks a rule, with 1-based data rows.

    Warns
    -----
    RuntimeWarning
        Of what is doubtful, such as events past the horizon, inode ids that are used twice, folios where none can be.
        ``gmemgpu trace check`` looks at every page and finds more.

    Notes
    -----
    MODEL.md section 3.
    """
    from gmemgpu.trace.read import read_trace as read_silently  # Arrow takes longer to load than most need

    trace = read_silently(path)
    _tell_doubts(trace, str(path))
    return trace


def generate(workload: str | Path | Mapping[str, Any] | Workload, seed: int = 0) -> Trace:
    """
    Draw the trace of a workload.

    Parameters
    ----------
    workload : str, Path, mapping or Workload
        A preset's name; or a workload as a table, of which ``{"preset": "iaas-mixed", "horizon_ns": "4 d"}`` changes
        one key of a preset; or a TOML file with such a table (a path, or text that ends in ``.toml``).
    seed : int
        0 to 2**64 - 1. The same workload and seed give the same trace on every machine.

    Returns
    -------
    Trace
        The events, sorted by time, with their host and horizon.

    Raises
    ------
    SpecError
        If the workload is wrong; lists every problem.
    TraceError
        If a file that the workload reads is wrong.

    Notes
    -----
    MODEL.md section 9.
    """
    # Only here: pydantic and the distributions take longer to load than a small trace takes to evaluate.
    from gmemgpu.generator import generate as generate_trace
    from gmemgpu.workload.preset import preset, workload_from_mapping

    if not 0 <= seed < _SEEDS:
        raise SpecError(Problem("seed", f"{seed} is outside 0 to {_SEEDS - 1}"))
    if isinstance(workload, Path) or (isinstance(workload, str) and workload.endswith(".toml")):
        workload = workload_from_mapping(read_toml(workload), str(workload), Path(workload).parent)
    elif isinstance(workload, str):
        workload = preset(workload)
    elif isinstance(workload, Mapping):
        workload = workload_from_mapping(workload, "workload", Path())
    return generate_trace(workload, seed).trace


def presets() -> dict[str, Workload]:
    """
    Return the workloads that ship with the package.

    Returns
    -------
    dict of str to Workload
        By name; `generate` takes either.
    """
    from gmemgpu.workload.preset import preset, preset_names

    return {name: preset(name) for name in preset_names()}


def policies() -> dict[str, Policy]:
    """
    Return the policies that ship with the package.

    Returns
    -------
    dict of str to Policy
        By name, the oracle last; `evaluate` takes either.
    """
    return {policy.name: policy for policy in named_policies()}


def _policies(
    policies: str | Path | Policy | Mapping[str, Any] | Iterable[str | Policy | Mapping[str, Any]] | None,
) -> tuple[Policy, ...]:
    if isinstance(policies, Path) or (isinstance(policies, str) and policies.endswith(".toml")):
        return choose_policies(None, read_policies(policies))
    if isinstance(policies, str | Policy | Mapping):
        policies = [policies]
    return choose_policies(policies, named_policies())


def _costs(costs: Costs | Mapping[str, Any] | str | Path | None) -> Costs:
    if isinstance(costs, str | Path):
        return read_costs(costs)
    return validated(Costs, {} if costs is None else costs, "costs")


def evaluate(
    trace: Trace,
    policies: str | Path | Policy | Mapping[str, Any] | Iterable[str | Policy | Mapping[str, Any]] | None = None,
    *,
    costs: Costs | Mapping[str, Any] | str | Path | None = None,
    backend: str = "auto",
    strict: bool = False,
) -> MetricTable:
    """
    Compute what every policy costs and recovers on a trace.

    Parameters
    ----------
    trace : Trace
        From `gmemgpu.read_trace` or `gmemgpu.generate`, or made by hand; it is checked first.
    policies : str, Path, Policy, mapping or iterable of str, Policy and mapping, optional
        Names of the package's policies, policies of one's own (each a `Policy`, or a mapping of its fields such as
        ``{"name": "mine", "hook": "vm_destroy", "timer": "fixed(1 s)"}``), or a policies file (a path, or text that
        ends in ``.toml``). All of the package's, the oracle last, if left out.
    costs : Costs, mapping, str or Path, optional
        A cost table, a mapping of those costs that differ from the defaults, or a costs file. The defaults if left
        out.
    backend : str
        ``auto`` (the fastest for a batch of this size, as measured by ``gmemgpu bench``), or an engine's name. All
        engines give the same integers.
    strict : bool
        Refuse policies whose requests can name nothing that their scope visits; otherwise a warning tells of them.

    Returns
    -------
    MetricTable
        One row a policy: ``policy``, then every metric of MODEL.md section 7.

    Raises
    ------
    TraceError
        If the trace breaks a rule; lists all rows that do.
    SpecError
        If a policy or a cost is unknown or unsound (lists all), or the engine is unknown.
    BackendError
        If the engine cannot run here; `DeviceLost` if its device fails in mid-work.

    Warns
    -----
    RuntimeWarning
        If ``auto`` took a device that failed, so that numpy did the work; of policies whose requests can name nothing
        that their scope visits; and of what is doubtful in a trace that was not read by `gmemgpu.read_trace`.

    Examples
    --------
    >>> import gmemgpu
    >>> trace = gmemgpu.read_trace("t.parquet")  # doctest: +SKIP
    >>> gmemgpu.evaluate(trace, ["v10", "oracle"])["never"]  # doctest: +SKIP
    [12, 0]
    """
    chosen, table = _policies(policies), _costs(costs)
    tell_doubts(chosen, "policies", strict=strict)
    choice = choose_engine(backend, n_pairs=len(chosen), n_events=len(trace))
    check_trace(trace)
    _tell_doubts(trace, "trace")
    if choice.reason is None:
        (rows,) = choice.engine.evaluate([trace], chosen, table)
    else:
        found = evaluate_with_fallback(choice.engine.name, lambda _: [trace], chosen, table, auto=True)
        (rows,) = found.rows
        if found.failure is not None:
            warnings.warn(f"numpy did the work of {choice.engine.name}: {found.failure}", RuntimeWarning, stacklevel=2)
    return MetricTable.from_rows(
        {"policy": policy.name, **{name: row[name] for name in METRIC_NAMES}}
        for policy, row in zip(chosen, rows, strict=True)
    )
