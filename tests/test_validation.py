"""Every mistake in a description: its place, its value and the remedy, whatever pydantic calls it."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from gmemgpu.errors import SpecError
from gmemgpu.fields import DurationNs, Section
from gmemgpu.validation import checked_dataclass, problems_of, validated


class Square(Section):
    shape: Literal["square"]
    side: int = Field(ge=1, description="Length of a side.")


class Disc(Section):
    shape: Literal["disc", "circle"]
    radius: int = Field(ge=1, description="Half a diameter.")


Shape = Annotated[Square | Disc, Field(discriminator="shape")]


@checked_dataclass()
class Layer:
    """One of several."""

    colour: Literal["red", "green", "blue"] = Field(description="What it is painted with.")
    wait_ns: DurationNs = Field(default=0, description="How long it dries.")


class Picture(Section):
    shapes: tuple[Shape, ...] = ()
    named: dict[str, Shape] = Field(default={})
    layers: list[Layer] = Field(default=[])
    seeds: int | list[int] = 1
    top: Layer | None = None


def problems(model: Any, value: object, where: str) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(model).validate_python(value)
    return [str(problem) for problem in problems_of(caught.value, where, model)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"shpes": []}, ['shpes: unknown key; did you mean "shapes"?']),
        ({"xyz": 1}, ["xyz: unknown key; known: shapes, named, layers, seeds, top"]),
        ({"shapes": [{"shape": "disc"}]}, ["shapes[0].radius: is missing: Half a diameter."]),
        (
            {"shapes": [{"shape": "square", "sid": 1, "side": 0}]},
            [
                "shapes[0].side: 0 cannot be used: it must be greater than or equal to 1",
                'shapes[0].sid: unknown key; did you mean "side"?',
            ],
        ),
        ({"shapes": [{"shape": "squre"}]}, ['shapes[0].shape: "squre" is unknown; did you mean "square"?']),
        ({"shapes": [{"shape": "xyz"}]}, ['shapes[0].shape: "xyz" is unknown; use square, disc, circle']),
        ({"named": {"a": {}}}, ["named.a.shape: is missing"]),
        (
            {"named": {"a": {"shape": "circle", "radius": 0}}},
            ["named.a.radius: 0 cannot be used: it must be greater than or equal to 1"],
        ),
        (
            {"layers": [{"colour": "red"}, {"colour": "gren"}]},
            ['layers[1].colour: "gren" is unknown; did you mean "green"?'],
        ),
        ({"top": {"colour": 3}}, ['top.colour: 3 cannot be used: it must be "red", "green" or "blue"']),
        ({"top": {"colour": "red", "wait_ns": "1.5 ns"}}, ['top.wait_ns: "1.5 ns" is not a whole number of ns; use']),
        ({"seeds": [1, None]}, ["seeds: [1, None] cannot be used: it must be", "seeds[1]: None cannot be used: it"]),
        ({"seeds": ["x" * 99]}, ["seeds: ['xxxx", f'seeds[0]: "{"x" * 56}… cannot be used: it must be a valid']),
    ],
)
def test_each_with_its_place(value: dict[str, Any], expected: list[str]) -> None:
    found = problems(Picture, value, "picture")
    assert len(found) == len(expected)
    for problem, start in zip(found, expected, strict=True):
        assert problem.startswith(f"picture.{start}")


@pytest.mark.parametrize(
    ("where", "value", "expected"),
    [
        ("", {"colour": "pink"}, 'colour: "pink" is unknown; use red, green, blue'),
        ("f.toml: ", {"colour": "pink"}, 'f.toml: colour: "pink" is unknown; use red, green, blue'),
        ("f.toml: ", 7, "f.toml: 7 is no table of keys and values"),
        ("f.toml: layer[2]", {}, "f.toml: layer[2].colour: is missing: What it is painted with."),
    ],
)
def test_the_key_follows_what_it_is_in(where: str, value: object, expected: str) -> None:
    assert problems(Layer, value, where) == [expected]
    with pytest.raises(SpecError) as caught:
        validated(Layer, value, where)
    assert str(caught.value) == expected


def test_a_list_and_its_items() -> None:
    assert problems(list[Layer], [{"colour": "red"}, {"color": "red"}], "layer") == [
        "layer[1].colour: is missing: What it is painted with.",
        'layer[1].color: unknown key; did you mean "colour"?',
    ]


def test_a_constructor_names_everything_that_is_wrong() -> None:
    with pytest.raises(SpecError) as caught:
        Layer("gren", -1)  # type: ignore[arg-type]
    assert [str(problem) for problem in caught.value.problems] == [
        'layer.colour: "gren" is unknown; did you mean "green"?',
        "layer.wait_ns: -1 cannot be used: it must be greater than or equal to 0",
    ]
    with pytest.raises(SpecError, match=r'layer.colr: unknown key; did you mean "colour"\?'):
        Layer("red", colr=1)  # type: ignore[call-arg]


def test_a_dataclass_as_any_other() -> None:
    layer = Layer("red", wait_ns="1 s")  # type: ignore[arg-type]
    assert dataclasses.asdict(layer) == {"colour": "red", "wait_ns": 10**9}
    assert dataclasses.replace(layer, wait_ns=0) == Layer("red")
    assert len({layer, Layer("red", 10**9), pickle.loads(pickle.dumps(layer)), copy.deepcopy(layer)}) == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        layer.wait_ns = 3
    with pytest.raises(SpecError, match=r"layer.wait_ns: -1"):
        dataclasses.replace(layer, wait_ns=-1)


def test_the_docstring_lists_the_parameters() -> None:
    assert Layer.__doc__ == (
        "One of several.\n\nParameters\n----------\n"
        "colour : Literal['red', 'green', 'blue']\n    What it is painted with.\n"
        "wait_ns : DurationNs\n    How long it dries.\n"
    )
