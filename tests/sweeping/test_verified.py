from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from gmemgpu.errors import StoreError
from gmemgpu.sweeping import store as storing
from gmemgpu.sweeping import verified as verifying
from gmemgpu.sweeping.part import part_name
from gmemgpu.sweeping.shard import Shard
from gmemgpu.sweeping.store import Store
from gmemgpu.sweeping.verified import VerifiedParts

Again = Callable[[], Store]


def path_of(store: Store, i: int) -> Path:
    return store.parts / part_name(store.plan.shards[i].part_id)


def damage_page(path: Path) -> None:
    """Turn a bit in the first pages, which the footer does not vouch for; their checksums do."""
    with path.open("r+b") as file:
        file.seek(60)
        byte = file.read(1)[0]
        file.seek(60)
        file.write(bytes([byte ^ 0xFF]))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the parts that are opened: for their footers, and for everything in them."""
    found: list[str] = []

    def watch(name: str) -> None:
        original = getattr(storing, name)

        def watched(path: Path, *arguments: object) -> object:
            found.append(f"{name} {path.name}")
            return original(path, *arguments)

        monkeypatch.setattr(storing, name, watched)

    watch("part_is_done")
    watch("read_part")
    return found


def test_what_was_whole_once_is_not_opened_again(made_up: Store, again: Again, opened: list[str]) -> None:
    assert made_up.missing() == []
    assert len(opened) == 20
    opened.clear()
    store = again()
    assert store.missing() == []
    assert all(store.is_done(shard) for shard in store.plan.shards)
    assert opened == []


def test_what_a_client_noted_the_next_one_knows(made_up: Store, again: Again, opened: list[str]) -> None:
    made_up.note_done(made_up.plan.shards[:5])
    made_up.merge()
    opened.clear()
    assert again().missing() == []
    assert opened == []


def test_noting_parts_one_by_one_is_saved_now_and_then(
    made_up: Store, again: Again, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifying, "_MAX_UNSAVED", 8)
    for shard in made_up.plan.shards:
        made_up.note_done([shard])
    # Sixteen were saved; a client that is killed now loses the last four.
    assert again().missing() == []
    assert len(opened) == 4


def truncate(store: Store) -> None:
    path = path_of(store, 3)
    os.truncate(path, path.stat().st_size - 10)


def write_garbage(store: Store) -> None:
    path = path_of(store, 3)
    path.write_bytes(b"x" * path.stat().st_size)


def turn_a_bit(store: Store) -> None:
    damage_page(path_of(store, 3))


def replace_by_another(store: Store) -> None:
    shutil.copy2(path_of(store, 4), path_of(store, 3))


def remove(store: Store) -> None:
    path_of(store, 3).unlink()


@pytest.mark.parametrize("disturb", [truncate, write_garbage, turn_a_bit, replace_by_another, remove])
def test_what_happened_to_a_part_is_noticed_and_its_shard_is_missing(
    made_up: Store, again: Again, disturb: Callable[[Store], None]
) -> None:
    assert made_up.missing() == []
    disturb(made_up)
    assert not again().is_done(made_up.plan.shards[3])
    assert again().missing() == [made_up.plan.shards[3]]
    # What a worker sees next: nothing that it could take for done.
    assert not path_of(made_up, 3).exists()


def test_parts_that_changed_places_are_both_missing(made_up: Store, again: Again) -> None:
    assert made_up.missing() == []
    one, two, aside = path_of(made_up, 3), path_of(made_up, 4), made_up.directory / "aside"
    one.rename(aside)
    two.rename(one)
    aside.rename(two)
    assert again().missing() == list(made_up.plan.shards[3:5])


def test_time_stamps_set_back_do_not_hide_it(made_up: Store, again: Again) -> None:
    assert made_up.missing() == []
    path = path_of(made_up, 3)
    before = path.stat()
    damage_page(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_mtime_ns, path.stat().st_size) == (before.st_mtime_ns, before.st_size)
    assert again().missing() == [made_up.plan.shards[3]]


def test_a_part_that_was_only_touched_is_read_and_kept(made_up: Store, again: Again, opened: list[str]) -> None:
    assert made_up.missing() == []
    os.utime(path_of(made_up, 3), (1, 1))
    opened.clear()
    assert again().missing() == []
    assert opened == [f"read_part {path_of(made_up, 3).name}"]
    assert again().missing() == []
    assert len(opened) == 1


@pytest.mark.parametrize("damage", ["gone", "torn", "other", "binary", "folder"])
def test_an_index_that_is_damaged_costs_time_alone(
    made_up: Store, again: Again, opened: list[str], damage: str
) -> None:
    assert made_up.missing() == []
    index = made_up.directory / "verified.txt"
    text = index.read_bytes()
    index.unlink()
    if damage == "torn":
        index.write_bytes(text[:-40])
    elif damage == "other":
        index.write_bytes(text.replace(b"0", b"1"))
    elif damage == "binary":
        index.write_bytes(b"\xff" * 100)
    elif damage == "folder":
        index.mkdir()
    opened.clear()
    assert again().missing() == []
    assert len(opened) == 20


def test_an_index_that_cannot_be_written_is_done_without(
    made_up: Store, again: Again, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert made_up.missing() == []
    assert sorted(path.name for path in made_up.directory.iterdir()) == ["manifest.json", "parts"]


def test_of_two_clients_that_write_the_index_the_last_wins(made_up: Store, again: Again, opened: list[str]) -> None:
    one, two = again(), again()
    one.note_done(made_up.plan.shards[:10])
    two.note_done(made_up.plan.shards[10:15])
    one._verified.save()
    two._verified.save()
    assert again().missing() == []
    assert len(opened) == 15


def test_a_bit_that_turned_before_anybody_looked_is_found_by_the_merge_and_redone(made_up: Store, again: Again) -> None:
    damage_page(path_of(made_up, 3))
    # Its footer is as it was.
    assert made_up.missing() == []
    with pytest.raises(StoreError) as caught:
        made_up.merge()
    message = str(caught.value)
    assert message.startswith(f"{path_of(made_up, 3)}: is damaged (")
    assert message.endswith("; run the sweep, or all shares of it, once more: that part is computed anew")
    assert not made_up.results.exists()
    assert again().missing() == [made_up.plan.shards[3]]


def test_a_part_that_is_gone_or_anothers_is_never_merged(made_up: Store) -> None:
    shards = made_up.plan.shards
    replace_by_another(made_up)
    with pytest.raises(StoreError, match="holds the rows of another shard; run the sweep, or all shares"):
        made_up.merge()
    remove(made_up)
    with pytest.raises(StoreError, match=f"part-{shards[3].part_id}.parquet: is missing; run the sweep"):
        made_up.merge()


def test_states_are_compared_and_not_interpreted(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("x")
    index = VerifiedParts(tmp_path / "index")
    assert index.compare("a", path.stat()) == "unknown"
    index.note("a", path.stat())
    assert index.compare("a", path.stat()) == "same"
    path.chmod(stat.S_IRUSR)
    assert index.compare("a", path.stat()) == "changed"


def test_shards_know_nothing_of_the_index(made_up: Store) -> None:
    # What is done counts by its own bytes: with the index gone the same shards are missing.
    remove(made_up)
    first: list[Shard] = made_up.missing()
    (made_up.directory / "verified.txt").unlink()
    assert Store(directory=made_up.directory, plan=made_up.plan).missing() == first
