"""Every command in README and pages is run, or where it needs a cluster or a GPU at least parsed."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from forked_commands import Forking, forking

from gmemgpu.cli.help import TOPICS
from gmemgpu.cli.main import COMMANDS, command_parser, main

ROOT = Path(__file__).parents[2]
TEXTS = ["README.md", *(f"gmemgpu/docs/{topic}.md" for topic in TOPICS)]
WHERE = {"", "cluster", "gpu", "setup"}
"""What may follow ``sh``; gmemgpu/docs/contributing.md says what each means."""
ENGINES = (["sweep"], ["shard"], ["evaluate"], ["verify"], ["doctor"])


@dataclass(frozen=True)
class Block:
    """A fenced block: language, the word after it, and text."""

    language: str
    word: str
    text: str

    def commands(self) -> Iterator[str]:
        """Yield the lines of a shell block, joined where one goes on, comments cut."""
        for line in self.text.replace("\\\n", " ").splitlines():
            command = re.sub(r"(^|\s{2,})#.*", "", line).strip()
            if command:
                yield command


def blocks(page: str) -> list[Block]:
    found = re.findall(
        r"^```(\w+) ?([^\n]*)\n(.*?)^```$", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    return [Block(*parts) for parts in found]


def quotes(page: str) -> list[str]:
    found = re.findall(r"((?:^> .*\n)+)", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    return [" ".join(quote.replace("> ", "").split()) for quote in found]


def parse(command: str) -> None:
    """Check a command without running it: options of gmemgpu, files, extras and modules that it names."""
    words = shlex.split(command)
    program = Path(words[0]).name
    for word in words[1:]:
        assert not word.startswith("jobs/") or (ROOT / word).exists(), command
    if program == "gmemgpu":
        assert words[1] in COMMANDS, command
        command_parser(words[1]).parse_args(words[2:])
    elif program == "pip":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        assert set(re.findall(r"\[(\w+)\]", command)) <= set(extras), command
    elif program == "python":
        assert words[1] == "-m"
        assert importlib.util.find_spec(words[2]) is not None, command
    elif program == "sbatch":
        script = next(word for word in words if word.endswith(".sbatch"))
        assert f"sbatch {words[1]} " in (ROOT / script).read_text(), command
    else:
        assert program in ("pytest", "python3", "pre-commit"), command


def run(command: str, forked: Forking | None) -> int:
    """Run what takes no engine in this process, what does as a fork, anything else in a shell that has `gmemgpu`."""
    words = shlex.split(command)
    if words[0] == "gmemgpu" and not set(command) & set("|;&<>$*`"):
        if words[1:2] not in ENGINES:
            return main(words[1:])
        # Here an emulated GPU may be found, which a reader does not have; a process of its own has what is installed.
        if forked:
            return forked.run(words[1:])
    return subprocess.run(["bash", "-euo", "pipefail", "-c", command], check=False, timeout=300).returncode


@pytest.fixture(scope="module")
def forked() -> Iterator[Forking]:
    with forking() as found:
        yield found


@pytest.mark.parametrize("page", [pytest.param("README.md", marks=pytest.mark.slow), *TEXTS[1:]])
def test_commands(
    page: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    (tmp_path / "jobs").symlink_to(ROOT / "jobs")
    (tmp_path / "bin").mkdir()
    shim = tmp_path / "bin" / "gmemgpu"
    shim.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m gmemgpu "$@"\n')
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    found = blocks(page)
    # Of the README each process begins as a reader's does.
    start = None if page == "README.md" else request.getfixturevalue("forked")
    # Files first: a page may show a spec after the command that reads it.
    for block in found:
        if block.word.startswith("file="):
            (tmp_path / block.word.removeprefix("file=")).write_text(block.text, encoding="utf-8")
    for block in found:
        if block.language == "sh":
            assert block.word in WHERE, f"{page}: {block.word}"
            for command in block.commands():
                if block.word:
                    for one in command.split(" && "):
                        parse(one)
                else:
                    status = run(command, start)
                    assert status == 0, f"{command}: {status}\n{capfd.readouterr().err}"
        elif block.language == "python" and not block.word:
            run_python(block.text, tmp_path)
    # Cells of a notebook share what they name; worker processes of a notebook do not import it.
    cells = [block.text for block in found if (block.language, block.word) == ("python", "notebook")]
    if cells:
        run_python('if __name__ == "__main__":\n' + textwrap.indent("".join(cells), "    "), tmp_path)
    # What a page quotes is what one of its commands said.
    said = " ".join(capfd.readouterr().out.split())
    for quoted in quotes(page):
        assert quoted in said


def run_python(text: str, folder: Path) -> None:
    """Run a script in a process of its own."""
    (folder / "script.py").write_text(text, encoding="utf-8")
    ran = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr


def test_blocks_are_found() -> None:
    # A fence that the expression above does not see would never be run.
    for page in TEXTS:
        assert (ROOT / page).read_text(encoding="utf-8").count("\n```") == 2 * len(blocks(page)), page
    assert sum(block.language == "sh" for page in TEXTS for block in blocks(page)) > 15
    assert {block.word for page in TEXTS for block in blocks(page) if block.language == "sh"} == WHERE
    assert len(quotes("README.md")) == 1
