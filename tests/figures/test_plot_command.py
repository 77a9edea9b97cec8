from __future__ import annotations

import shutil
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from gmemgpu.cli.main import main
from gmemgpu.figures import catalogue
from gmemgpu.figures.catalogue import FIGURES
from gmemgpu.sweeping.store.manifest import read_manifest, write_manifest

pytestmark = pytest.mark.skipif(find_spec("vl_convert") is None, reason="vl-convert is not installed")


def texts(path: Path) -> list[str]:
    return ["".join(node.itertext()) for node in ET.parse(path).iter() if node.tag.endswith("}text")]


@pytest.mark.parametrize("name", FIGURES)
def test_each_figure_becomes_svg(name: str, store: Path, hostile: str, tmp_path: Path) -> None:
    assert main(["plot", str(store), "--figure", name, "-o", str(tmp_path / "f.svg")]) == 0
    written = texts(tmp_path / "f.svg")
    assert any("refcount" in text for text in written)
    assert any("pods" in text or "stays best" in text for text in written)
    # Parsed as XML, it is text; nothing of it became an element.
    assert any(hostile in text for text in written) or name == "tornado"
    assert "<script" not in (tmp_path / "f.svg").read_text()


@pytest.mark.parametrize("name", sorted({*FIGURES} - {"tornado"}))  # that of one part less has no axis left
def test_a_figure_of_an_unfinished_sweep_says_so(
    name: str, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    half = tmp_path / "half"
    shutil.copytree(store, half)
    (half / "results.parquet").unlink()
    write_manifest(half, replace(read_manifest(half), results_sha256=None))
    first, *others = sorted((half / "parts").iterdir())
    first.unlink()
    assert main(["plot", str(half), "--figure", name, "-o", str(tmp_path / "f.svg")]) == 0
    unfinished = f"Not finished: {len(others)} of {len(others) + 1} parts"
    assert unfinished in texts(tmp_path / "f.svg")
    assert f"gmemgpu: {unfinished}; run the sweep again to go on.\n" in capsys.readouterr().err


@pytest.mark.parametrize(("form", "begin"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("html", b"<!DOCTYPE html>")])
def test_forms_follow_the_name(form: str, begin: bytes, store: Path, tmp_path: Path) -> None:
    path = tmp_path / f"f.{form}"
    assert main(["plot", str(store), "-o", str(path), "--policy", "v3", "refcount", "--group", "pods"]) == 0
    assert path.read_bytes().startswith(begin)


def test_an_unknown_form_is_refused_before_anything_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", str(tmp_path / "nowhere"), "-o", "f.gif"]) == 2
    assert capsys.readouterr().err == 'gmemgpu: --output: "f.gif": ends in none of .svg, .png, .pdf, .html\n'


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--x", "cor_s"], '--x: "cor_s"'),
        (["--group", "pod", "cloud"], '--group: "pod"'),
        (["--figure", "heat", "--group", "pod"], '--group: "pod"'),
        (["--figure", "tornado", "--group", "pods"], "--group: a tornado is over all groups"),
        (["--figure", "heat", "--metric", "nothing"], '--metric: "nothing"'),
        (["--figure", "forest", "--baseline", "v9"], '--baseline: "v9"'),
        (["--figure", "latency", "--policy", "v9"], '"v9"'),
    ],
)
def test_what_is_unknown_is_named(
    options: list[str], said: str, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plot", str(store), "-o", str(tmp_path / "f.svg"), *options]) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_what_a_figure_does_not_use_is_refused(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unused = ["--worth", "1 %", "--baseline", "v10", "--metric", "benefit"]
    assert main(["plot", str(store), "-o", str(tmp_path / "f.svg"), *unused]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "gmemgpu: --metric: changes nothing of pareto, but of forest and heat; leave it out",
        "gmemgpu: --baseline: changes nothing of pareto, but of forest and worth and tornado; leave it out",
        "gmemgpu: --worth: changes nothing of pareto, but of worth and tornado; leave it out",
    ]
    assert main(["plot", str(store), "-o", str(tmp_path / "f.svg"), "--figure", "heat", "--x", "core_s"]) == 2
    assert "--x: changes nothing of heat, but of pareto" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert main(["plot", str(store), "-o", str(tmp_path / "f.svg"), "--figure", "worth", *unused[:4]]) == 0


def test_groups_beyond_the_most_are_counted(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(catalogue, "MOST_GROUPS", 1)
    assert main(["plot", str(store), "-o", str(tmp_path / "f.svg")]) == 0
    assert "1 more group is not drawn" in capsys.readouterr().err
    assert main(["plot", str(store), "--figure", "heat", "-o", str(tmp_path / "h.svg")]) == 0
    assert any("1 more group is not drawn" in text for text in texts(tmp_path / "h.svg"))


def test_nothing_to_draw_is_said(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "f.svg"
    assert main(["plot", str(store), "-o", str(path), "--policy", "never", "--y", "latency_p50_ns"]) == 1
    assert "nothing to draw: no policy has core_s and latency_p50_ns" in capsys.readouterr().err
    assert not path.exists()


def test_without_the_extra_a_line_says_what_to_install(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    assert main(["plot", str(store), "-o", str(tmp_path / "f.svg")]) == 1
    assert capsys.readouterr().err == "gmemgpu: figures need vl-convert; pip install 'gmemgpu[report]'\n"


@pytest.mark.parametrize("command", ["plot", "report"])
def test_a_folder_that_is_not_there_is_said(
    command: str, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "missing" / "f.html"
    assert main([command, str(store), "-o", str(path)]) == 2
    assert f"--output: {path}: cannot be written: No such file or directory" in capsys.readouterr().err
