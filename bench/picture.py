"""
The picture of the README: regions × time of one small trace under one policy.

Held fixed: preset, seed and policy, so that the file is the same on every machine.

    python -m bench.picture
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gmemgpu.catalogue import named_policies
from gmemgpu.explain.region_span import State, region_spans
from gmemgpu.explain.replay import record_run
from gmemgpu.generator import generate
from gmemgpu.model.cost import Costs
from gmemgpu.units import NS_PER_S
from gmemgpu.workload.preset import preset, small_variant

PATH = Path(__file__).parents[1] / "gmemgpu" / "docs" / "v10.svg"
PRESET, SEED, POLICY = "last-big-VM", 1, "v10"

# Told apart without colour too: dark, light, and between.
COLOURS = {State.BUSY: "#5f6b7a", State.OPTIMIZED: "#b8dcf0", State.FREE: "#e8743b"}
MEANINGS = {State.BUSY: "busy", State.OPTIMIZED: "free and optimized", State.FREE: "free and lost"}
WIDTH, ROW, LEFT, TOP = 760, 12, 64, 66
TEXT = 'font-family="DejaVu Sans, Verdana, sans-serif" font-size="12" fill="#1f2933"'


def drawn() -> str:
    """Return the picture as SVG text."""
    trace = generate(small_variant(preset(PRESET)), SEED).trace
    policy = next(one for one in named_policies() if one.name == POLICY)
    spans = region_spans(record_run(trace, policy, Costs()))
    n = trace.host.n_regions
    bottom = TOP + n * ROW

    def x(t_ns: int) -> float:
        return round(LEFT + (WIDTH - LEFT - 16) * t_ns / trace.horizon_ns, 1)

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{bottom + 44}" role="img">',
        f"<title>Regions over time, preset {PRESET} (small), policy {POLICY}</title>",
        f'<rect width="{WIDTH}" height="{bottom + 44}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="22" {TEXT} font-weight="bold">{n} regions of 1 GiB under {POLICY}: '
        "the last guest is torn down</text>",
    ]
    place = LEFT
    for state, meaning in MEANINGS.items():
        lines.append(f'<rect x="{place}" y="36" width="12" height="12" fill="{COLOURS[state]}"/>')
        lines.append(f'<text x="{place + 18}" y="46" {TEXT}>{meaning}</text>')
        place += 50 + 8 * len(meaning)
    for region in range(n):
        # Region 0 at the bottom, as addresses grow upwards.
        y = bottom - (region + 1) * ROW
        for i in np.flatnonzero(spans.region == region).tolist():
            left, right = x(int(spans.begin_ns[i])), x(int(spans.end_ns[i]))
            if right > left:
                box = f'x="{left}" y="{y}" width="{right - left:.1f}" height="{ROW - 1}"'
                lines.append(f'<rect {box} fill="{COLOURS[State(spans.state[i])]}"/>')
    for region in range(0, n, 4):
        y = bottom - region * ROW - 2
        lines.append(f'<text x="{LEFT - 8}" y="{y}" {TEXT} text-anchor="end">{region}</text>')
    middle = (TOP + bottom) // 2
    lines.append(
        f'<text x="18" y="{middle}" {TEXT} transform="rotate(-90 18 {middle})" text-anchor="middle">GiB</text>'
    )
    for minute in range(0, trace.horizon_ns // (60 * NS_PER_S) + 1, 10):
        at = x(minute * 60 * NS_PER_S)
        lines.append(f'<line x1="{at}" y1="{bottom}" x2="{at}" y2="{bottom + 5}" stroke="#1f2933"/>')
        lines.append(f'<text x="{at}" y="{bottom + 20}" {TEXT} text-anchor="middle">{minute}</text>')
    lines.append(f'<text x="{(LEFT + WIDTH) // 2}" y="{bottom + 38}" {TEXT} text-anchor="middle">minutes</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


if __name__ == "__main__":
    PATH.write_text(drawn(), encoding="utf-8")
