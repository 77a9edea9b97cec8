"""
Tables of the pages that the code writes itself: keys of specs and workloads, costs, presets, policies, metrics.

Run ``python -m gmemgpu.docs.reference`` after a change of any of them; a test compares pages and code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import BaseMetadata
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from gmemgpu.catalogue import named_policies
from gmemgpu.cli.policies import policies_markdown
from gmemgpu.metrics.quantity import MORE_QUANTITIES, QUANTITIES, Quantity
from gmemgpu.model import policy as choices
from gmemgpu.model.cost import Costs
from gmemgpu.model.metric import METRICS, Metric
from gmemgpu.model.rmp_figure import RMP_FIGURES
from gmemgpu.sweeping.spec import SweepSpec
from gmemgpu.toml_file import packaged_toml
from gmemgpu.units import format_bytes, format_duration_ns
from gmemgpu.workload.preset import preset_names, preset_summary
from gmemgpu.workload.spec import Workload

__all__ = ["GENERATED", "PAGES", "main", "regenerated", "workload_keys"]

PAGES = Path(__file__).parent

_UNITS = {
    "_ns": "ns",
    "_bytes": "bytes",
    "_pages": "pages",
    "_per_s": "1/s",
    "_per_day": "1/day",
    "_per_week": "1/week",
}
_SIGNS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤", "multiple_of": "multiple of"}


def _table(headings: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    headings = list(headings)
    rows = [headings, ["---"] * len(headings), *lines]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in rows)


def _peeled(annotation: Any) -> tuple[list[Any], list[Any]]:
    # The alternatives of an annotation and what Annotated says of them, None left out.
    if get_origin(annotation) is Annotated:
        inner, *notes = get_args(annotation)
        alternatives, below = _peeled(inner)
        return alternatives, [*below, *notes]
    if get_origin(annotation) in (Union, UnionType):
        parts = [_peeled(argument) for argument in get_args(annotation) if argument is not type(None)]
        return [one for alternatives, _ in parts for one in alternatives], [
            note for _, notes in parts for note in notes
        ]
    return [annotation], []


def _written(key: str, value: Any) -> str:
    if isinstance(value, int) and key.endswith("_ns"):
        return format_duration_ns(value) if value else "0"
    if isinstance(value, int) and key.endswith("_bytes"):
        return format_bytes(value) if value else "0"
    return f"{value:,}"


def _limits(key: str, notes: Iterable[Any]) -> str:
    # The tightest of each kind: what a field says, and what the type says that it is made of.
    found: dict[str, Any] = {}
    for note in notes:
        for limit in note.metadata if isinstance(note, FieldInfo) else [note]:
            for name, sign in _SIGNS.items():
                value = getattr(limit, name, None)
                # The largest that 63 bits hold says nothing that a reader could use.
                if isinstance(limit, BaseMetadata) and value is not None and value < 2**62:
                    found[sign] = max(found.get(sign, value), value)
    if ">" in found or (key.endswith(("_ns", "_bytes")) and not found.get("≥")):
        found.pop("≥", None)  # times and sizes are never negative
    return ", ".join(f"{sign} {_written(key, found[sign])}" for sign in _SIGNS.values() if sign in found)


def _type(key: str, annotation: Any, notes: Iterable[Any] = ()) -> str:
    alternatives, below = _peeled(annotation)
    kind = alternatives[0]
    if get_origin(kind) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(kind))
    if get_origin(kind) is tuple:
        return f"list of {_type(key, get_args(kind)[0])}"
    if get_origin(kind) is dict:
        return f"table of {_type(key, get_args(kind)[1])}"
    name = {str: "text", bool: "true or false", int: "integer", float: "number", Path: "file name"}[kind]
    if kind is int and key.endswith("_ns"):
        name = "time"
    elif kind is int and key.endswith("_bytes"):
        name = "size"
    return f"{name} {_limits(key, [*below, *notes])}".rstrip()


def _default(key: str, field: FieldInfo) -> str:
    value = field.default
    if value is PydanticUndefined:
        return "needed"
    if value is None or value == "":
        return "–"
    if isinstance(value, int) and key.endswith(("_ns", "_bytes")):
        return f"`{_written(key, value)}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _models(annotation: Any) -> list[type[BaseModel]]:
    # Tables that a field may hold, or that its lists or named tables hold.
    alternatives, _ = _peeled(annotation)
    found: list[type[BaseModel]] = []
    for one in alternatives:
        if isinstance(one, type) and issubclass(one, BaseModel):
            found.append(one)
        elif get_origin(one) in (tuple, dict):
            found.extend(model for argument in get_args(one) if argument is not ... for model in _models(argument))
    return found


def _path(prefix: str, key: str, annotation: Any) -> str:
    alternatives, _ = _peeled(annotation)
    kind = get_origin(alternatives[0])
    return f"{prefix}{key}" + {tuple: "[]", dict: ".NAME"}.get(kind, "")


def _tag(model: type[BaseModel]) -> tuple[str, str] | None:
    # The key and the value that choose this model among others.
    for key, field in model.model_fields.items():
        if get_origin(field.annotation) is Literal and len(get_args(field.annotation)) == 1:
            return key, get_args(field.annotation)[0]
    return None


def _sections(model: type[BaseModel], path: str, shown: dict[type, str]) -> Iterator[str]:
    # A table of this model, then those of the tables in it. `shown` maps models of before to their headings.
    tag = _tag(model)
    title = f"`{path}`" if tag is None else f"`{path}`, {tag[0]} `{tag[1]}`"
    base = next((one for one in model.__mro__[1:] if one in shown), None)
    inherited = set(base.model_fields) if base is not None and issubclass(base, BaseModel) else set()
    shown[model] = title
    yield f"### {title}\n\n"
    if base is not None:
        yield f"All keys of {shown[base]}, and:\n\n"
    rows = []
    for key, field in model.model_fields.items():
        if not _models(field.annotation) and (key not in inherited or (tag is not None and key == tag[0])):
            unit = next((unit for end, unit in _UNITS.items() if key.endswith(end)), "–")
            kind = _type(key, field.annotation, field.metadata)
            rows.append((f"`{key}`", kind, unit, _default(key, field), field.description or ""))
    yield _table(("key", "type", "unit", "default", "meaning"), rows) + "\n"
    for key, field in model.model_fields.items():
        for below in _models(field.annotation):
            yield from _sections(below, _path(f"{path}.", key, field.annotation), shown)


def workload_keys() -> str:
    """
    Write every key of a workload, a table for each of its sections.

    Returns
    -------
    str
        Markdown. A key's type, limits, unit, default and meaning are those of its pydantic model.
    """
    return "".join(_sections(Workload, "workload", {})).rstrip() + "\n"


def _costs() -> str:
    described = Costs.__pydantic_fields__.items()  # type: ignore[attr-defined]  # of pydantic's dataclasses
    rows = ((f"`{name}`", f"{found.default:,}", found.description) for name, found in described)
    return _table(("key", "ns", "meaning and source"), rows)


def _presets() -> str:
    return _table(("preset", "what it is"), ((f"`{name}`", preset_summary(name)) for name in preset_names()))


def _hosts() -> str:
    rows = (
        (f"`{name}`", host["memory_bytes"], str(host["nodes"]), str(host["cores"]), str(host["threads_per_core"]))
        for name, host in packaged_toml("hosts").items()
    )
    return _table(("host", "memory", "nodes", "cores", "threads a core"), rows)


def _policy_choices() -> str:
    timers = ("immediate", "fixed(T)", "debounce(T)", "debounce(T, LONGEST)", "periodic(T)")
    values = {
        "hook": get_args(choices.Hook),
        "timer": timers,
        "busy": get_args(choices.Busy),
        "scope": get_args(choices.Scope),
        "gate": get_args(choices.Gate),
        "executor": get_args(choices.Executor),
        "boot": ("true", "false"),
    }
    return _table(("key", "values"), ((f"`{k}`", ", ".join(f"`{v}`" for v in known)) for k, known in values.items()))


_IN_TOML = {
    "include": "file name",
    "seeds": "integer, or list of integers",
    "policies_file": "file name",
    "policy": "tables",
    "policies": "list of text",
    "costs": "table, or file name",
    "workload": "table",
    "scenario": "tables",
    "rmp_every": "time",
    "rmp_at": "list of times",
    "expect": "tables",
}
"""How a file writes the keys of a spec that a model holds as something else."""
_DEFAULTS = {"name": "the file's name", "seeds": "`1`", "policies": "all named", "costs": "`{}`", "workload": "`{}`"}


def _spec_keys() -> str:
    rows = []
    for field, found in SweepSpec.model_fields.items():
        key = found.alias or field
        kind = _IN_TOML.get(key) or _type(key, found.annotation)
        default = _DEFAULTS.get(key) or ("–" if not found.default else f"`{found.default}`")
        rows.append((f"`{key}`", kind, default, found.description or ""))
    return _table(("key", "type", "default", "meaning"), rows)


def _figures(quantities: Iterable[Quantity]) -> str:
    rows = ((q.header, f"`{q.key}`", q.meaning, "more" if q.high_is_good else "less") for q in quantities)
    return _table(("heading", "key", "meaning", "better"), rows)


def _metrics(metrics: Iterable[Metric]) -> str:
    return _table(("metric", "unit", "meaning"), ((f"`{m.name}`", m.unit, m.meaning) for m in metrics))


GENERATED: dict[str, dict[str, Callable[[], str]]] = {
    "specs.md": {"spec": _spec_keys, "workload": workload_keys, "costs": _costs, "presets": _presets, "hosts": _hosts},
    "policies.md": {"policies": lambda: policies_markdown(named_policies()), "choices": _policy_choices},
    "metrics.md": {
        "figures": lambda: _figures(QUANTITIES),
        "more": lambda: _figures(MORE_QUANTITIES),
        "metrics": lambda: _metrics(METRICS),
        "images": lambda: _metrics(RMP_FIGURES),
    },
}
"""Page to the name of each generated part, to what writes it."""


def regenerated(page: str) -> str:
    """
    Return a page with its generated parts as the code has them now.

    Parameters
    ----------
    page : str
        A key of `GENERATED`. Each part stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``.

    Returns
    -------
    str
        The whole page, in Markdown.

    Raises
    ------
    ValueError
        If the page lacks the marks of a part.
    """
    text = (PAGES / page).read_text(encoding="utf-8")
    for name, write in GENERATED[page].items():
        marks = re.search(rf"<!-- generated: {name} -->\n(.*?)<!-- end -->\n", text, re.DOTALL)
        if marks is None:
            raise ValueError(f"{page}: no marks for {name}; write <!-- generated: {name} --> and <!-- end -->")
        text = f"{text[: marks.start(1)]}\n{write()}\n{text[marks.end(1) :]}"
    return text


def main() -> None:
    """Write the generated parts of all pages anew."""
    for page in GENERATED:
        (PAGES / page).write_text(regenerated(page), encoding="utf-8")


if __name__ == "__main__":
    main()
