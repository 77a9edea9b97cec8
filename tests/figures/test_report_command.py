from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from gmemgpu.cli.main import main
from gmemgpu.figures import catalogue
from gmemgpu.metrics.quantity import TABLE_QUANTITIES
from gmemgpu.sweeping.run.share import compute_share
from gmemgpu.sweeping.store.manifest import read_manifest, write_manifest

pytestmark = pytest.mark.skipif(find_spec("vl_convert") is None, reason="vl-convert is not installed")

VOID = {"meta", "br", "link", "img", "input", "hr"}


class Page(HTMLParser):
    """Tags and texts of a page, and whether what opens is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif data.strip():
            self.texts.append(data.strip())


@pytest.fixture(scope="module")
def page(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Page:
    path = tmp_path_factory.mktemp("report") / "r.html"
    assert main(["report", str(store), "-o", str(path)]) == 0
    return Page(path.read_text(encoding="utf-8"))


def test_a_report_is_one_whole_page_with_a_table_a_group(page: Page) -> None:
    assert not page.open
    names = [tag for tag, _ in page.tags]
    assert names.count("h1") == names.count("main") == 1
    assert names.count("table") == names.count("caption") == 4
    assert names.count("button") == 2 * (1 + len(TABLE_QUANTITIES)) + 2 * 6
    assert {"Cost and benefit", "Waiting times", "Decision table", "Provenance"} <= set(page.texts)


def test_nothing_is_loaded_from_elsewhere(page: Page) -> None:
    for _, attributes in page.tags:
        assert not attributes.get("src")
        assert (attributes.get("href") or "#").startswith("#")
    assert any("default-src 'none'" in (attributes.get("content") or "") for _, attributes in page.tags)


def test_names_are_text_and_no_tags(page: Page, hostile: str) -> None:
    assert hostile in page.texts
    assert any(hostile in text and "seeds" in text for text in page.texts)
    assert len(page.scripts) == 3
    assert not any(hostile in script for script in page.scripts)
    assert "small & <b>" in page.texts
    assert not [tag for tag, _ in page.tags if tag == "b"]


def test_charts_are_plain_data_and_each_says_what_it_shows(page: Page) -> None:
    charts = json.loads(page.scripts[0])["charts"]
    places = [attributes for _, attributes in page.tags if "data-chart" in attributes]
    assert [int(place["data-chart"] or -1) for place in places] == list(range(len(charts)))
    # Of each group a Pareto plot, two forests, worths and latencies; two heat tables and one tornado of both.
    assert len(charts) == 2 * 5 + 3
    assert all(place["aria-label"] for place in places)
    for chart in charts:
        assert chart["narrow"].get("width", 0) <= chart["wide"].get("width", 0)


def scales(chart: object) -> Iterator[dict[str, Any]]:
    """Yield whatever has a domain of policies, with what each of them looks like."""
    if isinstance(chart, dict):
        if chart.get("field") == "policy" and "range" in chart.get("scale", {}):
            yield chart["scale"]
        for value in chart.values():
            yield from scales(value)
    elif isinstance(chart, list):
        for value in chart:
            yield from scales(value)


def test_a_policy_looks_the_same_in_all_figures(page: Page, store: Path) -> None:
    charts = json.loads(page.scripts[0])["charts"]
    # Of some policies in another order too, and where one has no line.
    some = catalogue.Choice(directory=store, policies=["refcount", "v10", "never"])
    charts += [catalogue.figure(name, some)[0] for name in ("worth", "latency")]
    looks: dict[tuple[bool, str], set[str]] = {}
    found = [scale for chart in charts for scale in scales(chart)]
    for scale in found:
        for policy, look in zip(scale["domain"], scale["range"], strict=True):
            looks.setdefault((isinstance(look, str), policy), set()).add(str(look))
    # Colours and dashes, of two groups in two figures, wide and narrow, and of two figures of some policies.
    assert len(found) >= 2 * (2 * 2 * 2 + 2)
    assert len(looks) == 2 * 6
    assert {len(each) for each in looks.values()} == {1}
    assert len({(*looks[True, name], *looks[False, name]) for _, name in looks}) == 6


def test_provenance_says_which_sweep(page: Page, store: Path) -> None:
    manifest = json.loads((store / "manifest.json").read_text())
    assert manifest["sweep_id"] in page.texts
    assert "0 to 2" in page.texts
    assert f"gmemgpu sweep s.toml -o {store} && gmemgpu report {store}" in page.texts


def test_an_unfinished_sweep_has_a_banner(store: Path, tmp_path: Path) -> None:
    half = tmp_path / "half"
    shutil.copytree(store, half)
    (half / "results.parquet").unlink()
    # A manifest that knows of merged rows says that they are lost; one of an unfinished sweep does not.
    write_manifest(half, replace(read_manifest(half), results_sha256=None))
    parts = sorted((half / "parts").iterdir())
    parts[0].unlink()
    assert main(["report", str(half), "-o", str(tmp_path / "r.html")]) == 0
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert re.search(rf"Not finished:</strong> {len(parts) - 1} of {len(parts)} parts", text)


def test_groups_beyond_the_most_are_counted(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (catalogue, sys.modules["gmemgpu.figures.section"], sys.modules["gmemgpu.figures.report"]):
        monkeypatch.setattr(module, "MOST_GROUPS", 1)
    assert main(["report", str(store), "-o", str(tmp_path / "r.html")]) == 0
    page = Page((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert any(text.startswith("1 more group is not shown, only the first") for text in page.texts)
    assert [tag for tag, _ in page.tags].count("table") == 2


@pytest.mark.parametrize("options", [["--policy", "v9"], ["--baseline", "v9"], ["--group-by", "lable"]])
def test_a_wrong_name_leaves_no_page(
    options: list[str], store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(store), "-o", str(tmp_path / "r.html"), *options]) == 2
    assert options[0] in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_one_policy_has_nothing_to_be_held_against(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(
        'seeds = 1\npolicies = ["never"]\n[workload]\npreset = "mixed-pods"\nhorizon_ns = "10 s"\nwarmup_ns = 0\n'
        'host = { memory_bytes = "8 GiB", cores = 2 }\nsizes.scale = 0.125\narrivals.vms_per_s = 0.1\n'
    )
    compute_share(tmp_path / "s.toml", tmp_path / "out", index=0, of=1, backend="numpy")
    assert main(["report", str(tmp_path / "out"), "-o", str(tmp_path / "r.html")]) == 0
    page = Page((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert not page.open
    assert "Decision table" in page.texts
    assert "Differences to the baseline" not in page.texts
