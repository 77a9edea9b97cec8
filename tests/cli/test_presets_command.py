from __future__ import annotations

import json
from pathlib import Path

import pytest

from gmemgpu.cli.main import main
from gmemgpu.workload.preset import preset, preset_names, small_variant, workload_from_mapping


def test_a_table_of_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["presets"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["preset", *preset_names()]
    assert "1536 GiB" in lines[1]
    assert "8 d (1 d warm-up)" in lines[1]


def test_every_field_of_one_with_its_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["presets", "spot-evict"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("spot-evict: spot VMs")
    rows = {line.split()[0]: line.split(maxsplit=1)[1] for line in lines[2:]}
    assert rows["arrivals.gang_within_ns"].startswith("30 s ")
    assert rows["memory.placement"].startswith("lifo ")
    assert rows["host.name"].startswith("tera ")


def test_json_can_be_read_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["presets", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["preset"] for row in rows] == list(preset_names())
    for row in rows:
        assert row.pop("summary")
        assert workload_from_mapping(row, "", Path()) == preset(row["preset"])


def test_small_variants(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["presets", "coco-pods", "--small", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["horizon_ns"] == small_variant(preset("coco-pods")).horizon_ns


def test_an_unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["presets", "spot-evct"]) == 2
    assert capsys.readouterr().err == 'gmemgpu: preset: "spot-evct" is no preset; did you mean "spot-evict"?\n'
