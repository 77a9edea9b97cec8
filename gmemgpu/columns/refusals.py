"""Cells and columns that were refused: each is named once, and judged by no rule after that."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gmemgpu.columns.message import list_rows, shown_name
from gmemgpu.errors import Problem, TraceError
from gmemgpu.model.trace import BoolArray, Int64Array

__all__ = ["Refusals"]


class Refusals:
    """
    The problems found in a table.

    Parameters
    ----------
    n_rows : int
        Rows of the table.
    where : str
        The file, for messages.
    problems : list of Problem, optional
        Where problems are appended; a new list if left out.
    row_numbers : (n,) int64, optional
        1-based data row of each row of the table; 1 to n if left out.

    Notes
    -----
    A cell is named once: after that it is judged by no rule, and neither are others of its row by a rule that needs it.
    """

    def __init__(
        self,
        n_rows: int,
        where: str,
        problems: list[Problem] | None = None,
        row_numbers: Int64Array | None = None,
    ) -> None:
        self.where = where
        self.problems: list[Problem] = [] if problems is None else problems
        self._n_rows = n_rows
        self._row_numbers = row_numbers
        self._wrong: dict[str, BoolArray] = {}

    def refuse(self, name: str, broken: BoolArray, message: str, *needs: str) -> None:
        """
        Record the rows that break a rule.

        Parameters
        ----------
        name : str
            The column to name.
        broken : (n,) bool
            True for these.
        message : str
            What is wrong there.
        *needs : str
            Other columns that the rule looks at: it judges no row in which a cell of theirs was refused.
        """
        for column in (name, *needs):
            if column in self._wrong:
                broken = broken & ~self._wrong[column]
        self.refuse_cells(name, broken, lambda _: message, f"it {message}")

    def sound_rows(self) -> tuple[BoolArray | None, Int64Array | None]:
        """
        Return the rows without a refused cell, and their numbers.

        Returns
        -------
        (n,) bool or None
            Which rows those are; None for all.
        (m,) int64 or None
            Their 1-based data rows; None for 1 to n.
        """
        if not self._wrong:
            return None, self._row_numbers
        sound = ~np.logical_or.reduce(list(self._wrong.values()))
        return sound, np.flatnonzero(sound) + 1 if self._row_numbers is None else self._row_numbers[sound]

    def refuse_cells(
        self, name: str, wrong: BoolArray, message: Callable[[int], str], rule: str = "it cannot be read"
    ) -> None:
        """
        Record cells that cannot be read.

        Parameters
        ----------
        name : str
            The column.
        wrong : (n,) bool
            True for these; those that were refused before are not named again.
        message : callable
            Returns what is wrong in the i-th row of the table.
        rule : str
            What those that are not named have in common.
        """
        before = self._wrong.get(name)
        if before is not None:
            wrong = wrong & ~before
        indices = np.flatnonzero(wrong)
        if len(indices):
            rows = indices + 1 if self._row_numbers is None else self._row_numbers[indices]
            list_rows(self.where, name, rows, lambda i: message(int(indices[i])), rule, self.problems)
            self._wrong[name] = wrong if before is None else wrong | before

    def refuse_column(self, name: str, message: str) -> None:
        """
        Record a column that cannot be read at all.

        Parameters
        ----------
        name : str
            The column.
        message : str
            What is wrong with it.
        """
        self.problems.append(Problem(f"{self.where}: column {shown_name(name)}", message))
        self._wrong[name] = np.ones(self._n_rows, bool)

    def raise_problems(self) -> None:
        """
        Report what was noted.

        Raises
        ------
        TraceError
            If anything was.
        """
        if self.problems:
            raise TraceError(self.problems)
