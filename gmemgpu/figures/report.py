"""One page that holds everything: tables to sort, figures to point at, and nothing to load."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from gmemgpu import __version__
from gmemgpu.decision.sentence import assumptions, headline
from gmemgpu.errors import GmemgpuError
from gmemgpu.explain.region_map import RegionMap
from gmemgpu.figures.catalogue import MOST_GROUPS, Choice, decision_for
from gmemgpu.figures.section import Section, map_section, sections
from gmemgpu.figures.style import CONFIG, Spec
from gmemgpu.figures.write import renderer, write_file
from gmemgpu.html_table import unbroken
from gmemgpu.model import ORACLE_NAME
from gmemgpu.report.decision import read_decision_table
from gmemgpu.report.grouping import codes_of
from gmemgpu.report.samples import default_baseline
from gmemgpu.sweeping.store.manifest import Manifest, read_manifest, sweep_command
from gmemgpu.sweeping.store.read import read_rows

__all__ = ["write_report"]

_TEMPLATE = Path(__file__).with_name("template")

_METHOD = (
    "Every policy runs on the same traces. A trace is a scenario with a seed; the traces of different seeds are "
    "independent, and intervals are taken over seeds.",
    "Differences are taken trace by trace before they are averaged, and all comparisons of a group are held to 5 % "
    "together (Holm).",
    "Integers are exact: engines agree on every one of them.",
    "Workloads are presets or VM tables, not recordings of a host's own page states.",
)


def _environment() -> Any:
    try:
        jinja2 = import_module("jinja2")
    except ImportError:
        raise GmemgpuError("a report needs Jinja2; pip install 'gmemgpu[report]'") from None
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATE), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["unbroken"] = unbroken
    return environment


@cache
def _vega() -> str:
    # Three seconds: scripts are put together from their modules each time.
    scripts: str = renderer().javascript_bundle()
    return scripts


def _provenance(manifest: Manifest, directory: str | Path) -> list[tuple[str, str]]:
    versions = manifest.versions
    seeds = manifest.spec.get("seeds", [])
    again = f"{sweep_command(manifest, str(directory))} && gmemgpu report {shlex.quote(str(directory))}"
    return [
        ("Computed by", ", ".join(f"{name} {version}" for name, version in versions.items())),
        ("Written by", f"gmemgpu {__version__}"),
        ("Hash of the sweep", manifest.sweep_id),
        ("Rows", f"{manifest.n_rows:,} in {manifest.n_parts:,} parts"),
        ("Seeds", _ranges(seeds)),
        ("To reproduce", again),
    ]


def _ranges(seeds: Sequence[int]) -> str:
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))


def _has_choice(choice: Choice) -> bool:
    names = codes_of(read_rows(choice.directory, ["policy"]).table["policy"])[1]
    there = [name for name in names if name != ORACLE_NAME] or names
    return len({choice.baseline or default_baseline(there), *(choice.policies or there)}) > 1


def _charts(found: Sequence[Section]) -> tuple[list[dict[str, Any]], list[list[dict[str, Any]]]]:
    # All charts in one list, as the script reads them; and for each section what the page says of its own.
    drawn: list[dict[str, Any]] = []
    described = []
    for section in found:
        own = []
        for wide, narrow in section.charts:
            own.append({"index": len(drawn), "description": wide.get("description", section.title)})
            drawn.append(_shared(wide, narrow))
        described.append(own)
    return drawn, described


def _shared(wide: Spec, narrow: Spec) -> dict[str, Any]:
    # Rows that both widths have are written once.
    if "data" not in wide or wide["data"] != narrow["data"]:
        return {"wide": wide, "narrow": narrow}
    data = wide["data"]
    both = {"wide": wide, "narrow": narrow}
    return {"data": data, **{form: {k: v for k, v in spec.items() if k != "data"} for form, spec in both.items()}}


def write_report(choice: Choice, path: str | Path, region_map: tuple[str, RegionMap] | None = None) -> None:
    """
    Write the report of a results directory, whole or not at all.

    Parameters
    ----------
    choice : Choice
        Which directory, groups, policies and baseline.
    path : str or Path
        The HTML file.
    region_map : tuple of (str, RegionMap), optional
        A title, and the map of a run to add.

    Raises
    ------
    GmemgpuError
        If what draws is not installed.
    StoreError
        If the directory holds no sweep, or no finished part.
    SpecError
        If a policy or column is unknown, or the file cannot be written there.
    OSError
        If the disk is full or fails.
    """
    environment = _environment()
    renderer()
    manifest = read_manifest(choice.directory)
    table = read_decision_table(choice.directory, group_by=choice.group_by, policies=choice.policies)
    decision = decision_for(choice) if _has_choice(choice) else None
    found = list(sections(table, decision, choice))
    if region_map is not None:
        found.append(map_section(*region_map))
    drawn, described = _charts(found)
    markup = import_module("markupsafe").Markup
    page = environment.get_template("report.html").render(
        version=__version__,
        name=table.name,
        n_policies=len({line.policy for group in table.groups for line in group.lines} - {ORACLE_NAME}),
        n_groups=len(table.groups),
        n_seeds=max((line.n_seeds for group in table.groups for line in group.lines), default=0),
        n_done=table.n_parts_done,
        n_parts=table.n_parts,
        n_more=max(0, len(table.groups) - MOST_GROUPS),
        most_groups=MOST_GROUPS,
        sections=[
            {
                "key": section.key,
                "title": section.title,
                "how": section.how,
                "lines": section.lines,
                "tables": section.tables,
                "charts": own,
            }
            for section, own in zip(found, described, strict=True)
        ],
        headline=None if decision is None else headline(decision).replace("`", ""),
        method=[*_METHOD, *([] if decision is None else assumptions(decision))],
        provenance=_provenance(manifest, choice.directory),
        spec=json.dumps(manifest.spec, indent=1, ensure_ascii=False),
        charts={"config": CONFIG, "charts": drawn},
        # Ours, and no tag in them ends a script: what comes from results is escaped.
        style=markup((_TEMPLATE / "report.css").read_text(encoding="utf-8")),
        script=markup((_TEMPLATE / "report.js").read_text(encoding="utf-8")),
        vega=markup(_vega()),
    )
    write_file(path, page.encode(errors="backslashreplace"))
