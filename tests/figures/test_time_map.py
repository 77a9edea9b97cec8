from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from two_teardowns import two_teardowns

from gmemgpu.catalogue import choose_policies, named_policies
from gmemgpu.cli.main import main
from gmemgpu.explain.prepared import Prepared
from gmemgpu.explain.region_map import region_map
from gmemgpu.explain.region_span import State
from gmemgpu.explain.replay import record_run
from gmemgpu.figures.style import single
from gmemgpu.figures.time_map import time_map
from gmemgpu.model.cost import Costs
from gmemgpu.trace.write import write_trace

BUSY, FREE, OPTIMIZED = "busy", "free, not optimized", "free and optimized"


def test_rectangles_cover_all_and_have_the_states_of_the_run() -> None:
    (policy,) = choose_policies(["v10"], named_policies())
    found = region_map(record_run(Prepared(two_teardowns()), policy, Costs()), 4, 60)
    strips, regions = time_map(found, title="t")["vconcat"]
    rows = regions["data"]["values"]
    area = sum((row["stop"] - row["first"]) * (row["end"] - row["begin"]) for row in rows)
    assert area == pytest.approx(4 * 60)
    # A cell is a second: what is optimized in the run is so in the picture, but for cells in which it began.
    for name, state in ((OPTIMIZED, State.OPTIMIZED), (BUSY, State.BUSY)):
        drawn = sum(row["end"] - row["begin"] for row in rows if row["kind"] == name)
        assert drawn == pytest.approx(60 * float(found.share[:, :, state].mean(axis=1).sum()), abs=10)
    assert {row["kind"] for row in rows} >= {BUSY, FREE, OPTIMIZED}
    told = {
        strip: sum(row["n"] for row in strips["data"]["values"] if row["strip"] == strip)
        for strip in ("requests", "passes")
    }
    assert told == {"requests": found.requests.sum(), "passes": found.passes.sum()}


def test_regions_are_named_in_their_middle(tmp_path: Path) -> None:
    draw = pytest.importorskip("vl_convert")
    (policy,) = choose_policies(["v10"], named_policies())
    found = region_map(record_run(Prepared(two_teardowns()), policy, Costs()), 4, 60)
    spec = single(time_map(found, title="t"))
    svg = ElementTree.fromstring(draw.vegalite_to_svg(spec))
    height = spec["vconcat"][1]["height"]

    def heights(text: str) -> list[float]:
        found = [tag for tag in svg.iter("{http://www.w3.org/2000/svg}text") if "".join(tag.itertext()) == text]
        return [float(tag.get("transform", "").split(",")[1].rstrip(")")) for tag in found]

    labels = [heights(str(region)) for region in range(4)]
    assert all(labels)
    for region, places in enumerate(labels):
        # Labels lie three and a half pixels below what they name.
        middle = height * (1 - (region + 0.5) / 4)
        assert any(abs(place - middle) < 5 for place in places), (region, places, middle)


@pytest.mark.parametrize("option", ["--output", "--png"])
def test_map_draws_a_picture(option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("vl_convert")
    write_trace(two_teardowns(), tmp_path / "t.parquet")
    path = tmp_path / "t.png"
    assert main(["map", str(tmp_path / "t.parquet"), "--policy", "v10", option, str(path)]) == 0
    assert path.read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out == ""


def test_a_report_has_the_map_of_a_trace(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("vl_convert")
    write_trace(two_teardowns(), tmp_path / "t.parquet")
    page = tmp_path / "r.html"
    trace = str(tmp_path / "t.parquet")
    assert main(["report", str(store), "-o", str(page), "--map", trace, "v10"]) == 0
    assert "t.parquet under v10" in page.read_text(encoding="utf-8")
    assert main(["report", str(store), "-o", str(page), "--map", trace, "v9"]) == 2
    assert '"v9" is no' in capsys.readouterr().err
    assert main(["report", str(store), "--mail", "--map", trace, "v10"]) == 2
    assert "--map: is part of the page" in capsys.readouterr().err
