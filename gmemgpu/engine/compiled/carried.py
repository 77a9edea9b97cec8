"""Classes of all covered regions, or all dirty ones, and their sums: carried from pass to pass."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gmemgpu.compiled import compiled_in_place
from gmemgpu.engine.class_code import ABSENT, CACHED, CLEAN, FAIL_EARLY, N_CODES
from gmemgpu.engine.compiled.columns import Changes, States
from gmemgpu.engine.compiled.ledger import CACHED_FOUND, EARLY, FAILED, Ledger
from gmemgpu.engine.compiled.rules import DIRTY_RETRY, Rules
from gmemgpu.model.trace import BoolArray, Int64Array

__all__ = ["Carried", "new_carried", "advance", "refresh", "set_code", "forget", "finish"]

# Places in `Carried.sums`; `carried_pass.py` reads them too.
TOTAL_NS = 0  # how long a pass takes
N_TARGETS = 1
N_WATCHED = 2  # targets whose attempt must be looked at
N_JUST_SET = 3  # bits that the last pass set
N_COUNTED = 4  # passes so far, those after the warm-up
CHANGE = 5  # the first change that no pass has seen
EPOCH = 6  # the time with SNP on that held the last pass
N_SUMS = 7

_STALE = -2
"""No time with SNP on: classes are looked up anew."""


class Carried(NamedTuple):
    """
    What the next pass would find, if nothing changed until then.

    Between two passes only the regions that changed are touched. An attempt has a known outcome unless its region
    changes while the pass runs, or it may set a bit: the pass looks at those, and the rest are counted at the end.

    Parameters
    ----------
    code : (n_regions,) int64
        Class; `ABSENT` if the region is no target.
    length_ns : (n_regions,) int64
        How long the attempt takes.
    row : (n_regions,) int64
        Row of the region's state.
    watched : (n_regions,) int64
        The first ``sums[N_WATCHED]`` are regions whose attempt must be looked at, in any order.
    place : (n_regions,) int64
        Of each region in `watched`; -1 if it is not.
    just_set : (n_regions,) int64
        The first ``sums[N_JUST_SET]`` had their bit set by the last pass.
    marked : (n_regions,) bool
        False everywhere between passes.
    codes : (n_groups * N_CODES,) int64
        Attempts of counted passes by class code, but for those of the class that each region has had since.
    sums : (N_SUMS,) int64
        At the places named above.
    """

    code: Int64Array
    length_ns: Int64Array
    row: Int64Array
    watched: Int64Array
    place: Int64Array
    just_set: Int64Array
    marked: BoolArray
    codes: Int64Array
    sums: Int64Array


def new_carried(states: States, rules: Rules) -> Carried:
    """Return what no pass has looked at yet: no target."""
    n = len(rules.group)
    sums = np.zeros(N_SUMS, np.int64)
    sums[EPOCH] = _STALE
    return Carried(
        code=np.full(n, ABSENT, np.int64),
        length_ns=np.zeros(n, np.int64),
        row=states.first_row.copy(),
        watched=np.zeros(n, np.int64),
        place=np.full(n, -1, np.int64),
        just_set=np.zeros(n, np.int64),
        marked=np.zeros(n, np.bool_),
        codes=np.zeros(len(rules.length_ns), np.int64),
        sums=sums,
    )


@compiled_in_place
def set_code(carried: Carried, region: int, code: int, rules: Rules) -> None:
    """Change a region's class."""
    old = carried.code[region]
    if code == old:
        return
    sums = carried.sums
    carried.code[region] = code
    now, before = rules.group[region] + code, rules.group[region] + old
    # At the end each region is counted once for each pass, under its last class: what went before is set off here.
    carried.codes[before] += sums[N_COUNTED]
    carried.codes[now] -= sums[N_COUNTED]
    sums[TOTAL_NS] += rules.length_ns[now] - rules.length_ns[before]
    carried.length_ns[region] = rules.length_ns[now]
    if old == ABSENT:
        sums[N_TARGETS] += 1
    elif code == ABSENT:
        sums[N_TARGETS] -= 1
    # A set bit makes no difference to the next pass, unless its region is no target from then on.
    watch = code == CLEAN or (code == CACHED and rules.scope == DIRTY_RETRY)
    place = carried.place[region]
    if watch and place < 0:
        carried.place[region] = sums[N_WATCHED]
        carried.watched[sums[N_WATCHED]] = region
        sums[N_WATCHED] += 1
    elif place >= 0 and not watch:
        sums[N_WATCHED] -= 1
        last = carried.watched[sums[N_WATCHED]]
        carried.watched[place] = last
        carried.place[last] = place
        carried.place[region] = -1


@compiled_in_place
def refresh(carried: Carried, region: int, start_ns: int, states: States, rules: Rules, ledger: Ledger) -> None:
    """Look up a region's class at the start of the next pass; its row is that of `start_ns`."""
    code = states.gated[carried.row[region]]
    if code == CLEAN and ledger.bit_end_ns[region] > start_ns:
        code = CACHED
    set_code(carried, region, code, rules)


@compiled_in_place
def advance(
    carried: Carried,
    start_ns: int,
    epoch: int,
    states: States,
    changes: Changes,
    dirty: BoolArray,
    rules: Rules,
    ledger: Ledger,
) -> None:
    """Bring the classes to the start of a pass in a time with SNP on; `dirty` regions may be targets."""
    sums = carried.sums
    covered = states.covered
    many = sums[CHANGE] + covered.size // 2
    if epoch != sums[EPOCH] or (many < changes.t_ns.size and changes.t_ns[many] <= start_ns):
        # Every bit may be gone, or most regions have changed: all are looked at.
        while sums[CHANGE] < changes.t_ns.size and changes.t_ns[sums[CHANGE]] <= start_ns:
            sums[CHANGE] += 1
        for i in range(covered.size):
            region = covered[i]
            row = carried.row[region]
            while states.t_ns[row + 1] <= start_ns:
                row += 1
            carried.row[region] = row
            if dirty[region]:
                refresh(carried, region, start_ns, states, rules, ledger)
        sums[EPOCH] = epoch
    else:
        change = sums[CHANGE]
        while change < changes.t_ns.size and changes.t_ns[change] <= start_ns:
            region = changes.region[change]
            carried.row[region] = changes.row[change]
            if dirty[region]:
                refresh(carried, region, start_ns, states, rules, ledger)
            change += 1
        sums[CHANGE] = change
        for i in range(sums[N_JUST_SET]):
            region = carried.just_set[i]
            if carried.code[region] == CLEAN and ledger.bit_end_ns[region] > start_ns:
                set_code(carried, region, CACHED, rules)
    sums[N_JUST_SET] = 0


@compiled_in_place
def forget(carried: Carried) -> None:
    """Mark all classes as unknown: the next pass looks them up."""
    carried.sums[EPOCH] = _STALE


@compiled_in_place
def finish(carried: Carried, rules: Rules, covered: Int64Array, ledger: Ledger) -> None:
    """Count the attempts of all passes by class, and by the outcome that goes with it."""
    for i in range(covered.size):
        carried.codes[rules.group[covered[i]] + carried.code[covered[i]]] += carried.sums[N_COUNTED]
    for priced in range(carried.codes.size):
        n = carried.codes[priced]
        code = priced % N_CODES
        if code == CACHED:
            ledger.counts[CACHED_FOUND] += n
        elif code < CLEAN:
            ledger.counts[FAILED] += n
            if code >= FAIL_EARLY:
                ledger.counts[EARLY] += n
        if code != ABSENT:
            ledger.codes[priced] += n
