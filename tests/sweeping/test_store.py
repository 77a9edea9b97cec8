from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gmemgpu.errors import DirectoryError, StoreError
from gmemgpu.sweeping import manifest as manifests
from gmemgpu.sweeping import store as storing
from gmemgpu.sweeping.claim import MERGING
from gmemgpu.sweeping.identity import differences
from gmemgpu.sweeping.manifest import read_manifest
from gmemgpu.sweeping.part import part_name
from gmemgpu.sweeping.read import read_rows
from gmemgpu.sweeping.run import sweep
from gmemgpu.sweeping.status import read_status
from gmemgpu.sweeping.store import Store

Contents = Callable[[Path], dict[str, str]]


def refusal(spec: Path, directory: Path, **options: str) -> str:
    with pytest.raises(DirectoryError) as caught:
        sweep(spec, directory, **options)  # type: ignore[arg-type]
    assert caught.value.exit_code == 2
    return str(caught.value)


def failure(spec: Path, directory: Path) -> str:
    with pytest.raises(StoreError) as caught:
        sweep(spec, directory)
    assert caught.value.exit_code == 1
    return str(caught.value)


def changed(spec_file: Path, folder: Path, old: str, new: str) -> Path:
    path = folder / "changed.toml"
    text = spec_file.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("seeds = 2", "seeds = 3", "seeds: [0,1] there, [0,1,2] here"),
        (
            '"refcount"',
            '"v2"',
            '"dirty_10s","refcount","oracle"] there, ["never","v10","dirty_10s","v2","oracle"] here',
        ),
        ("stock.vms = 20", "stock.vms = 21", "workload.stock.vms: 20 there, 21 here"),
        ("[workload]", "costs.base = 1\n[workload]", "costs.base: 30 there, 1 here"),
        ("0.02, 0.04", "0.04, 0.02", "workload.snp.share: [0.02,0.04"),
    ],
)
def test_another_sweep_is_refused_with_the_difference(
    spec_file: Path, undisturbed: Path, contents: Contents, tmp_path: Path, old: str, new: str, line: str
) -> None:
    before = contents(undisturbed)
    message = refusal(changed(spec_file, tmp_path, old, new), undisturbed)
    assert message.startswith(f"{undisturbed}: holds another sweep; choose another directory")
    assert line in message
    assert contents(undisturbed) == before


def test_another_name_is_the_same_sweep(spec_file: Path, undisturbed: Path, tmp_path: Path) -> None:
    assert sweep(changed(spec_file, tmp_path, '"disturbed"', '"renamed"'), undisturbed).n_computed == 0


def test_another_engine_is_refused(spec_file: Path, undisturbed: Path) -> None:
    assert 'backend: "numpy" there, "reference" here' in refusal(spec_file, undisturbed, backend="reference")


def test_auto_goes_on_with_what_another_engine_began(spec_file: Path, undisturbed: Path, tmp_path: Path) -> None:
    directory = tmp_path / "out"
    shutil.copytree(undisturbed, directory)
    manifest = json.loads((directory / "manifest.json").read_text())
    begun = json.dumps({**manifest, "backend": "cupy"}, sort_keys=True, indent=1, ensure_ascii=False) + "\n"
    (directory / "manifest.json").write_text(begun)
    next((directory / "parts").iterdir()).unlink()
    (directory / "results.parquet").unlink()
    assert 'backend: "cupy" there, "numpy" here' in refusal(spec_file, directory, backend="numpy")
    assert sweep(spec_file, directory, workers=1).n_computed == 10
    assert (directory / "manifest.json").read_text() == begun
    for name in ("results.parquet", *(f"parts/{path.name}" for path in (undisturbed / "parts").iterdir())):
        assert (directory / name).read_bytes() == (undisturbed / name).read_bytes()


def test_other_code_and_other_versions_are_refused(
    spec_file: Path, undisturbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifests, "code_hash", lambda: "0" * 64)
    monkeypatch.setattr(manifests, "versions", lambda: {**storing_versions, "numpy": "1.0"})
    storing_versions = read_manifest(undisturbed)["versions"]
    message = refusal(spec_file, undisturbed)
    assert "\n  code: " in message
    assert f'versions.numpy: "{storing_versions["numpy"]}" there, "1.0" here' in message


