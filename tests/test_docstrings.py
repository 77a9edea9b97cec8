"""Docstrings of everything public: numpydoc's own validation, and first lines that begin with a verb."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import tomllib
from collections.abc import Iterator
from enum import EnumType
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import gmemgpu

_numpydoc = pytest.importorskip("numpydoc.validate")
ERROR_MSGS, validate = _numpydoc.ERROR_MSGS, _numpydoc.validate

# What is left out, and why, stands in pyproject.toml, where `numpydoc lint` reads it as well.
RULES = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
RULES = RULES["tool"]["numpydoc_validation"]
LEFT_OUT = set(RULES["checks"]) - {"all"}
EXCLUDED = re.compile("|".join(RULES["exclude"]))
ONE_LINE_RETURN = re.compile("|".join(RULES["override_RT01"]))

# Internal to one engine, which its own design note explains: a first line must do.
FIRST_LINE_ONLY = ("gmemgpu.engine.array", "gmemgpu.engine.compiled", "gmemgpu.engine.cupy")
# Of a room with much inside: what others import is described in full, of the rest a first line must do.
FIRST_LINE_INSIDE = ("gmemgpu.sweeping",)

# A function's first line says what it does, in one of these words. Add a verb that says more than these do.
VERBS = re.compile(
    "Add|Append|Apply|Arm|Assign|Build|Chain|Check|Choose|Clear|Close|Collect|Compare|Compile|Compute|"
    "Convert|Copy|Count|Cut|Declare|Describe|Draw|Empty|End|Estimate|Evaluate|Fetch|Find|Forget|Format|"
    "Generate|Handle|Ignore|Integrate|Iterate|Keep|Launch|List|Look|Mark|Measure|Merge|Name|Open|Parse|Play|"
    "Print|Queue|Raise|Read|Record|Refuse|Remove|Replace|Replay|Report|Reserve|Return|Round|Run|Scan|Select|"
    "Set|Shrink|Sort|Split|Start|Stop|Store|Sum|Tabulate|Take|Time|Translate|Update|Validate|Visit|Wait|Warn|"
    "Write|Yield"
)
VAGUE = {"Give", "Gives", "Say", "Says", "Tell", "Tells"}


def _in(module: str, rooms: tuple[str, ...]) -> bool:
    return any(module == room or module.startswith(f"{room}.") for room in rooms)


def _modules() -> list[str]:
    names = (found.name for found in pkgutil.walk_packages(gmemgpu.__path__, "gmemgpu."))
    return ["gmemgpu", *(name for name in names if not name.endswith("__main__"))]


MODULES = _modules()


@cache
def _taken_by_others(room: str) -> set[str]:
    """Return what modules outside a room import from it, by the modules that define it."""
    found = set()
    for module in MODULES:
        if _in(module, (room,)):
            continue
        for node in ast.walk(ast.parse(inspect.getsource(importlib.import_module(module)))):
            if isinstance(node, ast.ImportFrom) and _in(node.module or "", (room,)):
                items = vars(importlib.import_module(node.module or ""))
                found |= {f"{getattr(items.get(alias.name), '__module__', '')}.{alias.name}" for alias in node.names}
    return found


def _is_inside(module: str, name: str) -> bool:
    rooms = [room for room in FIRST_LINE_INSIDE if _in(module, (room,))]
    return any(".".join(name.split(".")[: module.count(".") + 2]) not in _taken_by_others(room) for room in rooms)


def _documented(module: str) -> Iterator[tuple[str, Any, bool]]:
    """Iterate over what a module defines, methods too: name, object, and whether a base describes it."""
    loaded = importlib.import_module(module)
    for name in getattr(loaded, "__all__", ()):
        item = getattr(loaded, name)
        if getattr(item, "__module__", None) != module or not (inspect.isclass(item) or inspect.isfunction(item)):
            continue  # a constant, an alias, or what another module defines
        # A class that is made as its base is, or never.
        as_base = not {"__init__", "__new__"} & set(vars(item)) or getattr(item, "_is_protocol", False)
        as_base = as_base or isinstance(item, EnumType)
        yield f"{module}.{name}", item, inspect.isclass(item) and as_base
        for key, member in vars(item).items() if inspect.isclass(item) else ():
            inner = getattr(member, "__func__", member)  # of a class method
            is_property = isinstance(member, property | cached_property)
            if not key.startswith("_") and (is_property or inspect.isfunction(inner)):
                yield f"{module}.{name}.{key}", inner, any(key in vars(base) for base in item.__mro__[1:])


def _sections(name: str, item: Any, inherits: bool) -> Iterator[str]:
    found = validate(name)
    for code, message in found["errors"]:
        if code in LEFT_OUT or (code == "RT01" and ONE_LINE_RETURN.search(found["docstring"])):
            continue
        if inherits and code in ("PR01", "RT01", "YD01"):
            continue  # the base says what goes in and comes out
        if code == "PR01" and inspect.isclass(item) and issubclass(item, BaseModel):
            continue  # its fields are described one by one, see below
        yield f"{name}: {code} {message}"


def _first_line(name: str, item: Any) -> Iterator[str]:
    word = (inspect.getdoc(item) or "nothing").split()[0].rstrip(",.:;")
    if word in VAGUE or (inspect.isfunction(item) and not VERBS.fullmatch(word)):
        yield f'{name}: begins with "{word}"; write Return, Check, Compute or another verb of VERBS'


@pytest.mark.parametrize("module", MODULES)
def test_docstrings(module: str) -> None:
    problems = []
    assert (importlib.import_module(module).__doc__ or "").split()[0] not in VAGUE
    for name, item, inherits in _documented(module):
        problems += _first_line(name, item)
        if not (_in(module, FIRST_LINE_ONLY) or _is_inside(module, name) or EXCLUDED.search(name)):
            problems += _sections(name, item, inherits)
        if inspect.isclass(item) and issubclass(item, BaseModel):
            own = [field for key, field in item.model_fields.items() if key in item.__annotations__]
            assert all(field.description for field in own), f"{name}: a field has no description"
    assert not problems, "\n".join(problems)


def test_the_rules_name_checks_that_exist() -> None:
    assert {*ERROR_MSGS, "ES01"} >= LEFT_OUT
    # None of the families that are promised is left out as a whole, or in part without an override.
    assert not [code for code in LEFT_OUT if code[:2] in ("GL", "SS", "PR", "RT", "YD")]


def _bad(a: int) -> int:
    """give a."""
    return a


def test_the_gate_finds_what_it_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    # A gate that lets everything through would look the same on good text.
    module = "gmemgpu.units"
    units = importlib.import_module(module)
    monkeypatch.setattr(units, "parse_bytes", _bad)
    monkeypatch.setattr(_bad, "__module__", module)
    with pytest.raises(AssertionError) as raised:
        test_docstrings(module)
    for problem in ("SS02", "PR01", "RT01", 'begins with "give"'):
        assert problem in str(raised.value)


def test_no_room_is_listed_that_is_not_there() -> None:
    for room in (*FIRST_LINE_ONLY, *FIRST_LINE_INSIDE):
        importlib.import_module(room)


def test_what_others_import_is_described_in_full() -> None:
    module = "gmemgpu.sweeping.store.read"
    assert not _is_inside(module, f"{module}.read_rows")
    assert not _is_inside(module, f"{module}.StoredRows.pieces")
    assert not _is_inside("gmemgpu.sweeping.spec.spec", "gmemgpu.sweeping.spec.spec.read_spec")
    assert _is_inside("gmemgpu.sweeping.store.part", "gmemgpu.sweeping.store.part.write_part")
    assert not _is_inside("gmemgpu.units", "gmemgpu.units.parse_bytes")
