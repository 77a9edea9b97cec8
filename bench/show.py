"""
Time and peak memory of `gmemgpu show` on 10^6 merged rows: 1,000 scenarios, 100 seeds, 10 policies; whole process.

The rows are made up, in a file as a merge writes it. Held fixed: a warm page cache, output to a pipe. What a results
directory adds (manifest, lock, digest) is left out: a reader of the file alone takes its place.

    python -m bench.show [--scenarios N] [--repeats N] [--save]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.hardware import record
from gmemgpu.metrics.table import metric_arrow_type
from gmemgpu.model.metric import METRICS
from gmemgpu.sweeping.store.read import StoredRows, pieces_of_results

N_SEEDS = 100
N_HISTOGRAMS = 500
POLICIES = [*(f"policy {i}" for i in range(9)), "oracle"]
ROWS_PER_GROUP = 8_192
REPEATING = ["label", "preset", "policy", "latency_histogram.list.element"]
FORMS = {
    "json": ["--json"],
    "json_by_preset": ["--json", "--group-by", "preset"],
    "json_by_preset_and_axis": ["--json", "--group-by", "preset", "snp.share"],
    "csv": ["--csv"],
    "text": [],
}


def made_up(n_scenarios: int) -> pa.Table:
    n = n_scenarios * N_SEEDS * len(POLICIES)
    random = np.random.Generator(np.random.Philox(7))
    scenario = np.repeat(np.arange(n_scenarios), n // n_scenarios)
    shares = np.linspace(0.0, 1.0, n_scenarios)
    labels = pa.array([f"snp.share={share:.6f}" for share in shares])
    columns: dict[str, Any] = {
        "label": labels.take(pa.array(scenario)),
        "preset": pa.array(["iaas-mixed"] * n),
        "snp.share": pa.array(shares[scenario]),
        "seed": pa.array(np.tile(np.repeat(np.arange(N_SEEDS), len(POLICIES)), n_scenarios)),
        "policy": pa.array(POLICIES * (n // len(POLICIES))),
        "cores": pa.array(np.full(n, 128)),
        "horizon_ns": pa.array(np.full(n, 4 * 86_400 * 10**9)),
        "warmup_ns": pa.array(np.zeros(n, np.int64)),
        "admitted": pa.array(np.full(n, 1000)),
        "rejected": pa.array(np.zeros(n, np.int64)),
        "running_vm_ns": pa.array(np.full(n, 100 * 4 * 86_400 * 10**9)),
        "running_snp_vm_ns": pa.array(np.full(n, 20 * 4 * 86_400 * 10**9)),
    }
    for metric in METRICS:
        if metric.wide:
            # Past 2**63, as integrals are: two words of 64 bits each.
            words = np.stack((random.integers(0, 2**63, n), random.integers(0, 3, n)), axis=1)
            buffers = [None, pa.py_buffer(words)]
            columns[metric.name] = pa.Array.from_buffers(metric_arrow_type(metric.name), n, buffers)
        elif metric.is_list:
            # 30 bins of 190 are filled, as in the quickstart.
            lists = [histogram(random) for _ in range(N_HISTOGRAMS)]
            kinds = pa.array(random.integers(0, N_HISTOGRAMS, n))
            columns[metric.name] = pa.chunked_array(
                [
                    pa.array(lists, metric_arrow_type(metric.name)).take(kinds.slice(i, ROWS_PER_GROUP))
                    for i in range(0, n, ROWS_PER_GROUP)
                ]
            )
        else:
            columns[metric.name] = pa.array(random.integers(1, 2**40, n))
    return pa.table(columns)


def histogram(random: np.random.Generator) -> list[int]:
    counts = np.zeros(int(random.integers(150, 230)), np.int64)
    counts[random.choice(len(counts), 30, replace=False)] = random.integers(1, 100, 30)
    counts[-1] = 1
    return counts.tolist()


def read_rows(path: str, columns: Sequence[str]) -> StoredRows:
    file = pq.ParquetFile(path, page_checksum_verification=True, read_dictionary=["label", "preset", "policy"])
    # A row group at a time: all at once, Arrow holds each column twice.
    pieces = [file.read_row_group(i, list(columns)) for i in range(file.num_row_groups)]
    n_parts = sum(len(piece) for piece in pieces) // len(POLICIES)
    return StoredRows(
        name="made up",
        table=pa.concat_tables(pieces),
        axes=("snp.share",),
        n_parts=n_parts,
        n_parts_done=n_parts,
        source=partial(pieces_of_results, file),
    )


def show(path: str, form: str) -> None:
    import gmemgpu.report.decision
    from gmemgpu.cli.main import main

    gmemgpu.report.decision.read_rows = read_rows
    assert main(["show", path, *FORMS[form]]) == 0
    # Not ru_maxrss: that begins with what the starting process held when it forked.
    (peak,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    spent = os.times()
    figures = {"cpu_s": round(spent.user + spent.system, 2), "peak_memory_mib": int(peak.split()[1]) // 1024}
    print(json.dumps(figures), file=sys.stderr)


def measure(path: str, form: str, repeats: int) -> tuple[dict[str, Any], str]:
    found = []
    for _ in range(repeats + 1):
        before = time.perf_counter()
        command = [sys.executable, "-m", "bench.show", "--one", form, "--file", path]
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
        found.append({"s": round(time.perf_counter() - before, 2), **json.loads(ran.stderr)})
    figures = {name: statistics.median(one[name] for one in found[1:]) for name in found[0]}
    print(form, figures, file=sys.stderr)
    return figures, ran.stdout


def check(shown: str, table: pa.Table, n_scenarios: int) -> None:
    """Compare the first line with what Python's integers give."""
    groups = json.loads(shown)["groups"]
    assert [len(group["policies"]) for group in groups] == [len(POLICIES)] * n_scenarios
    rows = table.slice(0, N_SEEDS * len(POLICIES)).select(["leader_busy_ns", "follower_busy_ns"]).to_pylist()
    busy = [row["leader_busy_ns"] + row["follower_busy_ns"] for row in rows[:: len(POLICIES)]]
    assert math.isclose(groups[0]["policies"][0]["core_s"]["value"], sum(busy) / N_SEEDS / 10**9, rel_tol=1e-12)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenarios", type=int, default=1000, help="1,000 rows each")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--save", action="store_true", help="write bench/results/show.json")
    parser.add_argument("--one", choices=FORMS, help=argparse.SUPPRESS)
    parser.add_argument("--file", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        show(arguments.file, arguments.one)
        return
    with TemporaryDirectory() as folder:
        path = f"{folder}/results.parquet"
        table = made_up(arguments.scenarios)
        pq.write_table(table, path, compression="zstd", use_dictionary=REPEATING, row_group_size=ROWS_PER_GROUP)
        steps = {}
        for form in FORMS:
            steps[form], shown = measure(path, form, arguments.repeats)
            if form == "json":
                check(shown, table, arguments.scenarios)
    record("show", "python -m bench.show --save", {"rows": len(table), **steps}, save=arguments.save)


if __name__ == "__main__":
    main()
