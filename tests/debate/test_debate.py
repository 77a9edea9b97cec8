"""The questions of jobs/debate have all their parts, and a small debate is answered, or refused by its rows."""

from __future__ import annotations

import re
from pathlib import Path

import debate
import pytest
from questions import fingerprint, read_debate

from gmemgpu.cli.main import command_parser
from gmemgpu.errors import SpecError
from gmemgpu.sweeping.run.share import compute_share

FOLDER = Path(debate.__file__).parent
QUESTIONS = FOLDER / "questions.toml"
PAGE = (FOLDER / "DEBATE.md").read_text(encoding="utf-8")

SPEC = """
seeds = 8
policies = ["merged", "refcount", "boot_only"]

[workload]
preset = "mixed-pods"
host = { name = "pod", memory_bytes = "16 GiB", cores = 4 }
horizon_ns = "2 min"
warmup_ns = "10 s"
running = 20
sizes.scale = 0.125
memory = { rmp_segment_bytes = "8 GiB", shared_min_bytes = "8 MiB" }

[[scenario]]
name = "base"

[[scenario]]
name = "vmsa scatter"
memory.vmsa = "scatter"
"""

SMALL = """
intro = "What a reader must know."
outside = "What was not run."

[[question]]
number = 1
title = "Does anything help?"
asked = "somebody"
source = ["https://example.org/1"]
answer = "A count wins {won} points."
limits = "Small."
numbers.won = { table = "pods", policy = ["refcount"], quantity = "coverage", scale = 100 }
check = [{ table = "pods", policy = ["refcount"], quantity = "coverage", field = "value", at_least = 0.99 }]
claim = [
    { text = "a count covers more", table = "pods", policy = "refcount", quantity = "coverage", expect = "better" },
    { text = "it takes less time", table = "pods", policy = "refcount", quantity = "core_s", expect = "better" },
]

[[question.table]]
name = "pods"
caption = "Pods."
spec = "small"
policies = ["boot_only", "refcount"]
quantities = ["coverage", "never", "core_s"]
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small debate whose sweep has run."""
    folder = tmp_path_factory.mktemp("debate")
    (folder / "small.toml").write_text(SPEC)
    (folder / "questions.toml").write_text(SMALL)
    # As gmemgpu.sweep would, without the cluster that it starts.
    compute_share(folder / "small.toml", folder / "out" / "small", index=0, of=1, backend="numpy")
    assert run(folder) == 0
    return folder


def run(folder: Path, questions: str = "questions.toml") -> int:
    page = f"{questions}.md"
    places = ["-o", str(folder / "out"), "--questions", str(folder / questions), "--page", str(folder / page)]
    return debate.main([*places, "--backend", "numpy", "--workers", "1"])


def fenced(page: str) -> list[str]:
    return [
        line
        for block in re.findall(r"^```\w+\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
        for line in block.splitlines()
    ]


def test_every_question_of_the_thread_has_all_its_parts() -> None:
    # Reading checks that figures, claims, tables, policies, quantities and axes exist, and that no text is empty.
    found, specs = read_debate(QUESTIONS)
    assert [question.number for question in found.question] == list(range(1, 17))
    assert {path.stem for path in FOLDER.glob("*.toml")} - specs.keys() == {
        "questions",
        "guests",
        "pods",
        "variants",
        "policies-teardown",
    }
    assert all(address.startswith("https://") for question in found.question for address in question.source)


def test_the_page_is_of_these_questions_and_specs() -> None:
    found, specs = read_debate(QUESTIONS)
    assert fingerprint(found, specs) in PAGE, "run: python jobs/debate/debate.py -o results/debate"
    for question in found.question:
        assert f"## {question.number}. {question.title}\n" in PAGE


def test_tables_of_the_page_fit_a_mail() -> None:
    lines = fenced(PAGE)
    assert len(lines) > 200
    assert [line for line in lines if len(line) > 76] == []


def test_commands_of_the_page_are_what_gmemgpu_takes() -> None:
    commands = [
        line for line in "\n".join(fenced(PAGE)).replace("\\\n", " ").splitlines() if line.startswith("gmemgpu")
    ]
    assert len(commands) > 16
    for command in commands:
        name, *words = command.split()[1:]
        assert command_parser(name).parse_args(words).directory.startswith("results/debate/")


def test_links_to_questions_lead_to_their_headings() -> None:
    headings = re.findall(r"^## (\d+\. .*)$", PAGE, re.MULTILINE)
    anchors = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
    assert re.findall(r"^\d+\. \[.*\]\(#(.*)\)$", PAGE, re.MULTILINE) == anchors


def test_a_small_debate_is_answered(small: Path) -> None:
    page = (small / "questions.toml.md").read_text(encoding="utf-8")
    (won,) = re.findall(r"\*\*A count wins ([\d.]+) points\.\*\*", page)
    # The same figure as in the table.
    assert re.search(rf"^refcount +\+{won[:-2]}", page, re.MULTILINE)
    assert "(a) a count covers more: the same under all of them." in page
    assert "vmsa scatter" in page
    assert "update 50 ns" in page
    assert "gmemgpu show results/debate/small --baseline merged" in page
    assert max(map(len, fenced(page))) <= 76


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('expect = "better"', 'expect = "worse"', "must be worse and is better"),
        ("at_least = 0.99", "at_least = 1.5", "is below 1.5"),
    ],
)
def test_rows_that_contradict_an_answer_are_named_and_nothing_is_written(
    small: Path, old: str, new: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (small / "other.toml").write_text(SMALL.replace(old, new))
    assert run(small, "other.toml") == 1
    assert told in capsys.readouterr().err
    assert not (small / "other.toml.md").exists()


def test_every_mistake_of_a_question_is_named(small: Path) -> None:
    wrong = (
        SMALL.replace("{won}", "{one}").replace('"boot_only", "refcount"]', '"boot_onyl"]').replace('"never"', '"nevr"')
    )
    (small / "wrong.toml").write_text(wrong)
    with pytest.raises(SpecError) as caught:
        read_debate(small / "wrong.toml")
    told = " ".join(map(str, caught.value.problems))
    for message in (
        '"boot_onyl" is no policy of small',
        '"nevr" is no quantity',
        'refcount, coverage: not in table "pods"',
        "answer: 'one' is no number of it",
        "number won is not in the answer",
    ):
        assert message in told
