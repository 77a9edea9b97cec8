"""Dependencies point one way, every module says what is public, and a bare import stays light."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import gmemgpu
from gmemgpu import compiled

ROOT = Path(gmemgpu.__file__).parent

# What each room may import; a room is a sub-package or a module at the top. Data flows from a VM table through
# placement and life cycles to a trace, its timeline, an engine, metrics, a sweep, a report; imports go the other way.
_WORDS = {"units", "errors"}
_MODEL = {*_WORDS, "model"}
_FILES = {"atomic", "toml_file"}
_WORKLOAD = {*_MODEL, "fields", "toml_file", "validation", "columns", "vmtable", "trace"}
ALLOWED: dict[str, set[str]] = {
    "units": set(),
    "html_table": set(),
    "errors": set(),
    "data": set(),
    "atomic": set(),
    "toml_file": {"errors"},
    "fields": {"units"},
    "compiled": set(),
    "hidden": set(),
    "validation": {"errors", "toml_file"},
    "model": {*_WORDS, "fields", "html_table", "validation"},
    "catalogue": {*_MODEL, "toml_file", "validation"},
    "columns": {*_MODEL, "toml_file"},
    "vmtable": {*_MODEL, "atomic", "columns"},
    "workload": _WORKLOAD,
    "placement": {*_MODEL, "compiled", "vmtable", "workload"},
    "lifecycle": {*_MODEL, "compiled", "vmtable", "workload", "placement"},
    "trace": {*_MODEL, *_FILES, "columns", "fields", "validation"},
    "ftrace": {*_MODEL, "columns"},
    "generator": {*_MODEL, "workload", "lifecycle"},
    "timeline": {*_MODEL, "compiled"},
    "rmp": {*_MODEL, "compiled", "columns", "timeline"},
    "engine": {*_MODEL, "compiled", "toml_file", "timeline", "rmp"},
    "explain": {*_MODEL, "timeline", "engine"},
    "calibration": {*_MODEL, "toml_file", "fields", "validation", "engine"},
    "metrics": {*_MODEL, "html_table"},
    "measuring": {*_MODEL, *_FILES, "catalogue", "workload", "generator", "engine"},
    "sweeping": {
        *_MODEL,
        *_FILES,
        "compiled",
        "hidden",
        "fields",
        "validation",
        "columns",
        "catalogue",
        "workload",
        "lifecycle",
        "generator",
        "rmp",
        "engine",
        "metrics",
    },
    "report": {*_MODEL, "toml_file", "metrics", "sweeping"},
    "until": {*_WORDS, "toml_file", "catalogue", "metrics", "sweeping", "report"},
    "decision": {*_MODEL, "toml_file", "metrics", "sweeping", "report"},
    "figures": {*_MODEL, *_FILES, "html_table", "metrics", "sweeping", "report", "decision", "explain"},
    "results": {"errors", "html_table", "sweeping", "report", "until", "decision"},
    "api": {*_MODEL, "toml_file", "validation", "catalogue", "workload", "generator", "trace", "engine", "metrics"},
    "cli": {
        *_MODEL,
        *_FILES,
        "compiled",
        "hidden",
        "validation",
        "catalogue",
        "vmtable",
        "workload",
        "generator",
        "trace",
        "ftrace",
        "rmp",
        "engine",
        "explain",
        "calibration",
        "metrics",
        "measuring",
        "sweeping",
        "report",
        "until",
        "decision",
        "figures",
        "api",
    },
    # Writes the tables of the pages; nothing imports it, and `gmemgpu help` reads the pages as files.
    "docs": {*_MODEL, "toml_file", "catalogue", "workload", "metrics", "sweeping", "cli"},
    "testing": {*_MODEL, "catalogue", "engine"},
    "__init__": {"api", "errors", "metrics", "model", "report", "results", "trace"},
    "__main__": {"cli"},
}

# The judge must not share code with what it judges.
REFERENCE_MAY_IMPORT = {"gmemgpu.model", "gmemgpu.units"}

MODULES = sorted(ROOT.rglob("*.py"))


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def _imports(path: Path) -> tuple[str, ...]:
    return tuple(_found_imports(path))


def _found_imports(path: Path) -> Iterator[str]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            yield node.module
            # `from gmemgpu import units` names a part too; `from gmemgpu import __version__` does not.
            yield from (f"gmemgpu.{alias.name}" for alias in node.names if node.module == "gmemgpu")


def _parts(path: Path) -> set[str]:
    named = (name.split(".") for name in _imports(path))
    return {parts[1] for parts in named if parts[0] == "gmemgpu" and len(parts) > 1} - {"__version__"}


def test_the_rooms_form_a_dag() -> None:
    # A cycle raises CycleError, which names it.
    assert list(TopologicalSorter(ALLOWED).static_order())


def test_every_part_is_in_the_table() -> None:
    parts = {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in MODULES}
    assert parts == set(ALLOWED)


def test_the_list_for_contributors_names_every_part_after_those_that_it_imports() -> None:
    page = (ROOT / "docs" / "contributing.md").read_text(encoding="utf-8")
    rows = page.partition("| room |")[2].partition("\n\n")[0].splitlines()[2:]
    parts = [name.removesuffix("/") for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])]
    assert sorted(parts) == sorted(set(ALLOWED) - {"__init__", "__main__"})
    for n, part in enumerate(parts):
        assert set(parts[:n]) >= ALLOWED[part], part


def test_imports_point_one_way() -> None:
    for path in MODULES:
        part = path.relative_to(ROOT).parts[0].removesuffix(".py")
        assert _parts(path) - {part} <= ALLOWED[part], path


def test_the_reference_imports_model_and_units_only() -> None:
    modules = [path for path in MODULES if path.is_relative_to(ROOT / "engine" / "reference")]
    assert modules
    for path in modules:
        for name in _imports(path):
            if name.startswith("gmemgpu."):
                allowed = {*REFERENCE_MAY_IMPORT, "gmemgpu.engine.reference"}
                assert any(name == base or name.startswith(f"{base}.") for base in allowed), f"{path}: {name}"


def _importers(package: str) -> dict[Path, bool]:
    # Whether each does so within functions, or for type checkers, alone.
    found = {}
    for path in MODULES:
        if any(name.split(".")[0] == package for name in _imports(path)):
            tree = _tree(path)
            late = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
            late += [node for node in tree.body if _is_type_checking(node)]
            allowed = {inner for node in late for inner in ast.walk(node)}
            found[path] = all(
                node in allowed
                for node in ast.walk(tree)
                if (isinstance(node, ast.Import) and any(alias.name.split(".")[0] == package for alias in node.names))
                or (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == package)
            )
    return found


def test_cupy_is_imported_by_its_engine_alone_and_only_when_asked() -> None:
    found = _importers("cupy")
    assert found
    assert all(path.is_relative_to(ROOT / "engine" / "cupy") and late for path, late in found.items()), found


def test_what_is_compiled_is_made_of_the_sources_that_its_cache_knows() -> None:
    # A constant of any other module would stay what it was when the function was compiled.
    for path in MODULES:
        if path.name != "compiled.py" and "gmemgpu.compiled" in _imports(path):
            made_of = {path.relative_to(ROOT).parts[0], *_parts(path)}
            if "compiled_function" in path.read_text(encoding="utf-8"):
                known = {name.removesuffix(".py") for name in compiled.SOURCES}
                assert made_of <= {*known, "errors"}, path


def test_numba_is_imported_where_functions_are_compiled_and_only_when_asked() -> None:
    assert _importers("numba") == {ROOT / "compiled.py": True}


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _public_names(path: Path) -> set[str]:
    for node in _tree(path).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            return set(ast.literal_eval(node.value))
    raise AssertionError(f"{path}: no __all__")


def _defined(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            names.update(alias.asname or alias.name for alias in node.names)
    return names


def test_modules_say_what_is_public() -> None:
    for path in (path for path in MODULES if not path.name.startswith("_")):
        assert _public_names(path) <= _defined(_tree(path)), path


def _loaded_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*(name.split('.')[0] for name in sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(ran.stdout.split())


@pytest.mark.parametrize("statement", ["import gmemgpu", "import gmemgpu.cli.main"])
def test_a_bare_import_loads_nothing_heavy(statement: str) -> None:
    loaded = _loaded_after(statement)
    assert "gmemgpu" in loaded
    assert not loaded & {"numpy", "pyarrow", "dask", "distributed", "pydantic", "rich", "pandas", "numba"}


def test_help_and_version_load_nothing_heavy() -> None:
    for option in ("--help", "--version"):
        call = f"try: main(['{option}'])\nexcept SystemExit as end: assert end.code == 0"
        loaded = _loaded_after(f"from gmemgpu.cli.main import main\n{call}")
        assert not loaded & {"numpy", "pyarrow", "dask", "distributed", "pydantic", "rich", "pandas", "numba"}


def test_reading_a_trace_loads_no_data_frames() -> None:
    # pandas and pyarrow.dataset take longer to load than most traces to read.
    code = "import gmemgpu.trace.read, gmemgpu.trace.check, sys\nassert 'pyarrow.dataset' not in sys.modules"
    assert "pandas" not in _loaded_after(code)


def test_a_decision_table_needs_no_workloads_and_no_specs() -> None:
    # They are half of the time that `show` takes of a small sweep.
    code = "import gmemgpu.report.decision, sys\nassert not any('.workload' in name for name in sys.modules)"
    assert not _loaded_after(code) & {"pydantic", "scipy", "pandas", "dask", "distributed"}


def test_the_fork_server_is_started_before_anything_heavy_is_loaded() -> None:
    # It gains time by loading these while the client does.
    loaded = _loaded_after("import gmemgpu.sweeping.clusters.fork_server")
    assert not loaded & {"numpy", "pyarrow", "dask", "distributed", "pydantic", "rich"}
