"""The pages say what the code says, links lead somewhere, and the shipped specs are valid."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

import gmemgpu
from gmemgpu.cli.help import TOPICS
from gmemgpu.cli.main import COMMANDS
from gmemgpu.docs.reference import GENERATED, PAGES, regenerated
from gmemgpu.errors import SpecError
from gmemgpu.model.metric import METRICS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TEXTS = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", ".github/*.md", "jobs/**/*.md", "gmemgpu/**/*.md")
    for path in ROOT.glob(pattern)
)


@pytest.mark.parametrize("page", GENERATED)
def test_generated_tables_are_what_the_code_writes(page: str) -> None:
    assert (PAGES / page).read_text(encoding="utf-8") == regenerated(page), "run: python -m gmemgpu.docs.reference"


def test_every_key_of_a_workload_is_on_the_page() -> None:
    # Counted another way than the tables are written: from the JSON schema of the model.
    from gmemgpu.workload.spec import Workload

    schema = Workload.model_json_schema()
    tables = [schema, *schema["$defs"].values()]
    keys = {key for table in tables for key in table.get("properties", {})}
    page = (PAGES / "specs.md").read_text(encoding="utf-8")
    sections = " ".join(re.findall(r"^### .*$", page, re.MULTILINE))
    assert len(keys) > 100
    absent = {key for key in keys if f"| `{key}` |" not in page and not re.search(rf"\.{key}\b", sections)}
    assert absent == set()


def test_every_metric_is_on_the_page() -> None:
    page = (PAGES / "metrics.md").read_text(encoding="utf-8")
    assert all(f"| `{metric.name}` | {metric.unit} | {metric.meaning} |" in page for metric in METRICS)


def test_the_keys_of_a_spec_are_those_that_are_read() -> None:
    from gmemgpu.sweeping.spec import read_spec

    with pytest.raises(SpecError, match="unknown key; known: ") as caught:
        read_spec({"zzzzzzzz": 1, "workload": {"preset": "iaas-mixed"}})
    (problem,) = caught.value.problems
    known = set(problem.message.partition("known: ")[2].split(", "))
    page = (PAGES / "specs.md").read_text(encoding="utf-8")
    table = page[page.index("## Keys of a spec") : page.index("## Presets")]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == known - {"cluster"}


def test_the_example_of_a_spec_says_what_its_comments_say(tmp_path: Path) -> None:
    from gmemgpu.model.cost import Costs
    from gmemgpu.sweeping.spec import read_spec

    page = (PAGES / "specs.md").read_text(encoding="utf-8")
    (tmp_path / "mine.toml").write_text(page.split("```toml file=mine.toml\n")[1].split("```")[0], encoding="utf-8")
    found = read_spec(tmp_path / "mine.toml")
    assert len(found.scenarios) == 4
    assert [policy.name for policy in found.policies] == ["v10", "capped", "refcount", "capped_30s", "oracle"]
    assert found.costs.round_clean == 100_000 != Costs().round_clean


@pytest.mark.parametrize("page", TEXTS)
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    for target in re.findall(r"\]\((?!https?:)([^)]+)", path.read_text(encoding="utf-8")):
        file, _, anchor = target.partition("#")
        found = (path.parent / file) if file else path
        assert found.exists(), f"{page} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", found.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in anchors, f"{page} links to {target}"


def test_topics_and_pages_are_the_same() -> None:
    assert {path.stem for path in PAGES.glob("*.md")} == set(TOPICS)
    assert all(f"(gmemgpu/docs/{topic}.md)" in README for topic in TOPICS)


def test_the_tests_that_hold_promises_are_there() -> None:
    page = (PAGES / "contributing.md").read_text(encoding="utf-8")
    table = page[page.index("## What holds what") : page.index("## Commands in the documentation")]
    named = re.findall(r"`(tests/[^`]+)`", table)
    assert len(named) > 25
    for name in named:
        found = sorted(ROOT.glob(name))
        assert found, f"{name} is not there"
        assert all("def test_" in path.read_text(encoding="utf-8") for path in found), f"{name} holds no tests"


def test_every_command_is_shown_somewhere() -> None:
    texts = README + "".join(path.read_text(encoding="utf-8") for path in PAGES.glob("*.md"))
    assert [command for command in COMMANDS if f"gmemgpu {command}" not in texts] == []


def test_the_readme_is_short_and_holds_the_two_commands() -> None:
    lines = README.splitlines()
    assert len(lines) <= 170
    for command in ("gmemgpu sweep ", "pytest"):
        # As .ci/run finds them.
        assert len([line for line in lines if re.match(rf"python3 -m venv .*{command}.*", line)]) == 1


@pytest.mark.parametrize("job", sorted((ROOT / "jobs").glob("*.toml")), ids=lambda job: job.name)
def test_jobs_are_valid(job: Path) -> None:
    from gmemgpu.sweeping.spec import read_spec

    assert read_spec(job).scenarios


def test_the_picture_shows_the_policies_of_the_quickstart() -> None:
    picture = PAGES / "quickstart.svg"
    assert f"]({picture.relative_to(ROOT).as_posix()})" in README
    written = " ".join(text for node in ElementTree.parse(picture).iter() for text in node.itertext())
    policies = tomllib.loads((ROOT / "jobs" / "quickstart.toml").read_text(encoding="utf-8"))["policies"]
    assert len(policies) > 10
    assert all(policy in written for policy in policies)
    assert "pods" in written
    assert "last big VM" in written


def test_the_citation_names_this_version() -> None:
    # CFF 1.2.0: these four keys are needed, and an entity has a name and no other needed key.
    found = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert found["cff-version"] == "1.2.0"
    assert found["version"] == gmemgpu.__version__
    assert found["title"]
    assert found["message"]
    assert found["authors"] == [{"name": "gmemgpu developers"}]


def test_hooks_are_those_of_ci() -> None:
    found = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = {hook["id"] for repo in found["repos"] for hook in repo["hooks"]}
    assert {"ruff", "ruff-format", "mypy", "numpydoc-validation", "check-yaml", "check-toml"} <= hooks
