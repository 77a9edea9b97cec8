"""The README says what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gmemgpu.cli.main import COMMANDS, main
from gmemgpu.model.cost import Costs
from gmemgpu.model.metric import METRICS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [
    "README.md",
    "CHANGELOG.md",
    "jobs/README.md",
    "jobs/data/README.md",
    "gmemgpu/model/MODEL.md",
    "gmemgpu/engine/DESIGN.md",
    "gmemgpu/sweeping/DESIGN.md",
]


def test_policy_table_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policies", "--markdown"]) == 0
    assert capsys.readouterr().out.strip() in README, "paste the output of: gmemgpu policies --markdown"


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_metric_table_has_every_metric(metric: object) -> None:
    assert f"| `{metric.name}` | {metric.unit} | {metric.meaning} |" in README


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert ((ROOT / page).parent / target).exists(), f"{page} links to {target}"


def test_every_command_is_mentioned() -> None:
    for command in COMMANDS:
        if command != "doctor":
            assert f"gmemgpu {command}" in README


def test_specs_in_the_readme_are_valid(tmp_path: Path) -> None:
    from gmemgpu.sweeping.spec import read_spec

    spec = next(block for block in re.findall(r"```toml\n(.*?)```", README, re.DOTALL) if "seeds" in block)
    (tmp_path / "spec.toml").write_text(spec, encoding="utf-8")
    found = read_spec(tmp_path / "spec.toml")
    assert len(found.scenarios) == 6
    assert "capped_30s" in [policy.name for policy in found.policies]
    assert found.costs.round_clean == 100_000 != Costs().round_clean


@pytest.mark.parametrize("job", sorted((ROOT / "jobs").glob("*.toml")), ids=lambda job: job.name)
def test_jobs_are_valid(job: Path) -> None:
    from gmemgpu.sweeping.spec import read_spec

    assert read_spec(job).scenarios


def option_row(name: str) -> str:
    """Give the line on an option of [cluster]."""
    from gmemgpu.sweeping.cluster.options import CODE_KEYS, ClusterOptions

    from gmemgpu.units import format_duration_ns

    field = ClusterOptions.model_fields[name]
    default = field.default
    if name == "memory":
        default = f"{default // 2**30} GiB"
    elif name in ("walltime", "replace_after"):
        default = format_duration_ns(default)
    shown = "–" if default in (None, ()) else default
    mark = " \\*" if name in CODE_KEYS else ""
    return f"| `{name}`{mark} | {shown} | {field.description} |"


def test_the_table_of_cluster_options_has_each_as_it_is() -> None:
    from gmemgpu.sweeping.cluster.options import ClusterOptions

    expected = "\n".join(option_row(name) for name in ClusterOptions.model_fields)
    assert expected in (ROOT / "jobs" / "README.md").read_text(encoding="utf-8"), f"paste:\n{expected}"
