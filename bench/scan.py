"""
Bandwidth of the scan over bitmaps, a bit a page, against a plain read of the same memory in the same run.

Held fixed: one core, images of 1 GiB (32 TiB of a host) that are in memory and larger than the caches; the best of the
repeats of each, for a bandwidth is what the machine can do. The plain read is the fastest found here: NumPy's
reductions, and an OR over all words as compiled code. Files are scanned through the page cache, in a process each.

    python -m bench.scan [--repeats N] [--save]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bench.hardware import record
from gmemgpu.compiled import compiled_function
from gmemgpu.rmp.compiled_scan import scan_regions_compiled
from gmemgpu.rmp.image import WORDS_PER_REGION, Words
from gmemgpu.rmp.scan import scan_regions

IMAGE_BYTES = 1 << 30


@compiled_function
def _or_of_all(words: Words) -> np.uint64:
    found = np.uint64(0)
    for region in range(words.shape[0]):
        for at in range(words.shape[1]):
            found |= words[region, at]
    return found


def _best_gb_per_s(work: Callable[[], Any], n_bytes: int, repeats: int) -> float:
    work()
    best = float("inf")
    for _ in range(repeats):
        before = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - before)
    return n_bytes / best / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--save", action="store_true", help="keep the figures in bench/results")
    arguments = parser.parse_args()
    rng = np.random.default_rng(1)
    words = rng.integers(0, 1 << 63, (IMAGE_BYTES // 8 // WORDS_PER_REGION, WORDS_PER_REGION), np.uint64)

    def rate(work: Callable[[], Any]) -> float:
        return _best_gb_per_s(work, words.nbytes, arguments.repeats)

    plain = {
        "numpy_or": rate(lambda: np.bitwise_or.reduce(words, axis=None)),
        "numpy_max": rate(lambda: words.max()),
        "compiled_or": rate(lambda: _or_of_all(words)),
    }
    read = max(plain.values())
    figures: dict[str, Any] = {"image_bytes": words.nbytes, "plain_read_gb_per_s": round(read, 2)}
    figures["plain_reads_gb_per_s"] = {name: round(found, 2) for name, found in plain.items()}
    for name, scan in (("numpy", scan_regions), ("numba", scan_regions_compiled)):
        found = rate(lambda scan=scan: scan(words))
        figures[name] = {"gb_per_s": round(found, 2), "share_of_plain_read": round(found / read, 3)}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "bitmap"
        path.write_bytes(words.tobytes())
        for backend in ("numpy", "numba"):
            command = [sys.executable, "-m", "gmemgpu", "scan", str(path), "--form", "bitmap", "--backend", backend]
            before = time.perf_counter()
            subprocess.run([*command, "--json"], check=True, stdout=subprocess.DEVNULL)
            figures[backend]["file_whole_process_s"] = round(time.perf_counter() - before, 2)
    record("scan", "python -m bench.scan --save", figures, save=arguments.save)


if __name__ == "__main__":
    main()
