"""What each job of a cluster asks for: the ``[cluster]`` table of a spec, or of a file of one's own."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Self, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from gmemgpu.errors import Problem, SpecError
from gmemgpu.fields import DurationNs, SizeBytes
from gmemgpu.toml_file import read_toml
from gmemgpu.units import format_duration_ns
from gmemgpu.validation import problems_of

__all__ = ["ClusterOptions", "options_from_table", "options_over", "is_word", "CODE_KEYS"]

CODE_KEYS = ("python", "job_extra_directives", "job_script_prologue")
"""What can name a program to run. A spec is data, so it may not say them; a file of one's own may."""

_S = 10**9
_WORD = re.compile(r"[\w./:@%+=,-]+")
_MAX_MARGIN_NS = 120 * _S
_LEAST_BYTES = 128 * 2**20


def is_word(text: str) -> bool:
    """Say whether a text can be part of a job script and mean nothing but itself."""
    return _WORD.fullmatch(text) is not None


def _word(text: str) -> str:
    if not is_word(text):
        raise ValueError(f'"{text}" has signs that a shell could take for something else; use letters, digits, -_./')
    return text


def _path_word(text: str) -> str:
    # $TMPDIR and ${TMPDIR} are known on the worker's host alone.
    _word(re.sub(r"\$(\w+|\{\w+\})", "x", text))
    return text


def _line(text: str) -> str:
    if not text.isprintable() or not text.strip():
        raise ValueError(f"{text!r} is not one line of text")
    return text


Word: TypeAlias = Annotated[str, AfterValidator(_word)]
PathWord: TypeAlias = Annotated[str, AfterValidator(_path_word)]
Line: TypeAlias = Annotated[str, AfterValidator(_line)]


