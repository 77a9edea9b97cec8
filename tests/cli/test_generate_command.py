from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from gmemgpu.cli.generate import table_from_settings
from gmemgpu.cli.main import main
from gmemgpu.errors import SpecError
from gmemgpu.generator import generate
from gmemgpu.trace.read import read_trace
from gmemgpu.workload.preset import preset, small_variant, workload_from_mapping

SAMPLE = Path(__file__).parents[2] / "jobs" / "data" / "azure_v1_vm_arrivals_sample_24h.csv.gz"


def test_a_small_preset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.parquet"
    assert main(["generate", "--preset", "mixed-pods", "--small", "--seed", "7", "-o", str(path)]) == 0
    made = generate(small_variant(preset("mixed-pods")), 7)
    trace = read_trace(path)
    assert trace.t_ns.tolist() == made.trace.t_ns.tolist()
    assert trace.host == made.trace.host
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == (
        f"{path}: mixed-pods (small), seed 7, {len(trace):,} events in 6 min; "
        f"{made.admitted} VMs admitted, 0 rejected\n"
    )


def test_settings_go_over_the_small_variant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.csv"
    settings = ["--set", "horizon_ns=2 min", "--set", "memory.placement=lifo", "--set", "stock.vms=3"]
    assert main(["generate", "--preset", "mixed-pods", "--small", *settings, "-o", str(path), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["workload"]["horizon_ns"] == 120 * 10**9
    assert summary["workload"]["memory"]["placement"] == "lifo"
    assert summary["workload"]["stock"]["vms"] == 3
    assert summary["workload"]["host"]["memory_bytes"] == 16 << 30
    assert summary["events"] == len(read_trace(path))
    # The summary is enough to make the trace again.
    again = generate(workload_from_mapping(summary["workload"], "", tmp_path), summary["seed"])
    assert again.trace.t_ns.tolist() == read_trace(path).t_ns.tolist()


def test_a_vm_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.csv.gz"
    arguments = ["--vm-table", str(SAMPLE), "--set", "vm_table.thin.keep=0.0005", "--set", 'horizon_ns="3 h"']
    assert main(["generate", *arguments, "--set", "warmup_ns=0", "-o", str(path), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["workload"]["vm_table"]["thin"]["keep"] == 0.0005
    assert summary["admitted"] > 100
    assert len(read_trace(path)) == summary["events"]


def test_all_mistakes_at_once_and_nothing_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.parquet"
    settings = ["--set", "stock.vms=-1", "--set", "memory.placment=lifo"]
    assert main(["generate", "--preset", "iaas-mixd", *settings, "-o", str(path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        'gmemgpu: preset: "iaas-mixd" is no preset; did you mean "iaas-mixed"?',
        "gmemgpu: stock.vms: -1 cannot be used: it must be greater than or equal to 0",
        'gmemgpu: memory.placment: unknown key; did you mean "placement"?',
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_name_is_said_before_the_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "--preset", "fragment-age", "-o", str(tmp_path / "t.txt")]) == 2
    assert ".parquet" in capsys.readouterr().err


@pytest.mark.parametrize("seed", ["-1", "x", str(1 << 64)])
def test_a_wrong_seed(seed: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["generate", f"--seed={seed}", "-o", "t.csv"])
    assert caught.value.code == 2
    assert "invalid seed value" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "table"),
    [
        (["a.b=1", "a.c=true", "d=0.5"], {"a": {"b": 1, "c": True}, "d": 0.5}),
        (["a=2 d", 'b="2 d"', "c=1e-7"], {"a": "2 d", "b": "2 d", "c": 1e-7}),
        (['a=[{x=1, y="2 GiB"}]'], {"a": [{"x": 1, "y": "2 GiB"}]}),
        (["a==b"], {"a": "=b"}),
    ],
)
def test_settings(settings: list[str], table: dict) -> None:
    assert table_from_settings(settings) == table


def test_what_is_no_setting() -> None:
    with pytest.raises(SpecError) as caught:
        table_from_settings(["novalue", ".a=1", "a=1", "a.b=2"])
    assert len(caught.value.problems) == 3


def test_a_load_that_does_not_fit_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["generate", "--preset", "idle-snp", "--small", "--set", "warmup_ns=1 s", "--set", "horizon_ns=1 h"]
    assert main([*command, "-o", str(tmp_path / "t.csv")]) == 0
    assert "warning" not in capsys.readouterr().err
    assert main([*command, "--set", "running=1000", "-o", str(tmp_path / "t.csv")]) == 0
    warning = capsys.readouterr().err.splitlines()[0]
    assert re.fullmatch(
        r"gmemgpu: warning: \d{3} of 1,0\d\d VMs were rejected; "
        r"take a larger host, or fewer or smaller VMs \(running, sizes\.scale\)",
        warning,
    )


def test_a_shutdown_that_never_comes_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["generate", "--preset", "last-big-VM", "--small", "-o", str(tmp_path / "t.csv")]
    life = "snp_life={ shutdown_ns = '10 min', kvm_unload_ns = '40 min' }"
    assert main([*command, "--set", life]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "snp_life" in line]
    # The SNP guest ends at half an hour, ordinary ones stay.
    assert told == [
        "gmemgpu: warning: snp_life.kvm_unload_ns: guests run up to the horizon, so this never comes; let them end, or "
        "set snp_life.force"
    ]


OWN = "arrival_s,lifetime_s,vcpus,mem_gib,kind,host\n0,600,2,4,snp,a\n60,600,2,4,plain,a\n90,60,2,4,snp,b\n"
SHORT = ["--set", "horizon_ns=10 min", "--set", "warmup_ns=0", "--set", "host.name=lab"]


def test_what_was_made_of_a_table_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, output = tmp_path / "vms.csv", tmp_path / "t.parquet"
    path.write_text(OWN)
    arguments = ["generate", "--vm-table", str(path), *SHORT, "-o", str(output)]
    assert main(arguments) == 2
    assert capsys.readouterr().err.endswith(
        "vms.csv: holds the VMs of 2 hosts ('a', 'b'), and a trace is of one: set vm_table.host to its name, or to "
        '"*" to put all VMs on one; a sweep takes each host in turn\n'
    )
    assert main([*arguments, "--set", "vm_table.host=a"]) == 0
    assert capsys.readouterr().err.replace(f"{tmp_path}/", "").splitlines()[1:3] == [
        "vms.csv: 3 VMs on 2 hosts",
        "vms.csv: 2 VMs of the table",
    ]
    assert (
        main([*arguments, "--set", "vm_table.host=*", "--set", "vm_table.stock=drawn", "--set", "stock.vms=100"]) == 0
    )
    warning, *lines = capsys.readouterr().err.replace(f"{tmp_path}/", "").splitlines()
    assert lines[2] == "vms.csv: 3 VMs of the table, 100 drawn as stock (vm_table.stock=table leaves them out)"
    assert warning.startswith("gmemgpu: warning: ")
    assert "VMs were rejected; leave out those that were drawn (--set vm_table.stock=table), take a larger" in warning
    assert main([*arguments, "--set", "vm_table.host=c"]) == 2
    assert "vms.csv: host: 'c' is not in the table; there are 'a', 'b'" in capsys.readouterr().err


def test_a_table_is_never_overwritten_by_its_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "vms.csv"
    path.write_text(OWN)
    assert main(["generate", "--vm-table", str(path), *SHORT, "--set", "vm_table.host=a", "-o", str(path)]) == 2
    assert path.read_text() == OWN
    assert "is a file that is read" in capsys.readouterr().err
    # A CSV trace has its header beside it.
    aside = path.rename(tmp_path / "vms.toml")
    assert main(["generate", "--vm-table", str(aside), *SHORT, "--set", "vm_table.host=a", "-o", str(path)]) == 2
    assert aside.read_text() == OWN
    cdf = tmp_path / "lifetimes.csv"
    cdf.write_text("lifetime_s,cdf\n60,1\n")
    source = ["--set", "lifetime.name=mine", "--set", f'lifetime.define.mine={{family="empirical",path="{cdf}"}}']
    assert main(["generate", *SHORT, *source, "-o", str(cdf)]) == 2
    assert "lifetimes.csv is a file that is read" in capsys.readouterr().err


def test_a_node_that_the_host_has_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "vms.csv"
    path.write_text("arrival_s,vcpus,mem_gib,lifetime_s,node\n0,2,1,100,7\n")
    assert main(["generate", "--vm-table", str(path), *SHORT, "-o", str(tmp_path / "t.csv")]) == 2
    assert capsys.readouterr().err == f"gmemgpu: {path}: row 1, column node: '7' is outside -1 to 0\n"
