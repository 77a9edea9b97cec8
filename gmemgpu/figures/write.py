"""Figures as files: SVG, PNG and PDF without a browser, or a page of their own."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gmemgpu.atomic import is_wrong_path, written_output
from gmemgpu.errors import GmemgpuError, Problem, SpecError
from gmemgpu.figures.style import Spec, single

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["FORMS", "renderer", "check_form", "write_figure", "write_file"]

FORMS = (".svg", ".png", ".pdf", ".html")
"""Endings of files that a figure can become."""

_PIXELS_PER_INCH = 200


def renderer() -> ModuleType:
    """
    Return what draws, imported only now.

    Returns
    -------
    module
        Of vl-convert: Vega-Lite in a library.

    Raises
    ------
    GmemgpuError
        If it is not installed.
    """
    try:
        return import_module("vl_convert")
    except ImportError:
        raise GmemgpuError("figures need vl-convert; pip install 'gmemgpu[report]'") from None


def check_form(path: str | Path) -> None:
    """
    Check that a file's name says what the figure shall become.

    Parameters
    ----------
    path : str or Path
        Where it shall be.

    Raises
    ------
    SpecError
        If its ending is none of `FORMS`.
    """
    if Path(path).suffix.lower() not in FORMS:
        raise SpecError(Problem("--output", f'"{path}": ends in none of {", ".join(FORMS)}'))


def write_figure(chart: Spec, path: str | Path) -> None:
    """
    Write a figure, whole or not at all.

    Parameters
    ----------
    chart : Spec
        A view, or several put together.
    path : str or Path
        Its ending says in which form.

    Raises
    ------
    GmemgpuError
        If what draws is not installed.
    SpecError
        If the ending is unknown, or the file cannot be written there.
    OSError
        If the disk is full or fails.
    """
    check_form(path)
    draw: Any = renderer()
    spec = single(chart)
    form = Path(path).suffix.lower()
    if form == ".png":
        content: bytes = draw.vegalite_to_png(spec, ppi=_PIXELS_PER_INCH)
    elif form == ".pdf":
        content = draw.vegalite_to_pdf(spec)
    elif form == ".html":
        content = draw.vegalite_to_html(spec, bundle=True, renderer="svg").encode()
    else:
        content = draw.vegalite_to_svg(spec).encode()
    write_file(path, content)


def write_file(path: str | Path, content: bytes) -> None:
    """
    Write a file, whole or not at all.

    Parameters
    ----------
    path : str or Path
        Where it shall be.
    content : bytes
        What it holds.

    Raises
    ------
    SpecError
        If another path would have done: a folder is missing or not writable, or the path is one.
    OSError
        If the disk is full or fails.
    """
    try:
        with written_output(path) as file:
            file.write(content)
    except OSError as error:
        if is_wrong_path(error):
            problem = f"{path}: cannot be written: {error.strerror or error}; give a path in a folder of your own"
            raise SpecError(Problem("--output", problem)) from None
        raise
