"""Five hundred damaged files for each reader, within 3 GiB and 20 s each; 200,000 in a thorough run."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import mutated
import pytest

THOROUGH = os.environ.get("GMEMGPU_THOROUGH") == "1"
# Without chance they are the same ones on each run: as with properties, those of a thorough run find what is new.
N_FILES = 200_000 if THOROUGH else 500
SEED = "1" if THOROUGH else "0"
# To start a process for each reader would cost as much as to read a thousand files.
SHARES = [list(mutated.READERS)[i::4] for i in range(4)]


def fuzzed(n_files: int, *readers: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, mutated.__file__, str(n_files), SEED, *readers]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.timeout(0 if THOROUGH else 600)
@pytest.mark.parametrize("readers", SHARES, ids=" ".join)
def test_every_file_is_read_or_refused(readers: list[str]) -> None:
    done = fuzzed(N_FILES, *readers)
    found = re.findall(rf"^{N_FILES} files, (\d+) read, 0 faults$", done.stdout, re.MULTILINE)
    assert len(found) == len(readers), done.stdout[-5000:] + done.stderr[-2000:]
    # A fuzzer whose files are all refused at the first byte looks at nothing behind it.
    assert min(map(int, found)) > N_FILES / 100


def test_a_valid_file_is_read() -> None:
    done = fuzzed(1, *mutated.READERS)
    assert done.stdout == "1 files, 1 read, 0 faults\n" * len(mutated.READERS), done.stdout + done.stderr
