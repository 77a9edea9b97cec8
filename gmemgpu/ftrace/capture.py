"""The commands that take a trace on a host: with ftrace, or with bpftrace."""

from __future__ import annotations

from importlib import resources
from typing import Literal

__all__ = ["TOOLS", "Tool", "capture_commands"]

Tool = Literal["ftrace", "bpftrace", "host"]
TOOLS: tuple[Tool, ...] = ("ftrace", "bpftrace", "host")
_FILES: dict[Tool, str] = {"ftrace": "capture.sh", "bpftrace": "capture.bt", "host": "capture_host.sh"}


def capture_commands(tool: Tool) -> str:
    """
    Return the text of a script.

    Parameters
    ----------
    tool : Tool
        Shell commands for ftrace, a script for bpftrace, or shell commands that describe the host.

    Returns
    -------
    str
        Ends in a newline.
    """
    return (resources.files("gmemgpu") / "data" / _FILES[tool]).read_text(encoding="utf-8")
