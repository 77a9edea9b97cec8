"""The results of a sweep in Python: rows, comparisons, the decision, and how far it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gmemgpu.decision.decision import Decision, decide
from gmemgpu.decision.sentence import headline
from gmemgpu.decision.text import decision_lines
from gmemgpu.errors import Problem, SpecError
from gmemgpu.html_table import html_table
from gmemgpu.report.comparison import ComparisonTable, compare
from gmemgpu.report.comparison_text import comparison_lines
from gmemgpu.sweeping.run.sweep import SweepResult
from gmemgpu.sweeping.run.sweep import sweep as run_sweep
from gmemgpu.sweeping.store.manifest import read_manifest
from gmemgpu.sweeping.store.read import read_rows
from gmemgpu.sweeping.store.status import SweepStatus, read_status
from gmemgpu.until import DEFAULT_MAX_SEEDS, sweep_until

if TYPE_CHECKING:
    import pyarrow as pa
    from distributed import Client

    from gmemgpu.sweeping.run.outcome import OnError
    from gmemgpu.sweeping.run.progress import Listener
    from gmemgpu.sweeping.run.sweep import Opening

__all__ = ["Results", "Compared", "Decided", "open_results", "sweep"]


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
        cost : {"core_s", "ipis", "longest_pass_ns"}
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


def sweep(
    spec: str | Path | Mapping[str, Any],
    directory: str | Path,
    client: Client | Opening | None = None,
    *,
    until: str | None = None,
    baseline: str | None = None,
    max_seeds: int | None = None,
    backend: str | None = None,
    workers: int | None = None,
    progress: Listener | None = None,
    on_error: OnError = "stop",
    retries: int = 2,
    take_over: bool = False,
    strict: bool = False,
) -> Results:
    """
    Evaluate every policy of a spec on every scenario and seed.

    A script calls this under ``if __name__ == "__main__":``, since worker processes import the script.

    Parameters
    ----------
    spec : str, Path or mapping
        A TOML file, or the same as a mapping.
    directory : str or Path
        Where results go. Parts of the same sweep that it holds are kept; a finished sweep costs nothing.
    client : distributed.Client or callable, optional
        Of any Dask cluster whose workers see `directory` and have the same gmemgpu; or a function that opens one, as a
        context manager, which is called only if there is something to compute. If left out: a cluster of processes on
        this machine, encrypted, for the time of the call.
    until : str, optional
        Add seeds until every policy differs from the baseline by an amount that is known so well, half of a 95 %
        interval, as in ``"regret: 0.1 %"`` or ``"latency p99: 5 s"``; the spec's number of seeds is the least then.
    baseline : str, optional
        With `until`, the policy that the others are held against; ``merged`` if left out, else ``v10``, else the first.
    max_seeds : int, optional
        With `until`, where to end in any case; 64 if left out.
    backend : str, optional
        Engine, in place of the spec's. With a client ``auto`` takes no GPU: what workers have is not seen from here.
    workers : int, optional
        Processes on this machine. If left out: one a core, or one a GPU if the engine runs on GPUs.
    progress : callable, optional
        Called with each `SweepEvent`, from this thread; `gmemgpu.ProgressBar()` draws a bar, in notebooks too.
    on_error : {"stop", "continue"}
        What to do when a shard fails for good.
    retries : int
        How often a shard is tried again that failed, or whose worker died.
    take_over : bool
        Go on although another client seems to hold the directory.
    strict : bool
        Refuse policies whose requests can name nothing that their scope visits; otherwise a warning tells of them.

    Returns
    -------
    Results
        Its rows are read when asked for; ``status().until`` tells how precise they are.

    Raises
    ------
    SpecError
        If the spec or an argument is wrong; lists every problem.
    BackendError
        If the engine cannot run here.
    DirectoryError
        If `directory` holds another sweep or other files, or another client works on it.
    StoreError
        If `directory` cannot be written.
    InputError, ShardError
        If a shard fails and `on_error` is "stop"; parts that were finished stay.
    ShardsFailed
        At the end, if shards failed and `on_error` is "continue".
    GmemgpuError
        If no worker can be had, the scheduler is lost, or workers elsewhere see another directory or run other code.
    KeyboardInterrupt
        Parts that were being computed had some seconds to end; call again to go on.

    Examples
    --------
    ::

        import gmemgpu

        if __name__ == "__main__":
            gmemgpu.sweep("jobs/quickstart.toml", "results/quickstart")
    """
    asked = {"baseline": baseline, "max_seeds": max_seeds}
    if until is None and (useless := [name for name, value in asked.items() if value is not None]):
        raise SpecError(Problem(name, "is about until, which is missing") for name in useless)
    options: dict[str, Any] = {
        "backend": backend,
        "workers": workers,
        "progress": progress,
        "on_error": on_error,
        "retries": retries,
        "take_over": take_over,
        "strict": strict,
    }
    if until is None:
        found = run_sweep(spec, directory, client, **options)
    else:
        most = DEFAULT_MAX_SEEDS if max_seeds is None else max_seeds
        found, _ = sweep_until(spec, directory, client, until=until, baseline=baseline, max_seeds=most, **options)
    return Results(**{field.name: getattr(found, field.name) for field in fields(found)})