class ClusterOptions(BaseModel):
    """
    Options of ``[cluster]``; none of them has an effect on results.

    Examples
    --------
    >>> options_from_table({"jobs": 4, "walltime": "2 h"}).walltime_text
    '02:00:00'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    jobs: int = Field(
        default=1, ge=1, le=10_000, strict=True, description="Jobs that run at once; lost ones are replaced."
    )
    cores: int = Field(default=1, ge=1, le=4096, strict=True, description="Of each job; each of them is a worker's.")
    gpus: int = Field(
        default=0, ge=0, le=1, strict=True, description="Of each job: 1 makes it one worker with one GPU."
    )
    memory: SizeBytes = Field(default=4 * 2**30, description='Of each job, as in "16 GiB"; its workers share it.')
    walltime: DurationNs = Field(default=3600 * _S, description='Limit of each job, as in "2 h"; a minute at least.')
    lifetime_margin: DurationNs | None = Field(
        default=None, description="Workers end so long before the walltime; a tenth of it, at most 2 min, if left out."
    )
    lifetime_stagger: DurationNs | None = Field(
        default=None,
        description="Give or take so much, so that they don't all end at once; half the margin if left out.",
    )
    replace_after: DurationNs = Field(default=15 * _S, description="A job without workers for so long is replaced.")
    start_timeout: DurationNs | None = Field(
        default=None,
        description="How long to wait for a worker when there is none; 1 min, but without end for jobs, if left out.",
    )
    queue: Word | None = Field(default=None, description="Queue, or partition in Slurm's words.")
    account: Word | None = Field(default=None, description="Account, or project, that pays.")
    interface: Word | None = Field(
        default=None, description='Network interface that scheduler and workers use, as in "ib0".'
    )
    host: Word | None = Field(
        default=None, description="Address that the scheduler listens on, in place of an interface's."
    )
    local_directory: PathWord | None = Field(default=None, description="Scratch space of workers, on their own host.")
    log_directory: Word | None = Field(
        default=None, description="Where jobs write what they print; DIR/logs if left out."
    )
    python: Line | None = Field(default=None, description="Python on the workers' hosts; this one's path if left out.")
    job_extra_directives: tuple[Line, ...] = Field(default=(), description='More directives, as in "--qos=low".')
    job_script_prologue: tuple[Line, ...] = Field(
        default=(), description='Shell lines before the worker, as in "module load".'
    )

    @model_validator(mode="after")
    def _sound(self) -> Self:
        wrong = []
        if self.memory // self.workers_per_job < _LEAST_BYTES:
            wrong.append(
                f"memory {self.memory / 2**20:,.0f} MiB is less than {_LEAST_BYTES // 2**20} MiB for each of "
                f"{self.workers_per_job} workers, which they need before they compute anything"
            )
        if self.walltime < 60 * _S:
            wrong.append(f"walltime {format_duration_ns(self.walltime)} is below a minute")
        elif self.stagger_ns >= self.margin_ns:
            wrong.append(
                f"lifetime_stagger {format_duration_ns(self.stagger_ns)} is not below lifetime_margin "
                f"{format_duration_ns(self.margin_ns)}, so that workers could outlive their job"
            )
        if 60 * _S <= self.walltime <= self.margin_ns + self.stagger_ns:
            wrong.append(
                f"walltime {format_duration_ns(self.walltime)} leaves workers no time to live after lifetime_margin "
                f"{format_duration_ns(self.margin_ns)} and lifetime_stagger {format_duration_ns(self.stagger_ns)}"
            )
        if self.interface is not None and self.host is not None:
            wrong.append("interface and host both say where the scheduler listens; keep one")
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    @property
    def margin_ns(self) -> int:
        """Time between a worker's end and its job's."""
        given = self.lifetime_margin
        return min(_MAX_MARGIN_NS, self.walltime // 10) if given is None else given

    @property
    def stagger_ns(self) -> int:
        """Random part of it."""
        return self.margin_ns // 2 if self.lifetime_stagger is None else self.lifetime_stagger

    @property
    def lifetime_s(self) -> int:
        """How long a worker lives, give or take `stagger_ns`."""
        return (self.walltime - self.margin_ns) // _S

    @property
    def walltime_text(self) -> str:
        """Walltime as Slurm and PBS write it, HH:MM:SS."""
        s = self.walltime // _S
        return f"{s // 3600:02}:{s % 3600 // 60:02}:{s % 60:02}"

    @property
    def workers_per_job(self) -> int:
        """Worker processes of a job: one a core, or one with the GPU."""
        return 1 if self.gpus else self.cores

    @property
    def python_word(self) -> str | None:
        """Path of Python, quoted for a shell."""
        return None if self.python is None else shlex.quote(self.python)


def options_from_table(
    table: Any, where: Callable[[str], str] = lambda path: path, *, is_spec: bool = False
) -> ClusterOptions:
    """
    Read a ``[cluster]`` table.

    Parameters
    ----------
    table : mapping
    where : callable
        For messages: puts its file before a dotted key.
    is_spec : bool
        Whether a spec says it, which may name no program.

    Raises
    ------
    SpecError
        With every problem.
    """
    if not isinstance(table, Mapping):
        raise SpecError(Problem(where("cluster"), f"{table!r} is no table; write [cluster] and keys below it"))
    problems = [
        Problem(where(f"cluster.{key}"), "names what to run, which a spec must not; say it in a --cluster-options file")
        for key in CODE_KEYS
        if is_spec and key in table
    ]
    given = {key: value for key, value in table.items() if not (is_spec and key in CODE_KEYS)}
    if "partition" in given and "queue" not in given:
        given["queue"] = given.pop("partition")
    try:
        options = ClusterOptions.model_validate(given)
    except ValidationError as error:
        found = problems_of(error, "cluster", ClusterOptions)
        problems.extend(Problem(where(problem.where), problem.message) for problem in found)
        raise SpecError(problems) from None
    if problems:
        raise SpecError(problems)
    return options


def options_over(below: ClusterOptions, given: str | Path | Mapping[str, Any] | None) -> ClusterOptions:
    """
    Lay a file's options over a spec's.

    Parameters
    ----------
    below : ClusterOptions
    given : str, Path or mapping, optional
        A TOML file with a ``[cluster]`` table, or that table.

    Raises
    ------
    SpecError
        With every problem of the file.
    """
    if given is None:
        return below
    if isinstance(given, Mapping):
        return _merged(below, options_from_table(given), lambda path: path)

    def where(path: str) -> str:
        return f"{given}: {path}"

    read = read_toml(given)
    foreign = sorted(read.keys() - {"cluster"})
    if foreign or "cluster" not in read:
        told = f'key "{foreign[0]}" does not belong here' if foreign else "is missing"
        raise SpecError(Problem(where("cluster"), f"{told}; such a file holds a [cluster] table and nothing else"))
    return _merged(below, options_from_table(read["cluster"], where), where)


def _merged(below: ClusterOptions, own: ClusterOptions, where: Callable[[str], str]) -> ClusterOptions:
    # Checked once more: each may be sound and both together not.
    return options_from_table({name: getattr(of, name) for of in (below, own) for name in of.model_fields_set}, where)
