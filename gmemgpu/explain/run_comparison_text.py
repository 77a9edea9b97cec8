"""The comparison of two runs in words and a few small tables."""

from __future__ import annotations

from gmemgpu.explain.duration import span_text
from gmemgpu.explain.episode_fate import EpisodeFate, episode_counts
from gmemgpu.explain.record import RunRecord
from gmemgpu.explain.run_comparison import MissedAlone, RunComparison
from gmemgpu.explain.words import counted, filled, miss_text, when
from gmemgpu.timeline.integral import exact_sum

__all__ = ["comparison_lines"]

_EXAMPLES = 2
_REASON_WIDTH, _COUNT_WIDTH = 58, 9


def comparison_lines(found: RunComparison, *, whole: bool = False) -> list[str]:
    """
    Write a comparison.

    Parameters
    ----------
    found : RunComparison
        Of two runs.
    whole : bool
        Every episode, not only the worst of each reason.

    Returns
    -------
    list of str
        No wider than 80 columns, but for long names of policies.
    """
    return [
        *_counts(found),
        "",
        *_times(found),
        *_missed(found.missed_by_first, found.first, found.second, whole=whole),
        *_missed(found.missed_by_second, found.second, found.first, whole=whole),
    ]


def _counts(found: RunComparison) -> list[str]:
    names = [record.policy.name for record in (found.first, found.second)]
    width = max(12, *(len(name) + 2 for name in names))
    counts = [episode_counts(record) for record in (found.first, found.second)]
    words = ("optimized", "overtaken", "never")
    lines = [f"{'free episodes':<16}{names[0]:>{width}}{names[1]:>{width}}{'difference':>{width}}"]
    for fate, word in zip(EpisodeFate, words, strict=True):
        a, b = counts[0][fate], counts[1][fate]
        lines.append(f"{word:<16}{a:>{width},}{b:>{width},}{_signed(a - b):>{width}}")
    only = len(found.missed_by_second.miss), len(found.missed_by_first.miss)
    lines.append(f"{'it alone':<16}{only[0]:>{width},}{only[1]:>{width},}{_signed(only[0] - only[1]):>{width}}")
    return [*lines, f"Both optimized {found.n_both:,}, neither {found.n_neither:,}."]


def _times(found: RunComparison) -> list[str]:
    a, b = found.first.policy.name, found.second.policy.name
    less = found.optimized_ns[1] - found.optimized_ns[0]
    lines = filled(
        f"Of the time that regions are optimized {a} has {span_text(abs(less))} {'less' if less >= 0 else 'more'} than "
        f"{b}, summed over regions:",
        0,
    )
    parts = (
        (-exact_sum(found.missed_by_first.lost_ns), f"episodes that {a} missed alone"),
        (exact_sum(found.missed_by_second.lost_ns), f"episodes that {b} missed alone"),
        (-found.later_ns, f"{counted(found.n_later, 'episode')} that {a} optimized later"),
        (found.earlier_ns, f"{counted(found.n_earlier, 'episode')} that {a} optimized earlier"),
        (found.other_ns, "free since SNP began, or since the warm-up"),
    )
    return lines + [f"  {_signed_span(part_ns):>16}  {word}" for part_ns, word in parts if part_ns]


def _missed(alone: MissedAlone, record: RunRecord, other: RunRecord, *, whole: bool) -> list[str]:
    a, b = record.policy.name, other.policy.name
    if not alone.miss:
        return ["", f"{a} missed nothing that {b} optimized."]
    head = f"{a} missed, {b} optimized"
    lines = ["", f"{head:<{_REASON_WIDTH}}{'episodes':>{_COUNT_WIDTH}}{'lost':>13}"]
    groups = alone.by_reason()
    for reason, mine in groups.items():
        lost = span_text(exact_sum(alone.lost_ns[mine]))
        lines.append(f"  {reason.value:<{_REASON_WIDTH - 2}}{len(mine):>{_COUNT_WIDTH},}{lost:>13}")
    total = span_text(exact_sum(alone.lost_ns))
    if len(groups) > 1:
        lines.append(f"  {'all':<{_REASON_WIDTH - 2}}{len(alone.miss):>{_COUNT_WIDTH},}{total:>13}")
    lines += ["", "Every one:" if whole else "The worst of each:"]
    for mine in groups.values():
        for i in mine.tolist() if whole else mine.tolist()[:_EXAMPLES]:
            e = int(alone.episode[i])
            begin, end = (
                when(record, int(times_ns[e])) for times_ns in (record.episodes.begin_ns, record.episodes.end_ns)
            )
            free = f"region {record.episodes.region[e]}, free from {begin} to {end}"
            caught = f"{b} set it at {when(record, int(other.episodes.set_ns[e]))}"
            lost = f"{span_text(int(alone.lost_ns[i]))} lost"
            lines += filled(f"{free}: {caught}, {lost}; {a}: {miss_text(record, alone.miss[i])}", 2)
    return lines


def _signed(n: int) -> str:
    return f"{n:+,}" if n else "0"


def _signed_span(span_ns: int) -> str:
    return f"{'-' if span_ns < 0 else '+'}{span_text(abs(span_ns))}"
