"""
Wall time of commands as people meet them: `--help`, `--version`, one small evaluation, a sweep of five small shards,
which is nearly all start, and the whole quickstart.

Held fixed: a warm page cache (one run first); each figure is the median of the repeats, whole process. The quickstart
runs once, on all cores; its peak memory is that of the largest of its processes.

    python -m bench.startup [--repeats N] [--save]
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.hardware import record

SMALL_SWEEP = """
policies = ["v10"]
backend = "numpy"
[workload]
preset = "idle-snp"
horizon_ns = "10 min"
warmup_ns = "1 s"
sizes.scale = 0.25
snp.share = [0.2, 0.4, 0.6, 0.8, 1.0]
"""


def small_sweep(command: str, folder: Path) -> tuple[float, float]:
    """Measure how long it is until the first part is there, and until the command ends."""
    spec = folder / "small.toml"
    spec.write_text(SMALL_SWEEP)
    with TemporaryDirectory(dir=folder) as directory:
        before = time.perf_counter()
        process = subprocess.Popen([command, "sweep", str(spec), "-o", directory, "--quiet"])
        while not any(Path(directory).glob("parts/*.arrow")) and process.poll() is None:
            time.sleep(0.005)
        first_s = time.perf_counter() - before
        assert process.wait() == 0
        return first_s, time.perf_counter() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--save", action="store_true", help="keep the figures in bench/results")
    arguments = parser.parse_args()
    command = str(Path(sys.executable).with_name("gmemgpu"))
    figures = {}
    with TemporaryDirectory() as folder:
        trace = f"{folder}/t.parquet"
        generate = [command, "generate", "--preset", "mixed-pods", "--small", "-o", trace]
        subprocess.run(generate, check=True, stderr=subprocess.DEVNULL)
        for name, line in {
            "help_s": ["--help"],
            "version_s": ["--version"],
            "evaluate_small_json_s": ["evaluate", trace, "--json"],
        }.items():
            times = []
            for _ in range(arguments.repeats + 1):
                before = time.perf_counter()
                subprocess.run([command, *line], check=True, stdout=subprocess.DEVNULL)
                times.append(time.perf_counter() - before)
            figures[name] = round(statistics.median(times[1:]), 3)
        sweeps = [small_sweep(command, Path(folder)) for _ in range(arguments.repeats + 1)][1:]
        figures["small_sweep_first_part_s"] = round(statistics.median(first_s for first_s, _ in sweeps), 2)
        figures["small_sweep_s"] = round(statistics.median(whole_s for _, whole_s in sweeps), 2)
        before = time.perf_counter()
        quickstart = [command, "sweep", "jobs/quickstart.toml", "-o", f"{folder}/quickstart", "--quiet"]
        subprocess.run(quickstart, check=True, cwd=Path(__file__).parents[1])
        figures["quickstart_s"] = round(time.perf_counter() - before, 1)
        figures["quickstart_peak_memory_mib"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    record("startup", "python -m bench.startup --save", figures, save=arguments.save)


if __name__ == "__main__":
    main()
