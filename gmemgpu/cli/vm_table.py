"""VM tables on the command line: which column is which, and what was made of a table."""

from __future__ import annotations

from gmemgpu.errors import Problem, SpecError

__all__ = ["MAP_HELP", "column_mapping", "rejected_remedy"]

MAP_HELP = (
    "which column of the VM table is which, as in --map arrival=created_at or, where its cells do not say the unit, "
    "--map memory_mib=ram; may be repeated"
)


def column_mapping(texts: list[str]) -> dict[str, str]:
    """
    Parse what ``--map`` was given.

    Parameters
    ----------
    texts : list of str
        As in ``arrival=created_at``.

    Returns
    -------
    dict of str to str
        For ``vm_table.columns``.

    Raises
    ------
    SpecError
        With every text that maps nothing, or once more.
    """
    mapping: dict[str, str] = {}
    problems = []
    for text in texts:
        column, separator, name = (part.strip() for part in text.partition("="))
        if not (column and separator and name):
            problems.append(Problem(f"--map {text}", "maps nothing; write --map arrival=created_at"))
        elif column in mapping:
            problems.append(Problem(f"--map {text}", f"{column} is mapped to {mapping[column]} already; keep one"))
        mapping[column] = name
    if problems:
        raise SpecError(problems)
    return mapping


def rejected_remedy(n_drawn: int) -> str:
    """
    Return what to do where a VM table holds more than its host has room for.

    Parameters
    ----------
    n_drawn : int
        VMs that were drawn beside it.

    Returns
    -------
    str
        For a message.
    """
    stock = "leave out those that were drawn (--set vm_table.stock=table), " if n_drawn else ""
    return f"{stock}take a larger host (--set host.name=big) or a share of the table (--set vm_table.thin.keep=0.1)"
