from __future__ import annotations

import pytest

from gmemgpu.report.ascii import to_ascii


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("−3.70 ±1.62 GiB·h", "-3.70 +-1.62 GiB*h"),
        ("pods · 8 seeds", "pods - 8 seeds"),
        ("5 µs … ∞", "5 us ... inf"),
        ("Größe", "Grosse".replace("ss", "?")),
        ("a, b", "a, b"),
        ("名", "?"),
    ],
)
def test_signs_become_what_people_type(text: str, plain: str) -> None:
    assert to_ascii(text) == plain
