"""Files of a results directory that went bad: found by whoever reads them, and one sweep later all is as it was."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest
from distributed import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sweep_processes import parts_of

from gmemgpu.cli.main import main
from gmemgpu.errors import DirectoryError, StoreError
from gmemgpu.sweeping.run.share import compute_share
from gmemgpu.sweeping.run.sweep import sweep
from gmemgpu.sweeping.store.check import check_directory
from gmemgpu.sweeping.store.read import read_rows

Contents = Callable[[Path], dict[str, str]]

OTHER = {
    "policies": ["v10"],
    "workload": {
        "preset": "idle-snp",
        "horizon_ns": "10 min",
        "warmup_ns": "1 s",
        "sizes": {"scale": 0.25},
        "snp": {"share": [0.4, 0.6, 0.7]},
    },
}
"""Two of its scenarios are also the tiny sweep's, at other places."""


def truncate(part: Path, other: Path) -> None:
    part.write_bytes(part.read_bytes()[:-5])


def empty(part: Path, other: Path) -> None:
    part.write_bytes(b"")


def swap(part: Path, other: Path) -> None:
    mine, its = part.read_bytes(), other.read_bytes()
    part.write_bytes(its)
    other.write_bytes(mine)


def swap_with_digests(part: Path, other: Path) -> None:
    # So that the bytes are those that each name tells of.
    (mine, my_sha), (its, its_sha) = part.name.split("-"), other.name.split("-")
    held = part.read_bytes()
    other.rename(part.with_name(f"{mine}-{its_sha}"))
    part.unlink()
    part.with_name(f"{its}-{my_sha}").write_bytes(held)


def write_other_numbers(part: Path, other: Path) -> None:
    # A whole file of the same columns and the same origin.
    table = pa.ipc.open_file(part).read_all()
    i = table.schema.get_field_index("events")
    table = table.set_column(i, table.schema.field(i), pc.add(table["events"], 1))
    with pa.ipc.new_file(part, table.schema) as writer:
        writer.write_table(table)


def write_text(part: Path, other: Path) -> None:
    part.write_text("no Arrow file")


PART_DAMAGES = [truncate, empty, swap, swap_with_digests, write_other_numbers, write_text]


