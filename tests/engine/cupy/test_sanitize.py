"""Every kernel runs under AddressSanitizer and UndefinedBehaviorSanitizer without a report."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import sanitized_calls
from emulator import EmulatorError, sanitizer_environment

from gmemgpu.engine.cupy.kernel import KERNELS


@pytest.mark.slow
@pytest.mark.usefixtures("gxx")
def test_no_kernel_touches_what_it_must_not() -> None:
    try:
        environment = sanitizer_environment()
    except EmulatorError as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))
    ran = subprocess.run(
        [sys.executable, sanitized_calls.__file__],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    launched = ran.stdout.split()
    assert launched == sorted(KERNELS)
