"""One Slurm for all tests that need it, and the sweep that they run on it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from slurm_node import PACKAGES, SlurmNode, missing_programs, running_node


@pytest.fixture(scope="session")
def slurm_session() -> Iterator[SlurmNode]:
    """A Slurm that runs until the last test. Without its programs tests are skipped, and fail in CI."""
    if lacking := missing_programs():
        say = pytest.fail if os.environ.get("CI") else pytest.skip
        say(f"no Slurm here ({', '.join(lacking)} not found); apt-get install {PACKAGES}")
    with running_node() as node:
        yield node


@pytest.fixture
def slurm(slurm_session: SlurmNode, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlurmNode]:
    """The same with nothing running on it, and this process told of it."""
    monkeypatch.setenv("SLURM_CONF", str(slurm_session.conf))
    yield slurm_session
    for job in {job.partition("_")[0] for job in slurm_session.active_jobs()}:
        slurm_session.call("scancel", job)
    slurm_session.wait_until_idle(30)
