from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from distributed import Client

from gmemgpu.cli.main import main
from gmemgpu.errors import DirectoryError, SpecError
from gmemgpu.report.comparison import compare
from gmemgpu.sweeping.run.progress import SweepEvent, SweepStarted
from gmemgpu.sweeping.run.sweep import sweep
from gmemgpu.sweeping.store import extension
from gmemgpu.sweeping.store.check import check_directory
from gmemgpu.sweeping.store.manifest import read_manifest, sweep_command
from gmemgpu.sweeping.store.status import read_status
from gmemgpu.until import read_target, sweep_until, told_stop

N_POLICIES = 3  # with the oracle
SPEC = """
policies = ["v10", "refcount"]
backend = "numpy"

[workload]
preset = "mixed-pods"
host = { name = "pod", memory_bytes = "16 GiB", cores = 4 }
horizon_ns = "1 min"
warmup_ns = 0
sizes.scale = 0.125
snp.share = [0.5, 1.0]
"""
IDLE = """
policies = ["v10", "refcount"]
backend = "numpy"

[workload]
preset = "idle-snp"
horizon_ns = "10 min"
warmup_ns = "1 s"
sizes.scale = 0.25
snp.share = 0.4
"""
STRICT, LOOSE = "core-s: 1 ns", "core-s: 1 h"
Contents = Callable[[Path], dict[str, str]]


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "spec.toml"
    path.write_text(SPEC)
    return path


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, threads: Client) -> Callable[[int], Path]:
    """Return a function for the directory of a usual sweep of so many seeds, which tests must leave as it is."""
    folder = tmp_path_factory.mktemp("plain")

    def directory(n: int) -> Path:
        spec = folder / f"plain-{n}.toml"
        if not spec.exists():
            spec.write_text(f'name = "spec"\nseeds = {n}\n{SPEC}')
            sweep(spec, folder / str(n), threads)
        return folder / str(n)

    return directory


def assert_same_but_for_until(found: Path, usual: Path, contents: Contents) -> None:
    names = contents(found), contents(usual)
    for one in names:
        del one["manifest.json"]
    assert names[0] == names[1]
    assert replace(read_manifest(found), until=None, spec_file=None) == replace(read_manifest(usual), spec_file=None)
    assert not check_directory(found).faults


def test_it_stops_after_eight_seeds_if_these_are_enough(
    spec: Path, tmp_path: Path, threads: Client, contents: Contents, plain: Callable[[int], Path]
) -> None:
    result, stop = sweep_until(spec, tmp_path / "out", threads, until=LOOSE)
    assert (stop["stop"], stop["rounds"], stop["wide"]) == ("reached", [8], [])
    assert result.n_computed == result.n_rows == 2 * 8 * N_POLICIES
    assert read_manifest(tmp_path / "out").until == stop == read_status(tmp_path / "out").until
    assert_same_but_for_until(tmp_path / "out", plain(8), contents)
    command = sweep_command(read_manifest(tmp_path / "out"), "DIR")
    assert command == "gmemgpu sweep spec.toml -o DIR --until 'core_s: 1 h' --baseline v10 --max-seeds 64"
    assert read_target("core_s: 1 h") == read_target(LOOSE)


def test_it_goes_on_to_the_ceiling_and_computes_nothing_twice(
    spec: Path, tmp_path: Path, threads: Client, contents: Contents, plain: Callable[[int], Path]
) -> None:
    lines: list[str] = []
    result, stop = sweep_until(spec, tmp_path / "out", threads, until=STRICT, max_seeds=20, note=lines.append)
    assert (stop["stop"], stop["rounds"]) == ("ceiling", [8, 16, 20])
    assert result.n_computed == result.n_rows == 2 * 20 * N_POLICIES
    assert [text.partition(" ±")[0] for text in sorted(stop["wide"])] == [
        "refcount (snp.share=0.5)",
        "refcount (snp.share=1.0)",
    ]
    assert lines[0].startswith("core_s to ±1 ns against v10: 8 seeds by now, at most 20; still wide: refcount (")
    assert lines[-1].startswith("core_s to ±1 ns against v10: not reached with 20 seeds, and --max-seeds is 20; ")
    assert_same_but_for_until(tmp_path / "out", plain(20), contents)


