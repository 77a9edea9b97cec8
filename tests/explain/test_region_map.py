"""States of regions over time, and how they fold into cells."""

from __future__ import annotations

import numpy as np
from by_hand import host, policy, trace
from hypothesis import given, settings
from hypothesis import strategies as st
from two_teardowns import two_teardowns

from gmemgpu.catalogue import choose_policies, named_policies
from gmemgpu.engine.registry import engine
from gmemgpu.explain.map_text import ASCII_MARKS, LABEL_WIDTH, N_LINES_AROUND, map_lines
from gmemgpu.explain.region_map import region_map
from gmemgpu.explain.region_span import State, region_spans
from gmemgpu.explain.replay import record_run
from gmemgpu.model.cost import Costs
from gmemgpu.model.policy import Policy
from gmemgpu.model.trace import Trace
from gmemgpu.testing.strategies import policies, traces

HALF = settings(max_examples=settings.default.max_examples // 2)


@HALF
@given(trace=traces(), policy=policies())
def test_spans_cover_all_time_and_add_up_to_the_metrics(trace: Trace, policy: Policy) -> None:
    (row,) = engine("reference").evaluate([trace], [policy], Costs())[0]
    spans = region_spans(record_run(trace, policy, Costs()))
    assert (spans.begin_ns < spans.end_ns).all()
    for region in range(trace.host.n_regions):
        mine = spans.region == region
        assert spans.begin_ns[mine].tolist() == [0, *spans.end_ns[mine].tolist()[:-1]]
        assert spans.end_ns[mine][-1] == trace.horizon_ns
    counted = np.maximum(spans.end_ns - np.maximum(spans.begin_ns, trace.warmup_ns), 0)
    free, lit = (int(counted[spans.state == state].sum()) for state in (State.FREE, State.OPTIMIZED))
    assert lit == row["optimized_ns"]
    assert free + lit == row["optimizable_ns"]


@HALF
@given(
    trace=traces(),
    policy=policies(),
    n_rows=st.integers(1, 8),
    n_columns=st.integers(1, 9),
    shown=st.tuples(st.integers(0, 100), st.integers(0, 100), st.integers(0, 100), st.integers(0, 100)),
)
def test_a_cell_has_the_share_of_each_state(
    trace: Trace, policy: Policy, n_rows: int, n_columns: int, shown: tuple[int, int, int, int]
) -> None:
    record = record_run(trace, policy, Costs())
    n, horizon_ns = trace.host.n_regions, trace.horizon_ns
    first, begin_ns = shown[0] * n // 101, shown[1] * horizon_ns // 101
    stop, end_ns = first + 1 + shown[2] * (n - first) // 101, begin_ns + 1 + shown[3] * (horizon_ns - begin_ns) // 101
    found = region_map(record, n_rows, n_columns, regions=(first, stop), times_ns=(begin_ns, end_ns))
    assert found.share.shape == (len(found.regions) - 1, len(found.times_ns) - 1, len(State))
    assert len(found.regions) - 1 <= n_rows
    assert (found.regions[0], found.regions[-1]) == (first, stop)
    assert (found.times_ns[0], found.times_ns[-1]) == (begin_ns, end_ns)
    spans = region_spans(record)
    for i, (a, b) in enumerate(zip(found.regions[:-1], found.regions[1:], strict=True)):
        for j, (s, e) in enumerate(zip(found.times_ns[:-1], found.times_ns[1:], strict=True)):
            inside = np.maximum(np.minimum(spans.end_ns, e) - np.maximum(spans.begin_ns, s), 0)
            inside[(spans.region < a) | (spans.region >= b)] = 0
            share = [inside[spans.state == state].sum() / inside.sum() for state in State]
            np.testing.assert_allclose(found.share[i, j], share, atol=1e-9)
    lines = map_lines(found, ASCII_MARKS)
    assert len(lines) <= len(found.share) + N_LINES_AROUND
    assert all(len(line) <= LABEL_WIDTH + len(found.times_ns) - 1 for line in lines[: len(found.share) + 4])
    made, started = record.requests.made.t_ns, record.passes.start_ns[record.passes.state == 0]
    assert found.requests.sum() == ((made >= begin_ns) & (made < end_ns)).sum()
    assert found.passes.sum() == ((started >= begin_ns) & (started < end_ns)).sum()


# VM 1 goes at 5 s: region 0 is free at 6 s and found by the pass at 15 s, region 1 at 16 s and not. A timer set
# at 30 s is put off at 35 s, so that region 2 is taken again at 43 s, before the pass at 45 s.
GOLDEN = """\
 requests    1                1  1
   passes B         1                   1
        3 ####################xXXXXXXXXX..........
        2 ####################XXXXXXXXX###########
        1 ##########xXXXXXXXXXXXXXXXXXXX..........
        0 ####XXXXXX...###########XXXXXX..........
          |                   |
          0                   30 s

# busy   . free and optimized   X free and not optimized   blank: SNP off
A cell is 1.5 s: X where at least half of it is free and not optimized,
x where at least a tenth is, else what most of it is.
Requests, passes: how many in a column; *: 10 and more; B: with a boot pass.
"""


def test_a_large_host_has_labels_that_fit() -> None:
    record = record_run(trace(on=host(30_000)), policy(), Costs())
    lines = map_lines(region_map(record, 3, 40), ASCII_MARKS)
    assert [line[:11] for line in lines[2:5]] == ["   20000- X", "   10000- X", "   0-9999 X"]


def test_a_map_in_characters() -> None:
    (v10,) = choose_policies(["v10"], named_policies())
    lines = map_lines(region_map(record_run(two_teardowns(), v10, Costs()), 10, 40), ASCII_MARKS)
    assert "\n".join(lines) + "\n" == GOLDEN
    assert max(map(len, lines)) <= 80
