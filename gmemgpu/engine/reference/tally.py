"""Counts of requests, passes and attempts (MODEL.md section 7)."""

from __future__ import annotations

from collections.abc import Sequence

from gmemgpu.engine.reference.hook import Request
from gmemgpu.engine.reference.scan import Attempt
from gmemgpu.model.metric import MetricRow

__all__ = ["Tally"]

_COUNTED = (
    "requests",
    "requests_lost",
    "request_folios",
    "requests_hazard",
    "passes",
    "passes_empty",
    "passes_skipped",
    "passes_hazard",
    "attempts",
    "attempts_new",
    "attempts_cached",
    "attempts_failed",
    "attempts_wasted",
    "attempts_early",
    "rmpopts",
    "ipis",
    "scan_wall_ns",
    "pass_wall_max_ns",
    "leader_busy_ns",
    "follower_busy_ns",
    "rmp_bytes_read",
)


class Tally:
    """
    What a policy did from the warm-up on.

    Requests count by their time, everything of a pass (empty and skipped ones too) by the pass's start.

    Parameters
    ----------
    warmup_ns : int
        What happens before does not count.

    Attributes
    ----------
    row : MetricRow
        Counts of requests, passes and attempts.
    """

    def __init__(self, warmup_ns: int) -> None:
        self._warmup_ns = warmup_ns
        self.row: MetricRow = dict.fromkeys(_COUNTED, 0)

    def request(self, request: Request, *, lost: bool, hazard: bool) -> None:
        """
        Count a hook's firing; lost ones are requests too.

        Parameters
        ----------
        request : Request
            The firing.
        lost : bool
            Whether a running pass dropped it.
        hazard : bool
            Whether SNP was shutting down or KVM unloaded.
        """
        if request.t_ns >= self._warmup_ns:
            self.row["requests"] += 1
            self.row["requests_lost"] += lost
            self.row["request_folios"] += request.n_folios
            self.row["requests_hazard"] += hazard

    def skipped_pass(self, start_ns: int) -> None:
        """
        Count a pass that did not run because SNP was off.

        Parameters
        ----------
        start_ns : int
            When it would have started.
        """
        self.row["passes_skipped"] += start_ns >= self._warmup_ns

    def empty_pass(self, start_ns: int) -> None:
        """
        Count a pass left with no region: neither a pass nor, having run nothing, a hazard.

        Parameters
        ----------
        start_ns : int
            When it would have started.
        """
        self.row["passes_empty"] += start_ns >= self._warmup_ns

    def scan_pass(self, start_ns: int, attempts: Sequence[Attempt], *, hazard: bool) -> None:
        """
        Count a pass and its attempts.

        Parameters
        ----------
        start_ns : int
            When it started.
        attempts : sequence of Attempt
            At least one, in order.
        hazard : bool
            Whether SNP was shutting down during the pass.
        """
        if start_ns < self._warmup_ns:
            return
        row = self.row
        wall_ns = attempts[-1].end_ns - start_ns
        row["passes"] += 1
        row["passes_hazard"] += hazard
        row["scan_wall_ns"] += wall_ns
        row["pass_wall_max_ns"] = max(row["pass_wall_max_ns"], wall_ns)
        for attempt in attempts:
            row["attempts"] += 1
            row[f"attempts_{attempt.outcome}"] += 1
            row["attempts_early"] += attempt.early
            row["rmpopts"] += attempt.cost.n_ipis + 1
            row["ipis"] += attempt.cost.n_ipis
            row["leader_busy_ns"] += attempt.cost.leader_busy_ns
            row["follower_busy_ns"] += attempt.cost.follower_busy_ns
            row["rmp_bytes_read"] += attempt.cost.rmp_bytes