def test_others_are_held_against_the_baseline_that_is_named(
    spec: Path, tmp_path: Path, threads: Client, contents: Contents, plain: Callable[[int], Path]
) -> None:
    _, stop = sweep_until(spec, tmp_path / "out", threads, until=STRICT, baseline="refcount", max_seeds=8)
    assert stop["baseline"] == "refcount"
    assert {text.partition(" ")[0] for text in stop["wide"]} == {"v10"}
    manifest = read_manifest(tmp_path / "out")
    assert manifest.until == stop
    assert sweep_command(manifest, "DIR").endswith(" --until 'core_s: 1 ns' --baseline refcount --max-seeds 8")
    assert told_stop(stop).startswith("core_s to ±1 ns against refcount: not reached with 8 seeds")
    assert_same_but_for_until(tmp_path / "out", plain(8), contents)


def test_it_takes_as_many_seeds_as_the_tolerance_needs(spec: Path, tmp_path: Path, threads: Client) -> None:
    def widest() -> float:
        groups = compare(tmp_path / "out", quantities=["core_s"]).groups
        return max(one.found.half_width or 0.0 for group in groups for one in group.comparisons if one.found)

    sweep_until(spec, tmp_path / "out", threads, until=LOOSE)
    asked = widest() * 0.8
    _, stop = sweep_until(spec, tmp_path / "out", threads, until=f"core-s: {round(asked * 1e9)} ns", max_seeds=64)
    assert stop["stop"] == "reached"
    assert stop["rounds"][0] == 8 < stop["rounds"][-1]
    assert widest() <= asked + 1e-9


def test_what_is_the_same_in_all_seeds_does_not_block(spec: Path, tmp_path: Path, threads: Client) -> None:
    # Nothing is ever freed there: nobody misses anything, and there are no latencies.
    spec.write_text(IDLE)
    for quantity in ("regret: 1e-9 %", "latency p99: 1 ns", "never: 1e-9"):
        _, stop = sweep_until(spec, tmp_path / quantity[:5], threads, until=quantity)
        assert (stop["stop"], stop["rounds"]) == ("reached", [8]), quantity


def test_an_interrupted_one_goes_on_where_it_was(
    spec: Path, tmp_path: Path, threads: Client, contents: Contents, plain: Callable[[int], Path]
) -> None:
    def interrupt(event: SweepEvent) -> None:
        if isinstance(event, SweepStarted) and event.n_rows_done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep_until(spec, tmp_path / "out", threads, until=STRICT, max_seeds=16, progress=interrupt)
    until = read_manifest(tmp_path / "out").until
    assert until is not None
    assert (until["rounds"], until["stop"]) == ([8, 16], None)
    assert "8 seeds by now" not in told_stop(until)
    with pytest.raises(DirectoryError, match="the same command goes on"):
        sweep(spec, tmp_path / "out", threads)
    result, stop = sweep_until(spec, tmp_path / "out", threads, until=STRICT, max_seeds=16)
    assert stop["rounds"] == [8, 16]
    assert result.n_computed == 2 * 8 * N_POLICIES
    again, _ = sweep_until(spec, tmp_path / "out", threads, until=STRICT, max_seeds=16)
    assert again.n_computed == 0
    assert_same_but_for_until(tmp_path / "out", plain(16), contents)