@pytest.mark.parametrize("damage", PART_DAMAGES)
def test_a_damaged_part_is_found_and_made_anew(
    tiny_file: Path,
    tiny_whole: Path,
    tiny: Path,
    contents: Contents,
    threads: Client,
    damage: Callable[[Path, Path], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    # The merged rows would do for `show`: it does not read the parts then.
    (tiny / "results.parquet").unlink()
    damage(*parts_of(tiny)[1:3])
    assert main(["check", str(tiny)]) == 1
    told = capsys.readouterr().out
    assert str(tiny / "parts") in told
    assert f"`gmemgpu check {tiny} --repair` removes what is damaged; then run the sweep again" in told
    with pytest.raises(StoreError, match=rf"{tiny}/parts/.*; run the sweep again, or `gmemgpu check .* --repair`"):
        read_rows(tiny)
    # Without a repair: nobody may have looked.
    unrepaired = Path(shutil.copytree(tiny, tiny.with_name("unrepaired")))
    assert sweep(tiny_file, unrepaired, threads).n_computed > 0
    assert contents(unrepaired) == contents(tiny_whole)
    assert main(["check", str(tiny), "--repair"]) == 0
    assert sweep(tiny_file, tiny, threads).n_computed > 0
    assert contents(tiny) == contents(tiny_whole)
    assert main(["check", str(tiny)]) == 0


def test_a_part_of_another_sweep_is_not_taken_for_ours(
    tiny_file: Path, tiny_whole: Path, tiny: Path, contents: Contents, threads: Client, tmp_path: Path
) -> None:
    compute_share(OTHER, tmp_path / "other", index=0, of=1, backend="numpy")
    theirs = {path.name.split("-")[0]: path for path in parts_of(tmp_path / "other")}
    (tiny / "results.parquet").unlink()
    shared = [path for path in parts_of(tiny) if path.name.split("-")[0] in theirs]
    assert len(shared) == 2
    for path in shared:
        path.unlink()
    for path in theirs.values():
        shutil.copyfile(path, tiny / "parts" / path.name)
    assert [fault.what for fault in check_directory(tiny).faults] == ["belongs to another sweep"] * 3
    unrepaired = Path(shutil.copytree(tiny, tmp_path / "unrepaired"))
    sweep(tiny_file, unrepaired, threads)
    assert (unrepaired / "results.parquet").read_bytes() == (tiny_whole / "results.parquet").read_bytes()
    # Of the third scenario we know nothing: it may be somebody's.
    check_directory(tiny, repair=True)
    sweep(tiny_file, tiny, threads)
    assert contents(tiny) == contents(tiny_whole)


def test_a_second_file_of_a_shard_is_found(
    tiny_file: Path, tiny_whole: Path, tiny: Path, contents: Contents, threads: Client
) -> None:
    part = parts_of(tiny)[0]
    for sha in ("0" * 16, "f" * 16):
        shutil.copyfile(part, part.with_name(f"{part.name.split('-')[0]}-{sha}.arrow"))
    assert main(["check", str(tiny)]) == 1
    assert main(["check", str(tiny), "--repair"]) == 0
    sweep(tiny_file, tiny, threads)
    assert main(["check", str(tiny), "--repair"]) == 0
    sweep(tiny_file, tiny, threads)
    assert contents(tiny) == contents(tiny_whole)


def test_merged_rows_with_other_numbers_are_found_by_all_and_merged_again(
    tiny_file: Path, tiny_whole: Path, tiny: Path, contents: Contents, threads: Client
) -> None:
    def spoil() -> None:
        table = pq.ParquetFile(tiny / "results.parquet").read()
        i = table.schema.get_field_index("events")
        pq.write_table(table.set_column(i, table.schema.field(i), pc.add(table["events"], 1)), tiny / "results.parquet")

    spoil()
    with pytest.raises(StoreError, match=r"results.parquet: is damaged: .*; run the sweep again, or"):
        read_rows(tiny)
    (fault,) = check_directory(tiny).faults
    assert fault.what == "is damaged: its bytes are not those that were written"
    assert sweep(tiny_file, tiny, threads).n_computed == 0
    assert contents(tiny) == contents(tiny_whole)
    spoil()
    assert check_directory(tiny, repair=True).faults[0].removed
    assert read_rows(tiny).n_parts_done == 5
    sweep(tiny_file, tiny, threads)
    assert contents(tiny) == contents(tiny_whole)


@settings(
    max_examples=settings.default.max_examples * 3 // 10, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    place=st.floats(0, 1, exclude_max=True),
    bit=st.integers(0, 7),
    which=st.sampled_from(["part", "results", "manifest"]),
)
def test_any_flipped_bit_is_found_and_a_sweep_gets_out_of_it(
    tiny_file: Path,
    tiny_whole: Path,
    tiny: Path,
    contents: Contents,
    threads: Client,
    place: float,
    bit: int,
    which: str,
) -> None:
    path = {"part": parts_of(tiny)[2], "results": tiny / "results.parquet", "manifest": tiny / "manifest.json"}[which]
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] ^= 1 << bit
    path.write_bytes(data)
    found = [fault.path for fault in check_directory(tiny).faults]
    # White space of the manifest may differ from what was written, and means the same.
    assert found == [path] or (which == "manifest" and json.loads(data) == manifest_of(tiny_whole))
    if which == "results":
        with pytest.raises(StoreError, match="is damaged"):
            read_rows(tiny)
    check_directory(tiny, repair=True)
    sweep(tiny_file, tiny, threads)
    assert manifest_of(tiny) == manifest_of(tiny_whole)
    assert contents(tiny) | {"manifest.json": ""} == contents(tiny_whole) | {"manifest.json": ""}


def manifest_of(directory: Path) -> dict[str, Any]:
    return dict(json.loads((directory / "manifest.json").read_text()))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "manifest.json: is damaged"),
        ("{", "manifest.json: is damaged"),
        ("[]", "manifest.json: is damaged"),
        ("[" * 3000, "manifest.json: is damaged"),
        ('{"schema": 3}', "manifest.json: is damaged"),
        ('{"schema": 1}', "manifest.json: is of schema 1, and this version of gmemgpu reads schema 3; use another"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_told(
    tiny_file: Path, tiny: Path, threads: Client, text: str, message: str
) -> None:
    (tiny / "manifest.json").write_text(text)
    for use in (lambda: sweep(tiny_file, tiny, threads), lambda: read_rows(tiny)):
        with pytest.raises(StoreError, match=message) as caught:
            use()
        assert caught.value.exit_code == 1


def test_without_its_manifest_a_sweep_keeps_its_parts(
    tiny_file: Path, tiny_whole: Path, tiny: Path, contents: Contents, threads: Client
) -> None:
    (tiny / "manifest.json").write_text('{"schema": 3, ')
    assert main(["check", str(tiny)]) == 1
    assert main(["check", str(tiny), "--repair"]) == 0
    assert not (tiny / "manifest.json").exists()
    assert sweep(tiny_file, tiny, threads).n_computed == 0
    assert contents(tiny) == contents(tiny_whole)


def test_a_part_with_other_numbers_and_their_digest_is_held_against_the_merged_rows(tiny: Path) -> None:
    part = parts_of(tiny)[0]
    write_other_numbers(part, part)
    sha = hashlib.sha256(part.read_bytes()).hexdigest()[:16]
    part.rename(part.with_name(f"{part.name.split('-')[0]}-{sha}.arrow"))
    (fault,) = check_directory(tiny).faults
    assert (fault.path, fault.what) == (tiny / "results.parquet", "holds other rows than the parts")


def test_a_directory_without_a_sweep_is_told(tmp_path: Path) -> None:
    with pytest.raises(DirectoryError, match=r"holds no sweep \(manifest.json is missing\); give"):
        read_rows(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(DirectoryError, match="is a file, not a results directory"):
        read_rows(tmp_path / "file")
