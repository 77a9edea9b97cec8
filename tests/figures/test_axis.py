from __future__ import annotations

import json
import re

import pytest

from gmemgpu.figures.axis import axis_for, axis_labels, time_ticks
from gmemgpu.metrics.quantity import Quantity, quantity_named


def named(name: str) -> Quantity:
    found = quantity_named(name)
    assert found is not None
    return found


def test_shares_lie_by_their_nines() -> None:
    axis = axis_for(named("coverage"), [0.0, 0.5, 1.0])
    assert [axis.place(share) for share in (0.0, 0.9, 0.99, 0.9999, 1.0)] == pytest.approx([0, 1, 2, 4, 4])
    # What an interval has beyond the scale lies at its end.
    assert axis.place(-0.3) == 0
    assert axis.fraction(0.0) < axis.fraction(0.5) < axis.fraction(0.99) < axis.fraction(1.0) < 1


def test_costs_of_several_decades_lie_by_powers_of_ten_and_zero_has_a_place() -> None:
    axis = axis_for(named("core_s"), [0.0, 0.02, 0.5, 197.0])
    texts = [text for _, text in axis.ticks]
    assert texts == ["0", "0.1", "1", "10", "100"]
    assert axis.place(10) - axis.place(1) == pytest.approx(1)
    assert axis.domain[0] < axis.place(0.0) < axis.place(0.02) < axis.place(197.0) < axis.domain[1]


def test_costs_close_together_lie_on_a_line() -> None:
    axis = axis_for(named("core_s"), [1.0, 2.0, 3.0])
    assert not axis.ticks
    assert axis.place(2.0) - axis.place(1.0) == pytest.approx(axis.place(3.0) - axis.place(2.0))
    assert axis.domain[0] < 0 < 3 < axis.domain[1]


def test_one_value_of_nothing_has_an_axis() -> None:
    axis = axis_for(named("never"), [0.0])
    assert axis.domain[0] < axis.place(0.0) < axis.domain[1]


def test_times_are_written_in_units_of_people() -> None:
    texts = [text for _, text in time_ticks(1e3, 1e14)]
    assert texts == [
        *("1 µs", "10 µs", "100 µs", "1 ms", "10 ms", "100 ms", "1 s", "10 s", "1 min", "10 min"),
        *("1 h", "10 h", "1 d"),
    ]
    minutes = axis_for(named("latency_p99_ns"), [4 * 60e9, 9 * 60e9])
    assert minutes.title == "latency p99 [min]"
    assert minutes.place(9 * 60e9) == pytest.approx(9)


def test_every_tick_has_its_own_text() -> None:
    spec = axis_labels([(0.1 + 0.2, "a"), (1.0, 'b"</script>')])
    found = re.findall(r'< 1e-9 \? ("(?:[^"\\]|\\.)*")', spec["labelExpr"])
    assert [json.loads(text) for text in found] == ["a", 'b"</script>']