@pytest.mark.parametrize("step", ["write_part", "write_manifest", "remove_failures"])
def test_one_killed_while_its_parts_change_hands_loses_none(
    step: str,
    spec: Path,
    tmp_path: Path,
    threads: Client,
    contents: Contents,
    plain: Callable[[int], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sweep_until(spec, tmp_path / "out", threads, until=LOOSE)
    whole = getattr(extension, step)
    calls = []

    def killed(*args: Any, **kwargs: Any) -> Any:
        # Not at once: some parts have changed hands, and the manifest is written a second time.
        calls.append(args)
        if len(calls) > (step != "remove_failures"):
            raise KeyboardInterrupt
        return whole(*args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(extension, step, killed)
        with pytest.raises(KeyboardInterrupt):
            sweep_until(spec, tmp_path / "out", threads, until=STRICT, max_seeds=16)
    result, _ = sweep_until(spec, tmp_path / "out", threads, until=STRICT, max_seeds=16)
    assert result.n_computed == 2 * 8 * N_POLICIES
    assert_same_but_for_until(tmp_path / "out", plain(16), contents)


def test_a_plain_sweep_of_fewer_seeds_is_kept(
    spec: Path, tmp_path: Path, threads: Client, contents: Contents, plain: Callable[[int], Path]
) -> None:
    out = Path(shutil.copytree(plain(8), tmp_path / "out"))
    result, _ = sweep_until(spec, out, threads, until=STRICT, max_seeds=16)
    assert result.n_computed == 2 * 8 * N_POLICIES
    assert_same_but_for_until(out, plain(16), contents)


def test_a_directory_of_another_sweep_is_refused_and_left_alone(
    spec: Path, tmp_path: Path, threads: Client, contents: Contents, plain: Callable[[int], Path]
) -> None:
    out = Path(shutil.copytree(plain(8), tmp_path / "out"))
    before = contents(out)
    spec.write_text(SPEC.replace("[0.5, 1.0]", "[0.4, 1.0]"))
    with pytest.raises(DirectoryError, match=r"snp\.share"):
        sweep_until(spec, out, threads, until=LOOSE)
    assert contents(out) == before


def test_a_damaged_part_is_computed_anew(
    spec: Path, tmp_path: Path, threads: Client, contents: Contents, plain: Callable[[int], Path]
) -> None:
    out = tmp_path / "out"
    sweep_until(spec, out, threads, until=LOOSE)
    next((out / "parts").iterdir()).write_bytes(b"none")
    sweep_until(spec, out, threads, until=STRICT, max_seeds=16)
    assert_same_but_for_until(out, plain(16), contents)


def test_a_number_of_seeds_is_the_least(spec: Path, tmp_path: Path, threads: Client) -> None:
    spec.write_text("seeds = 9\n" + SPEC)
    _, stop = sweep_until(spec, tmp_path / "out", threads, until=LOOSE)
    assert stop["rounds"] == [16]


@pytest.mark.parametrize(
    ("text", "tolerance"),
    [
        ("regret: 0.1 %", 1e-3),
        ("Latency p99: 5 s", 5e9),
        ("core-s: 20 ms", 0.02),
        ("never: 2", 2.0),
        ("regret:5%", 0.05),
    ],
)
def test_tolerances(text: str, tolerance: float) -> None:
    assert read_target(text).tolerance == pytest.approx(tolerance)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("regret", "no quantity with a tolerance"),
        ("regrett: 1 %", 'did you mean "regret"'),
        ("regret: 0.1", "is no share; write percentage points"),
        ("regret: 0 %", "is not positive"),
        ("never: -1", "is not positive"),
        ("never: many", "is no number"),
        ("never: 1e999", "is not positive"),
        ("latency p99: 5", "is not a time"),
        ("latency p99: 0 s", "is not positive"),
    ],
)
def test_tolerances_that_are_none(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        read_target(text)


@pytest.mark.parametrize(
    ("head", "options", "message"),
    [
        ("seeds = [1, 2]\n", ["--until", LOOSE], "spec.toml: seeds: is a list"),
        ("seeds = 70\n", ["--until", LOOSE], "--max-seeds: 64 are fewer than the 70"),
        ("", ["--until", LOOSE, "--max-seeds", "7"], "--max-seeds: 7 is outside 8 to"),
        ("", ["--until", LOOSE, "--dry-run"], "--until: runs a sweep, and --dry-run runs none"),
        ("", ["--until", "regret: 0 %"], "--until: regret"),
        ("", ["--max-seeds", "8"], "--max-seeds: is about --until"),
        ("", ["--baseline", "v10"], "--baseline: is about --until"),
        ("", ["--until", LOOSE, "--baseline", "refcont"], 'refcont": unknown policy; did you mean "refcount"?'),
        ("", ["--until", LOOSE, "--workers", "0"], "workers: 0 is not positive"),
    ],
)
def test_bad_input(
    head: str, options: list[str], message: str, spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec.write_text(head + SPEC)
    assert main(["sweep", str(spec), "-o", str(tmp_path / "out"), *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_one_policy_is_nothing_to_compare(spec: Path, tmp_path: Path, threads: Client) -> None:
    spec.write_text(SPEC.replace(', "refcount"', ""))
    with pytest.raises(SpecError, match="there is but one"):
        sweep_until(spec, tmp_path / "out", threads, until=LOOSE)
    assert not (tmp_path / "out").exists()


def test_the_command_tells_how_it_ended_and_so_does_status(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec.write_text(IDLE)
    command = ["sweep", str(spec), "-o", str(tmp_path / "out"), "--until", LOOSE, "--workers", "1"]
    assert main(command) == 0
    assert "core_s to ±1 h against v10: reached with 8 seeds" in capsys.readouterr().err
    assert main(["status", str(tmp_path / "out")]) == 0
    assert "core_s to ±1 h against v10: reached with 8 seeds" in capsys.readouterr().out
