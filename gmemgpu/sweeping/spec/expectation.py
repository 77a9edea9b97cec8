"""Figures that a spec says its sweep will give, and whether it gave them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gmemgpu.model.metric import METRICS
from gmemgpu.sweeping.spec.document import Document, shown
from gmemgpu.toml_file import unknown_key

__all__ = ["Expectation", "Checked", "expectations_of", "check_expectations"]

_KNOWN = tuple(metric.name for metric in METRICS if not metric.is_list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What every seed of a policy shall give."""

    policy: str  # its name
    scenario: str | None  # a scenario's label; None for each
    metrics: dict[str, tuple[int, int]]  # metric to the least and the most that it may be


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """
    What came of expectations.

    Parameters
    ----------
    n_figures : int
        Figures that were compared.
    unmet : tuple of str
        Each that is not as expected, in a line.
    """

    n_figures: int = 0
    unmet: tuple[str, ...] = ()


def expectations_of(document: Document, policies: Sequence[str], scenarios: Sequence[str]) -> tuple[Expectation, ...]:
    """Return the expectations of ``[[expect]]``; mistakes are reported to the document."""
    tables = document.values.get("expect", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        document.report("expect", "is no list of tables; write [[expect]] above each")
        return ()
    found = []
    for i, table in enumerate(tables):
        metrics = {}
        for key, known in (("policy", policies), ("scenario", scenarios)):
            name = table.get(key)
            if name is None and key == "policy":
                document.report(f"expect[{i}].policy", 'is missing; name one, as in policy = "v10"')
            elif name is not None and known and name not in known:
                hint = unknown_key(str(name), list(known), "name")
                document.report(f"expect[{i}].{key}", f"{shown(name)} is no {key} of this sweep; {hint}")
        for key, value in table.items():
            if key in ("policy", "scenario"):
                continue
            bounds = value if isinstance(value, list) else [value, value]
            if key not in _KNOWN:
                document.report(f"expect[{i}].{key}", unknown_key(key, ["policy", "scenario", *_KNOWN]))
            elif len(bounds) != 2 or not all(type(bound) is int for bound in bounds):
                message = f"{shown(value)} is no figure; write an integer, or the least and the most as [1, 3]"
                document.report(f"expect[{i}].{key}", message)
            else:
                metrics[key] = (bounds[0], bounds[1])
        found.append(Expectation(policy=str(table.get("policy")), scenario=table.get("scenario"), metrics=metrics))
    return tuple(found)


def check_expectations(expectations: Iterable[Expectation], rows: Sequence[Mapping[str, Any]]) -> Checked:
    """Check rows of a sweep against what its spec expects."""
    n_figures = 0
    unmet = []
    for expected in expectations:
        for row in rows:
            if row["policy"] != expected.policy or expected.scenario not in (None, row["label"]):
                continue
            for name, (least, most) in expected.metrics.items():
                n_figures += 1
                if not least <= row[name] <= most:
                    wanted = f"{least}" if least == most else f"{least} to {most}"
                    here = f'scenario "{row["label"]}", seed {row["seed"]}, {expected.policy}'
                    unmet.append(f"{here}: {name} is {row[name]}, expected {wanted}")
    return Checked(n_figures=n_figures, unmet=tuple(unmet))
