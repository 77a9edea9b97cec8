"""
Run the sweeps behind the questions of the mailing list and write DEBATE.md.

    python jobs/debate/debate.py -o results/debate

What is asked, which sweep, policies and figures answer it, and what the figures must show for the answer to stand, is
data: questions.toml. If rows contradict an answer nothing is written, and every contradiction is named.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from answers import Results, contradictions, figure, name_of, quantities_of, variations
from questions import Claim, Debate, Key, Question, Table, fingerprint, read_debate

import gmemgpu
from gmemgpu.atomic import written_whole
from gmemgpu.cli.progress import shown_progress
from gmemgpu.errors import GmemgpuError, InputError
from gmemgpu.report.comparison import Comparison
from gmemgpu.report.comparison_grid import compact_lines, grid_lines, pivot_lines
from gmemgpu.sweeping.spec import SweepSpec

__all__ = ["main", "page"]

HERE = Path(__file__).parent
WIDTH = 76
_PROSE_WIDTH = 120
_LETTERS = "abcdefgh"
_WORDS = {"none": "no difference that matters", "better": "better", "worse": "worse", "can't tell": "can't tell"}


def page(debate: Debate, specs: Mapping[str, SweepSpec], results: Results) -> str:
    """Return DEBATE.md."""
    lines = ["# The debate, question by question", "", *_prose(debate.intro), ""]
    lines += [f"{one.number}. [{one.title}](#{_anchor(one)})" for one in debate.question]
    lines += ["", "## Which assumptions matter", "", *_assumptions(debate, results)]
    for question in debate.question:
        lines += ["", *_section(question, specs, results)]
    lines += ["", "## What was not run, and what no run can say", "", *_prose(debate.outside), ""]
    return "\n".join([*lines, f"<!-- questions and specs {fingerprint(debate, specs)} -->", ""])


def _anchor(question: Question) -> str:
    # As GitHub makes it of the heading.
    heading = f"{question.number}. {question.title}".lower()
    return "".join(sign for sign in heading if sign.isalnum() or sign in " -_").replace(" ", "-")


def _prose(text: str) -> Iterator[str]:
    for i, paragraph in enumerate(text.strip().split("\n\n")):
        if i:
            yield ""
        yield from textwrap.wrap(paragraph, _PROSE_WIDTH, break_long_words=False, break_on_hyphens=False)


def _assumptions(debate: Debate, results: Results) -> Iterator[str]:
    # Of each assumption the claims that do not come out as they do in the base; presets are other hosts altogether.
    changed: dict[str, dict[str, list[str]]] = {}
    n_claims: dict[str, int] = {}
    for question in debate.question:
        for letter, claim in zip(_LETTERS, question.claim, strict=False):
            if "preset" in question.table_of(claim).vary:
                continue
            for name, _, got in variations(claim, question, results):
                n_claims[name] = n_claims.get(name, 0) + 1
                if got != claim.expect:
                    turned = {got, claim.expect} == {"better", "worse"}
                    kind = "turned round" if turned else _WORDS[got]
                    changed.setdefault(name, {}).setdefault(kind, []).append(f"{question.number}{letter}")
    yield from _prose(
        "Claims that come out otherwise, by question and letter; all others stand under every assumption that was "
        "tried. How much there is to win at all is another matter: question 15 ends with what displaced blocks leave."
    )
    yield ""
    for name, kinds in sorted(changed.items(), key=lambda item: -sum(map(len, item[1].values()))):
        n_changed = sum(map(len, kinds.values()))
        found = "; ".join(f"{kind}: {', '.join(claims)}" for kind, claims in kinds.items())
        text = textwrap.wrap(f"**{name}**: {n_changed} of {n_claims[name]}; {found}.", _PROSE_WIDTH - 2)
        yield from (f"{'  ' if i else '- '}{line}" for i, line in enumerate(text))


def _section(question: Question, specs: Mapping[str, SweepSpec], results: Results) -> Iterator[str]:
    numbers = {
        name: format(figure(one, question, results), one.form).replace("-", "−")
        for name, one in question.numbers.items()
    }
    yield f"## {question.number}. {question.title}"
    yield ""
    links = ", ".join(f"[{i}]({address})" for i, address in enumerate(question.source, 1))
    yield from _prose(f"Asked by {question.asked}: {links}.")
    yield ""
    yield from _prose(f"**{question.answer.format(**numbers)}**")
    for table in question.table:
        yield ""
        yield from _shown(table, specs[table.spec], results)
    yield ""
    yield from _changed(question, results)
    yield ""
    yield from _prose(f"*Limits.* {question.limits}")


def _shown(table: Table, spec: SweepSpec, results: Results) -> Iterator[str]:
    yield from _prose(f"{table.caption} {len(spec.seeds)} seeds; differences to `{table.baseline}`.")
    yield ""
    yield "```text"
    groups = results.groups(table)
    if table.pivot:
        (quantity,) = table.quantities
        yield from pivot_lines([(_name(group.keys, table), group) for group in groups], quantity, table.baseline, WIDTH)
    else:
        for group in groups:
            if len(groups) > 1:
                yield _name(group.keys, table)
            kept = tuple(one for one in group.comparisons if one.quantity.key in table.quantities)
            yield from compact_lines(replace(group, comparisons=kept), table.baseline, WIDTH)
    yield "```"
    yield ""
    words = ["gmemgpu", "show", f"results/debate/{table.spec}", "--baseline", table.baseline]
    words += ["--group-by", *table.group_by, "--policy", *table.policies, "--metric", *quantities_of(table)]
    yield "```sh"
    lines = textwrap.wrap(" ".join(words), WIDTH - 2, subsequent_indent="  ", break_on_hyphens=False)
    yield from [*(f"{line} \\" for line in lines[:-1]), lines[-1]]
    yield "```"


def _name(keys: Mapping[str, Key], table: Table) -> str:
    return name_of(keys, [key for key in table.group_by if key not in table.where] or table.group_by)


def _changed(question: Question, results: Results) -> Iterator[str]:
    # Claim by claim what other assumptions make of it, then the figures.
    yield "Under other assumptions:"
    yield ""
    claims = list(zip(_LETTERS, question.claim, strict=False))
    for letter, claim in claims:
        told: dict[str, list[str]] = {}
        for name, _, got in variations(claim, question, results):
            told.setdefault(got, []).append(name)
        told.pop(claim.expect, None)
        others = "; ".join(f"{_WORDS[got]} with {', '.join(names)}" for got, names in told.items())
        found = f"but {others}" if others else "the same under all of them"
        text = textwrap.wrap(f"({letter}) {claim.text}: {found}.", _PROSE_WIDTH - 2, break_on_hyphens=False)
        yield from (f"{'  ' if i else '- '}{line}" for i, line in enumerate(text))
    grids = [grid_lines(*_grid(claims, question, results), width=1000)]
    if max(map(len, grids[0])) > WIDTH:
        by_table = [[one for one in claims if one[1].table == table.name] for table in question.table]
        grids = [grid_lines(*_grid(some, question, results), width=WIDTH) for some in by_table if some]
    for grid in grids:
        yield ""
        yield "```text"
        yield from grid
        yield "```"


def _grid(
    claims: Sequence[tuple[str, Claim]], question: Question, results: Results
) -> tuple[list[str], list[tuple[str, list[Comparison | None]]]]:
    columns = [{name: one for name, one, _ in variations(claim, question, results)} for _, claim in claims]
    names = dict.fromkeys(name for column in columns for name in column)
    # What an update costs changes CPU time alone: other columns have no such line.
    rows = [(name, [column.get(name) for column in columns]) for name in names]
    headers = [next(iter(column.values())).quantity.header for column in columns]
    return [f"({letter}) {header}" for (letter, _), header in zip(claims, headers, strict=True)], rows


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is missing, hold every answer against the rows, write the page; 0 if all answers stand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="results; what it holds is kept"
    )
    parser.add_argument("--questions", type=Path, default=HERE / "questions.toml", metavar="FILE")
    parser.add_argument("--page", type=Path, default=HERE / "DEBATE.md", metavar="FILE", help="what to write")
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one a core)")
    parser.add_argument("--backend", metavar="B", help="engine, as of gmemgpu sweep")
    arguments = parser.parse_args(argv)
    try:
        debate, specs = read_debate(arguments.questions)
        for name in specs:
            with shown_progress(quiet=False, say_why=False) as listen:
                gmemgpu.sweep(
                    arguments.questions.parent / f"{name}.toml",
                    arguments.output / name,
                    workers=arguments.workers,
                    backend=arguments.backend,
                    progress=listen,
                )
        results = Results(arguments.output)
        found = [line for question in debate.question for line in contradictions(question, results)]
        if found:
            print("\n".join(f"debate: {line}" for line in found), file=sys.stderr)
            return 1
        with written_whole(arguments.page) as file:
            file.write(page(debate, specs, results).encode())
    except InputError as error:
        print("\n".join(f"debate: {problem}" for problem in error.problems), file=sys.stderr)
        return error.exit_code
    except GmemgpuError as error:
        print(f"debate: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
