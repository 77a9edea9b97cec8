"""A sweep's bar, as a notebook shows it."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from gmemgpu.report.progress_bar import ProgressBar
from gmemgpu.sweeping.run.progress import ShardsDone, SweepMerged, SweepStarted


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Be a notebook, and keep what it shows: whether it came anew or in place of the last, and its HTML."""
    found: list[tuple[str, str]] = []

    def display(shown: str, *, display_id: bool) -> Any:
        assert display_id
        found.append(("new", shown))
        return SimpleNamespace(update=lambda shown: found.append(("update", shown)))

    module: Any = ModuleType("IPython.display")
    module.HTML, module.display = str, display
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    return found


def test_a_notebook_draws_one_element_anew(
    drawn: list[tuple[str, str]], recwarn: pytest.WarningsRecorder, capsys: pytest.CaptureFixture[str]
) -> None:
    bar = ProgressBar()
    bar(SweepStarted(n_shards=3, n_shards_done=1, n_rows=3000, n_rows_done=1000, backend="numpy", reason=None))
    bar(ShardsDone(label="<b>", n_rows=1000))
    bar(ShardsDone(label="b", n_rows=1000))
    bar(SweepMerged(n_rows=3000))
    assert [how for how, _ in drawn] == ["new", "update", "update", "update"]
    element = '<progress value="{}" max="3000" style="width: 20em"></progress> '
    assert drawn[0][1] == f"{element.format(1000)}1,000 of 3,000 evaluations · starting workers"
    assert drawn[1][1].startswith(f"{element.format(2000)}2,000 of 3,000 evaluations · ")
    assert "&lt;b&gt;" in drawn[1][1]
    assert drawn[-1][1].startswith(f"{element.format(3000)}3,000 of 3,000 evaluations · ")
    assert drawn[-1][1].endswith(" · done")
    assert not recwarn.list
    assert capsys.readouterr() == ("", "")
