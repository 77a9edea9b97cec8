"""A run as JSON, every request, pass, visit and episode."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TextIO

import numpy as np

from gmemgpu.explain.episode_fate import episode_counts
from gmemgpu.explain.missed import MissFinder
from gmemgpu.explain.record import Cause, Fate, PassState, RunRecord
from gmemgpu.explain.visit import VisitOutcome
from gmemgpu.model.event import Kind

__all__ = ["write_run"]


def write_run(record: RunRecord, file: TextIO, *, region: int | None = None, t_ns: int | None = None) -> None:
    """
    Write a run, an item at a time: a long one has more visits than fit the memory as text.

    Parameters
    ----------
    record : RunRecord
        One policy on one trace; not the oracle.
    file : TextIO
        Receives one JSON object.
    region : int, optional
        Visits and episodes of this region alone.
    t_ns : int, optional
        The passes before and after this time alone, and the requests that came until then or were spent on them; the
        episodes that hold it.
    """
    passes, requests, episodes = record.passes, record.requests, record.episodes
    scan_passes, made, held = np.arange(len(passes)), np.arange(len(requests)), np.arange(len(episodes))
    if region is not None:
        held = held[episodes.region == region]
    if t_ns is not None:
        n_begun = int(np.searchsorted(passes.start_ns, t_ns, "right"))
        scan_passes = scan_passes[max(n_begun - 1, 0) : n_begun + 1]
        unspent = (requests.scan_pass < 0) & (requests.made.t_ns <= t_ns)
        made = made[np.isin(requests.scan_pass, scan_passes) | unspent]
        held = held[(episodes.begin_ns[held] <= t_ns) & (t_ns < episodes.end_ns[held])]
    counts = {fate.name.lower(): n for fate, n in episode_counts(record).items()}
    head = {"policy": record.policy.name, "horizon_ns": record.prepared.horizon_ns, **counts}
    file.write(json.dumps(head, ensure_ascii=True)[:-1])
    for name, items in (
        ("requests", (_request(record, i) for i in made.tolist())),
        ("passes", (_pass(record, k, region) for k in scan_passes.tolist())),
        ("episodes", _episodes(record, held.tolist())),
    ):
        file.write(f', "{name}": [')
        for i, item in enumerate(items):
            file.write(",\n" if i else "\n")
            json.dump(item, file)
        file.write("]")
    file.write("}\n")


def _request(record: RunRecord, i: int) -> dict[str, Any]:
    requests, made = record.requests, record.requests.made
    event = int(made.event[i])
    return {
        "t_ns": int(made.t_ns[i]),
        "event": event,
        "kind": Kind(record.prepared.trace.kind[event]).text if event >= 0 else "region_free",
        "vm": int(made.vm[i]),
        "inode": int(made.inode[i]),
        "regions": list(range(int(made.first_region[i]), int(made.last_region[i]) + 1)),
        "fate": Fate(requests.fate[i]).name.lower(),
        "due_ns": int(requests.due_ns[i]),
        "pass": int(requests.scan_pass[i]),
    }


def _pass(record: RunRecord, k: int, region: int | None) -> dict[str, Any]:
    passes = record.passes
    found: dict[str, Any] = {
        "pass": k,
        "cause": Cause(passes.cause[k]).name.lower(),
        "state": PassState(passes.state[k]).name.lower(),
        **{name: int(getattr(passes, name)[k]) for name in ("due_ns", "start_ns", "end_ns", "n_requests")},
        **{name: int(getattr(passes, name)[k]) for name in ("new", "cached", "failed", "wasted", "early")},
        "visits": [],
    }
    if len(record.targets[k]):
        visits = record.visits(k)
        found["visits"] = [
            {
                "region": int(visits.region[i]),
                "visit_ns": int(visits.visit_ns[i]),
                "end_ns": int(visits.end_ns[i]),
                "outcome": VisitOutcome(visits.outcome[i]).name.lower(),
                "early": bool(visits.early[i]),
            }
            for i in range(len(visits))
            if region is None or visits.region[i] == region
        ]
    return found


def _episodes(record: RunRecord, held: list[int]) -> Iterator[dict[str, Any]]:
    episodes, finder = record.episodes, MissFinder(record)
    for e in held:
        found: dict[str, Any] = {name: int(getattr(episodes, name)[e]) for name in ("region", "begin_ns", "end_ns")}
        found |= {"fresh": bool(episodes.fresh[e]), "counted": bool(episodes.counted[e])}
        found |= {"set_ns": int(episodes.set_ns[e]), "pass": int(episodes.set_pass[e])}
        if episodes.set_ns[e] < 0:
            miss = finder.why(e)
            found |= {"reason": miss.reason.name.lower(), "missed_by_pass": miss.scan_pass, "by_request": miss.request}
        yield found
