from __future__ import annotations

import dataclasses
import errno
import os
from pathlib import Path

import pytest

from gmemgpu.errors import StoreError
from gmemgpu.sweeping.journal import Failure, Journal

FAILURE = Failure(
    part_id="0" * 32,
    label="snp.share=0.5",
    seeds=(3, 4),
    n_rows=10,
    kind="killed",
    message="its process died µ times",
    attempts=3,
    where="node7",
)
OTHER = dataclasses.replace(FAILURE, part_id="1" * 32, kind="error", where="")


def test_what_is_recorded_is_read_back_until_it_is_forgotten(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "failures")
    assert journal.read() == {}
    assert journal.forget() == 0
    journal.record(OTHER)
    journal.record(FAILURE)
    assert Journal(tmp_path / "failures").read() == {FAILURE.part_id: FAILURE, OTHER.part_id: OTHER}
    again = dataclasses.replace(FAILURE, attempts=4)
    journal.record(again)
    assert journal.read()[FAILURE.part_id] == again
    assert journal.forget([OTHER.part_id, "never heard of"]) == 1
    assert journal.read() == {FAILURE.part_id: again}
    assert journal.forget() == 1
    assert journal.read() == {}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"part_id": "x"}', '{"seeds": 3}'],
)
def test_an_entry_that_makes_no_sense_is_none(tmp_path: Path, text: str) -> None:
    journal = Journal(tmp_path)
    journal.record(FAILURE)
    (tmp_path / f"{OTHER.part_id}.json").write_text(text)
    assert journal.read() == {FAILURE.part_id: FAILURE}
    assert journal.forget() == 2


@pytest.mark.parametrize(("old", "new"), [('"killed"', '"bored"'), ("0" * 32, "2" * 32)])
def test_nor_is_one_of_an_unknown_kind_or_under_a_wrong_name(tmp_path: Path, old: str, new: str) -> None:
    journal = Journal(tmp_path)
    journal.record(FAILURE)
    path = tmp_path / f"{FAILURE.part_id}.json"
    path.write_text(path.read_text().replace(old, new))
    assert journal.read() == {}


def test_nothing_half_written_stays_when_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="failures: cannot be written: No space left on device"):
        Journal(tmp_path / "failures").record(FAILURE)
    assert list((tmp_path / "failures").iterdir()) == []


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "failures").write_text("no folder")
    with pytest.raises(StoreError, match="failures: cannot be read: Not a directory"):
        Journal(tmp_path / "failures").read()
    journal = Journal(tmp_path)
    (tmp_path / "x.json").mkdir()
    with pytest.raises(StoreError, match=r"x\.json: cannot be read: Is a directory"):
        journal.read()
    with pytest.raises(StoreError, match="cannot be written: Is a directory"):
        journal.forget()