def test_a_directory_of_other_things_is_left_alone(spec_file: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    assert "holds other files (thesis.tex); give a directory of its own" in refusal(spec_file, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_path_below_a_file_cannot_be_written(spec_file: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be written: Not a directory; choose another" in refusal(spec_file, tmp_path / "file" / "x")
    assert "cannot be written: File exists; choose another" in refusal(spec_file, tmp_path / "file")


@pytest.mark.parametrize(("number", "exit_code"), [(errno.EACCES, 2), (errno.EROFS, 2), (errno.ENOSPC, 1)])
def test_a_wrong_place_is_a_mistake_and_a_full_one_a_failure(
    spec_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, exit_code: int
) -> None:
    def refuse(path: Path, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StoreError, match=f"out: cannot be written: {os.strerror(number)}; ") as caught:
        sweep(spec_file, tmp_path / "out")
    assert caught.value.exit_code == exit_code


def test_without_its_manifest_a_finished_sweep_costs_nothing_either(
    spec_file: Path, undisturbed: Path, contents: Contents, tmp_path: Path
) -> None:
    directory = tmp_path / "out"
    shutil.copytree(undisturbed, directory)
    (directory / "manifest.json").write_text('{"schema": 1, ')
    assert "delete it and run the sweep again: parts are kept" in failure(spec_file, directory)
    (directory / "manifest.json").unlink()
    assert sweep(spec_file, directory).n_computed == 0
    assert contents(directory) == contents(undisturbed)


def test_merged_rows_of_another_sweep_are_not_written_over(
    spec_file: Path, undisturbed: Path, contents: Contents, tmp_path: Path
) -> None:
    directory = tmp_path / "out"
    shutil.copytree(undisturbed, directory)
    # Once whole, by the index of this directory; and still another sweep's.
    sweep(spec_file, directory)
    (directory / "manifest.json").unlink()
    before = contents(directory)
    other = changed(spec_file, tmp_path, "seeds = 2", "seeds = 3")
    assert "holds other files (results.parquet)" in refusal(other, directory)
    assert contents(directory) == before


def whole_but(**changes: Any) -> str:
    """Give a manifest that has everything, but for some keys."""
    keys = ("name", "backend", "versions", "code", "axes")
    whole = {"schema": 1, "spec": {"policies": []}, "results": {"id": "0", "rows": 0}, "parts": []}
    return json.dumps(dict.fromkeys(keys, "x") | whole | changes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "manifest.json: is damaged"),
        (
            '{"schema": 1, "name": "x"}',
            "manifest.json: is damaged (backend, versions, code, spec, axes, results, parts",
        ),
        ("[]", "manifest.json: is of schema None"),
        ('{"schema": 999}', "is of schema 999, and this version reads schema 1"),
        (whole_but(parts=[{"id": "0", "rows": 1}, 7]), "is damaged (parts[0].label, parts[0].seeds, parts[1].id, "),
        (whole_but(results={"id": "0"}), "is damaged (results[0].rows missing)"),
        (whole_but(spec={}), "is damaged (spec.policies missing)"),
        (whole_but(parts=3), "is damaged (list of parts or table of the spec missing)"),
    ],
)
def test_a_manifest_that_makes_no_sense(spec_file: Path, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    assert message in failure(spec_file, tmp_path)


def test_the_manifest_says_what_a_result_depends_on(undisturbed: Path) -> None:
    manifest = json.loads((undisturbed / "manifest.json").read_text())
    assert manifest["name"] == "disturbed"
    assert manifest["backend"] == "numpy"
    assert set(manifest["versions"]) == {"gmemgpu", "python", "numpy", "pyarrow"}
    assert manifest["spec"]["workload"]["stock"] == {"vms": 20}
    assert len(manifest["parts"]) == 24
    assert {path.stem.removeprefix("part-") for path in (undisturbed / "parts").iterdir()} == {
        part["id"] for part in manifest["parts"]
    }


def test_merged_rows_that_went_bad_are_merged_again(
    spec_file: Path, undisturbed: Path, contents: Contents, tmp_path: Path
) -> None:
    directory = tmp_path / "out"
    shutil.copytree(undisturbed, directory)
    results = directory / "results.parquet"
    data = bytearray(results.read_bytes())
    data[len(data) // 3] ^= 0xFF
    results.write_bytes(bytes(data))
    with pytest.raises(
        StoreError, match=rf"is damaged .*; `gmemgpu check {directory} --repair` says which and removes"
    ):
        read_rows(directory)
    assert sweep(spec_file, directory).n_computed == 0
    assert contents(directory) == contents(undisturbed)


def test_merged_rows_that_were_whole_once_are_not_read_again(
    spec_file: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "out"
    shutil.copytree(undisturbed, directory)
    n_read = 0
    really = storing.part_is_done

    def count(*arguments: Any, **options: Any) -> bool:
        nonlocal n_read
        n_read += options.get("in_full", False)
        return really(*arguments, **options)

    monkeypatch.setattr(storing, "part_is_done", count)
    for _ in range(3):
        assert sweep(spec_file, directory).n_computed == 0
    assert n_read == 1


def test_rows_of_an_unfinished_sweep_can_be_read(undisturbed: Path, tmp_path: Path) -> None:
    directory = tmp_path / "out"
    shutil.copytree(undisturbed, directory)
    (directory / "results.parquet").unlink()
    for path in sorted((directory / "parts").iterdir())[:20]:
        path.unlink()
    stored = read_rows(directory, ["never"])
    assert (stored.n_parts_done, stored.n_parts) == (4, 24)
    assert stored.table.num_rows == 40
    assert stored.table.column_names == ["label", "preset", "snp.share", "seed", "policy", "never"]
    for path in (directory / "parts").iterdir():
        path.unlink()
    with pytest.raises(StoreError, match=r"no part is finished yet \(0 of 24\)"):
        read_rows(directory)


def test_parts_and_merged_rows_say_the_same(undisturbed: Path, tmp_path: Path) -> None:
    directory = tmp_path / "out"
    shutil.copytree(undisturbed, directory)
    (directory / "results.parquet").unlink()
    assert read_rows(directory).table.equals(read_rows(undisturbed).table)


def test_a_directory_without_a_sweep(tmp_path: Path) -> None:
    with pytest.raises(DirectoryError, match=r"holds no sweep \(manifest.json is missing\); give"):
        read_rows(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(DirectoryError, match="cannot be read: Not a directory; give"):
        read_rows(tmp_path / "file")


def test_differences_name_keys_and_both_values() -> None:
    there = {"a": 1, "b": {"c": [1], "d": "x"}, "gone": True}
    here = {"a": 1, "b": {"c": [2], "d": "x"}, "new": "y" * 99}
    assert differences(there, here) == [
        "b.c: [1] there, [2] here",
        "gone: true there, nothing here",
        f'new: nothing there, "{"y" * 56}… here',
    ]


def test_of_two_sweeps_that_begin_at_once_one_is_refused(
    spec_file: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "out"
    theirs = (undisturbed / "manifest.json").read_bytes()
    really = storing.manifest_bytes

    def beaten_to_it(manifest: dict[str, Any]) -> bytes:
        # After the last look for a manifest, before ours has its name.
        (directory / "manifest.json").write_bytes(theirs)
        return really(manifest)

    monkeypatch.setattr(storing, "manifest_bytes", beaten_to_it)
    other = changed(spec_file, tmp_path, "seeds = 2", "seeds = 3")
    assert "holds another sweep" in refusal(other, directory)
    assert (directory / "manifest.json").read_bytes() == theirs
    assert [path.name for path in directory.iterdir()] == ["manifest.json", "parts"]


def test_one_client_merges_for_all_and_another_takes_over_if_it_dies(
    made_up: Store, again: Callable[[], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    with made_up.claims() as claims:
        assert claims.take(MERGING)
        assert read_status(made_up.directory).clients[0].n_claims == 0

        def die(wait_s: float) -> None:
            waits.append(wait_s)
            claims.release(MERGING)

        monkeypatch.setattr(storing.time, "sleep", die)
        again().merge()
    assert waits == [1.0]
    merged = made_up.results.read_bytes()
    made_up.results.unlink()
    with made_up.claims() as claims:
        assert claims.take(MERGING)
        # While we wait, the other client gets it done.
        monkeypatch.setattr(storing.time, "sleep", lambda wait_s: made_up.results.write_bytes(merged))
        monkeypatch.setattr(Store, "_write_results", None)
        again().merge()
    assert made_up.results.read_bytes() == merged


def test_who_was_taken_for_dead_while_it_merged_has_nothing_to_add(
    made_up: Store, again: Callable[[], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    really = Store._write_results

    def lose_the_file(store: Store) -> None:
        really(store)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "removed under its hands")

    monkeypatch.setattr(Store, "_write_results", lose_the_file)
    again().merge()
    made_up.results.unlink()

    def fail(store: Store) -> None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "removed under its hands")

    monkeypatch.setattr(Store, "_write_results", fail)
    with pytest.raises(StoreError, match="No such file or directory; somebody removed it"):
        again().merge()


def test_a_damaged_part_that_others_left_is_removed_before_it_is_computed(
    made_up: Store, again: Callable[[], Store]
) -> None:
    one, other = made_up.plan.shards[3], made_up.plan.shards[4]
    path = made_up.parts / part_name(one.part_id)
    path.write_bytes((made_up.parts / part_name(other.part_id)).read_bytes())
    store = again()
    opened: list[object] = []
    really = os.open
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", lambda name, *rest, **named: opened.append(name) or really(name, *rest, **named))
        store.remove_if_damaged(other)
    # As network file systems want it.
    assert made_up.parts in opened
    store.remove_if_damaged(one)
    assert not path.exists()
    store.remove_if_damaged(one)
    assert store.missing() == [one]
