"""Two thousand damaged files for each reader, within 3 GiB and 20 s each; 200,000 in a thorough run."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import mutated
import pytest

THOROUGH = os.environ.get("GMEMGPU_THOROUGH") == "1"
N_FILES = 200_000 if THOROUGH else 2_000
SEED = "1" if THOROUGH else "0"


def fuzzed(n_files: int, *readers: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, mutated.__file__, str(n_files), SEED, *readers]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.timeout(0 if THOROUGH else 600)
@pytest.mark.parametrize("reader", mutated.READERS)
def test_every_file_is_read_or_refused(reader: str) -> None:
    done = fuzzed(N_FILES, reader)
    last = done.stdout.splitlines()[-1] if done.stdout else ""
    found = re.fullmatch(rf"{N_FILES} files, (\d+) read, 0 faults", last)
    assert found, done.stdout[-5000:] + done.stderr[-2000:]
    # A fuzzer whose files are all refused at the first byte looks at nothing behind it.
    assert int(found[1]) > N_FILES / 100


def test_a_valid_file_is_read() -> None:
    done = fuzzed(1, *mutated.READERS)
    assert done.stdout == "1 files, 1 read, 0 faults\n" * len(mutated.READERS), done.stdout + done.stderr
