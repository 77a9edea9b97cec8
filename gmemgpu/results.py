"""The results of a sweep in Python: rows, comparisons, the decision, and how far it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import wraps
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

from gmemgpu.decision.decision import Decision, decide
from gmemgpu.decision.sentence import headline
from gmemgpu.decision.text import decision_lines
from gmemgpu.html_table import html_table
from gmemgpu.report.comparison import ComparisonTable, compare
from gmemgpu.report.comparison_text import comparison_lines
from gmemgpu.sweeping.run.sweep import SweepResult
from gmemgpu.sweeping.run.sweep import sweep as run_sweep
from gmemgpu.sweeping.store.manifest import read_manifest
from gmemgpu.sweeping.store.read import read_rows
from gmemgpu.sweeping.store.status import SweepStatus, read_status

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Results", "Compared", "Decided", "open_results", "sweep"]

P = ParamSpec("P")


class _Printed:
    # In a notebook as on a terminal.
    __slots__ = ()

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


class Compared(_Printed, ComparisonTable):
    """Policies beside a baseline, to be printed."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<Compared: {len(self.groups)} groups of {self.name} with {self.baseline}; print() shows them>"

    def __str__(self) -> str:
        return "\n".join(comparison_lines(self))


class Decided(_Printed, Decision):
    """Which policy to take, to be printed."""

    __slots__ = ()

    @property
    def sentence(self) -> str:
        """The answer over all groups."""
        return headline(self)

    def __repr__(self) -> str:
        return f"<Decided: {self.sentence}>"

    def __str__(self) -> str:
        return "\n".join(decision_lines(self))


def _fields(found: Decision | ComparisonTable) -> dict[str, Any]:
    return {field.name: getattr(found, field.name) for field in fields(found)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Results(SweepResult):
    """
    A results directory, finished or not: what `gmemgpu.sweep` and `gmemgpu.open_results` return.

    Parameters
    ----------
    directory : Path
        The store.
    n_rows : int
        One for each (scenario, seed, policy) of the whole sweep.
    n_computed : int
        Rows that this call computed.
    fallback : Fallback or None
        As of `SweepResult`.
    checked : Checked
        As of `SweepResult`.
    """

    def status(self) -> SweepStatus:
        """Return how far the sweep is, who works on it and what failed."""
        return read_status(self.directory)

    def to_arrow(self) -> pa.Table:
        """Return all rows that are there: scenario columns, seed, policy, facts of the trace, every metric."""
        return read_rows(self.directory).table

    def table(self, *, exact: bool = False) -> pa.Table:
        """
        Return one row for each (scenario, seed, policy) that is there.

        Parameters
        ----------
        exact : bool
            The metrics as exact integers and decimals, in place of quantities.

        Returns
        -------
        pyarrow.Table
            Label, preset, axes, seed and policy, then a float64 column for each figure of `gmemgpu help metrics`:
            shares 0 to 1, times in the unit of the key, not a number where there is none.
        """
        if exact:
            return self.to_arrow()
        from gmemgpu.report.row_quantities import row_quantities

        return row_quantities(read_rows(self.directory))

    def compare(
        self,
        baseline: str | None = None,
        *,
        group_by: Sequence[str] = (),
        policies: Sequence[str] = (),
        quantities: Sequence[str] = (),
    ) -> Compared:
        """
        Compare policies with one of them, on the same traces.

        Parameters
        ----------
        baseline : str, optional
            A policy; ``merged`` if left out, else ``v10``, else the first.
        group_by : sequence of str
            ``label``, ``preset``, or axes; each scenario by itself if left out.
        policies : sequence of str
            Which to compare; all but the oracle if left out.
        quantities : sequence of str
            Keys or header words; coverage, benefit, never and core-s if left out.

        Returns
        -------
        Compared
            Of what the directory holds now; ``print`` shows it as ``gmemgpu show --baseline`` does.
        """
        found = compare(self.directory, baseline=baseline, group_by=group_by, policies=policies, quantities=quantities)
        return Compared(**_fields(found))

    def decide(
        self,
        baseline: str | None = None,
        *,
        group_by: Sequence[str] = (),
        policies: Sequence[str] = (),
        cost: str = "core_s",
        worth: float | None = None,
        share: float | None = None,
    ) -> Decided:
        """
        Find which policy to take, for every worth of a set bit.

        Parameters
        ----------
        baseline : str, optional
            As for `compare`.
        group_by, policies : sequence of str
            As for `compare`.
        cost : {"core_s", "ipis", "longest_pass"}
            What to count as cost.
        worth, share : float, optional
            Of a set bit, for the sentence: in core-seconds for each GiB·h, or as a share of CPU, 0 to 1.

        Returns
        -------
        Decided
            Of what the directory holds now; ``print`` shows it as ``gmemgpu decide`` does.
        """
        found = decide(
            self.directory,
            baseline=baseline,
            group_by=group_by,
            policies=policies,
            cost=cost,
            worth=worth,
            share=share,
        )
        return Decided(**_fields(found))

    def _repr_html_(self) -> str:
        found = self.status()
        rows = [
            ("done", f"{found.n_done:,} of {found.n_parts:,} parts"),
            ("rows", f"{found.n_rows:,}"),
            ("failed", f"{len(found.failures):,}"),
            ("merged", "yes" if found.is_merged else "no"),
        ]
        return html_table([found.name, str(self.directory)], rows, left=2)


def open_results(directory: str | Path) -> Results:
    """
    Open the results directory of a sweep, finished or not.

    Parameters
    ----------
    directory : str or Path
        Of a sweep.

    Returns
    -------
    Results
        Its rows are read when asked for.

    Raises
    ------
    DirectoryError
        If it holds no sweep.
    """
    return Results(directory=Path(directory), n_rows=read_manifest(directory).n_rows, n_computed=0)


def _with_results(run: Callable[P, SweepResult]) -> Callable[P, Results]:
    # `sweeping` knows nothing of reports, which need it.
    @wraps(run)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Results:
        found = run(*args, **kwargs)
        return Results(
            directory=found.directory,
            n_rows=found.n_rows,
            n_computed=found.n_computed,
            fallback=found.fallback,
            checked=found.checked,
        )

    return wrapped


sweep = _with_results(run_sweep)
"""Run a sweep, and return its `Results`; see `gmemgpu.sweeping.run.sweep.sweep`."""
