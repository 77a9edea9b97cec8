"""The record of one policy on one trace: its requests, its passes, their visits, and when each bit was set."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from gmemgpu.explain.prepared import Prepared
from gmemgpu.explain.visit import Visitor, Visits
from gmemgpu.model.policy import Policy
from gmemgpu.model.trace import BoolArray, Int8Array, Int32Array, Int64Array
from gmemgpu.timeline.request import Requests

__all__ = ["Cause", "EpisodeLog", "Fate", "PassLog", "PassState", "RequestLog", "RunRecord"]


class Fate(IntEnum):
    """What the timer did with a request."""

    ARMED = 0
    """No timer was pending: it was set."""
    MOVED = 1
    """The pending timer was put off (``debounce``)."""
    JOINED = 2
    """It joined the pass that was pending, and moved nothing."""
    LOST = 3
    """It came while a pass ran, and the policy drops such requests."""


class Cause(IntEnum):
    """What made a pass due."""

    BOOT = 0
    """The start of the trace, or a ``snp_init``."""
    REQUESTS = 1
    CLOCK = 2
    """A ``periodic`` timer."""


class PassState(IntEnum):
    """Whether a pass that was due ran."""

    RAN = 0
    EMPTY = 1
    """No region was left by scope, gate and coverage; it ended at once."""
    SKIPPED = 2
    """SNP was off."""


@dataclass(frozen=True, slots=True, eq=False)
class RequestLog:
    """
    The requests of a run, in the order in which they were handled.

    Parameters
    ----------
    made : Requests
        When, by which event, for which VM, inode and regions.
    fate : (n,) int8
        A `Fate`.
    due_ns : (n,) int64
        When the pass was due after this request; -1 for a lost one.
    scan_pass : (n,) int64
        The pass that it was spent on; -1 for a lost one, and for those whose pass never started before the horizon.
    """

    made: Requests
    fate: Int8Array
    due_ns: Int64Array
    scan_pass: Int64Array

    def __len__(self) -> int:
        return len(self.fate)


@dataclass(frozen=True, slots=True, eq=False)
class PassLog:
    """
    The passes of a run, empty and skipped ones too, by start.

    Parameters
    ----------
    due_ns, start_ns, end_ns : (n,) int64
        It starts later than it is due if another pass runs then. Empty and skipped ones end as they start.
    cause, state : (n,) int8
        A `Cause`, a `PassState`.
    n_requests : (n,) int64
        Requests that were spent on it.
    new, cached, failed, wasted : (n,) int64
        Visits by outcome.
    early : (n,) int64
        Those among the failed that met pages of an inode under eviction.
    """

    due_ns: Int64Array
    start_ns: Int64Array
    end_ns: Int64Array
    cause: Int8Array
    state: Int8Array
    n_requests: Int64Array
    new: Int64Array
    cached: Int64Array
    failed: Int64Array
    wasted: Int64Array
    early: Int64Array

    def __len__(self) -> int:
        return len(self.start_ns)


@dataclass(frozen=True, slots=True, eq=False)
class EpisodeLog:
    """
    All free episodes of a trace, by region, then time, and what a run made of them.

    Parameters
    ----------
    region : (n,) int32
        Index of the region; those that no pass can visit, and those in holes, are among them.
    begin_ns, end_ns : (n,) int64
        Half open; one that lasts ends at the horizon.
    fresh : (n,) bool
        Whether it began with SNP itself.
    counted : (n,) bool
        Whether it is one of the metric ``episodes``: covered, not fresh, not begun in the warm-up.
    set_ns : (n,) int64
        When its bit was set; -1 if never.
    set_pass : (n,) int64
        By which pass; -1 if by none.
    """

    region: Int32Array
    begin_ns: Int64Array
    end_ns: Int64Array
    fresh: BoolArray
    counted: BoolArray
    set_ns: Int64Array
    set_pass: Int64Array

    def __len__(self) -> int:
        return len(self.region)


@dataclass(frozen=True, slots=True, eq=False)
class RunRecord:
    """
    Everything that one policy did on one trace.

    Parameters
    ----------
    prepared : Prepared
        The trace and its timeline.
    policy : Policy
        What ran.
    requests : RequestLog
        What asked for passes.
    passes : PassLog
        What ran.
    episodes : EpisodeLog
        What came of it.
    targets : tuple of (m,) int64
        The regions of each pass, ascending; none for those that did not run.
    visitor : Visitor
        Looks up what a pass finds.
    """

    prepared: Prepared
    policy: Policy
    requests: RequestLog
    passes: PassLog
    episodes: EpisodeLog
    targets: tuple[Int64Array, ...]
    visitor: Visitor

    def visits(self, scan_pass: int) -> Visits:
        """
        Compute what one pass found, region by region; the record would be too large with all of them in it.

        Parameters
        ----------
        scan_pass : int
            Its index in `passes`.

        Returns
        -------
        Visits
            In the order of the visits.
        """
        start_ns = int(self.passes.start_ns[scan_pass])
        return self.visitor.visits(self.targets[scan_pass], start_ns, self.episodes.set_pass, scan_pass)

    def requests_of(self, scan_pass: int) -> Int64Array:
        """
        Return the requests that one pass was spent on.

        Parameters
        ----------
        scan_pass : int
            Its index in `passes`.

        Returns
        -------
        (m,) int64
            Their indices in `requests`, ascending.
        """
        return np.flatnonzero(self.requests.scan_pass == scan_pass)
