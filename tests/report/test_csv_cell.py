from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from gmemgpu.cli.main import main
from gmemgpu.report.export import csv_cell


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1"])
def test_no_cell_is_a_formula(text: str) -> None:
    assert csv_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", ["v10", "", "a=b", "1.5", -1, None, 2.5])
def test_all_else_stays(value: object) -> None:
    assert csv_cell(value) == value


def test_policies_of_ones_own_in_every_csv(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policies = '[[policy]]\nname = "=cmd()"\nhook = "vm_destroy"\ntimer = "fixed(1 s)"\n'
    (tmp_path / "p.toml").write_text(policies)
    (tmp_path / "s.toml").write_text(
        f'policies = []\n[workload]\npreset = "idle-snp"\nhorizon_ns = "10 min"\nwarmup_ns = 0\n{policies}'
        '[[scenario]]\nname = "-1+1"\n'
    )
    trace = str(tmp_path / "t.parquet")
    assert main(["generate", "--preset", "idle-snp", "--small", "-o", trace]) == 0
    assert main(["evaluate", trace, "--policies", str(tmp_path / "p.toml"), "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["policy"] for row in rows] == ["'=cmd()"]
    assert main(["shard", str(tmp_path / "s.toml"), "-o", str(tmp_path / "out"), "--index", "0", "--of", "1"]) == 0
    capsys.readouterr()
    assert main(["show", str(tmp_path / "out"), "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["label"], row["policy"]) for row in rows] == [("'-1+1", "'=cmd()"), ("'-1+1", "oracle")]
