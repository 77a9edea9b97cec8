"""SIGTERM ends a command with 143, whatever it was doing."""

from __future__ import annotations

import signal

import pytest

from gmemgpu.cli.termination import leaving_on_sigterm

TOLD = "gmemgpu: terminated; run the same again to go on\n"


def work(reached: list[str], *, swallowed: bool) -> None:
    try:
        signal.raise_signal(signal.SIGTERM)
    except SystemExit:
        # Compiled code may clear an exception of a function of Python's that it calls, and go on.
        if not swallowed:
            raise
    reached.append("end")


@pytest.mark.parametrize("swallowed", [False, True])
def test_it_ends_the_block(swallowed: bool, capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    reached: list[str] = []
    with pytest.raises(SystemExit) as caught, leaving_on_sigterm():
        work(reached, swallowed=swallowed)
    assert caught.value.code == 143
    assert reached == ["end"] * swallowed
    assert capsys.readouterr().err == TOLD
    assert signal.getsignal(signal.SIGTERM) == before


def test_without_it_nothing_happens() -> None:
    with leaving_on_sigterm():
        pass
