"""Step functions of time: a state holds from the instant at which it is recorded."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Generic, TypeVar

__all__ = ["Steps"]

State = TypeVar("State")


class Steps(Generic[State]):
    """
    A step function from time 0 on.

    Of several states recorded for one instant the last counts, as all its events come before it is looked at
    (MODEL.md section 3).

    Parameters
    ----------
    initial : State
        What holds from time 0 until something else is recorded.
    """

    def __init__(self, initial: State) -> None:
        self.times_ns = [0]
        self.states = [initial]

    def record(self, t_ns: int, state: State) -> None:
        """
        Record a state.

        Parameters
        ----------
        t_ns : int
            When it begins; not before the last one.
        state : State
            What holds from then on.
        """
        if t_ns == self.times_ns[-1]:
            self.states[-1] = state
        else:
            self.times_ns.append(t_ns)
            self.states.append(state)

    def at(self, t_ns: int) -> State:
        """
        Return the state at a time.

        Parameters
        ----------
        t_ns : int
            Not negative.

        Returns
        -------
        State
            The last one recorded at or before it.
        """
        return self.states[bisect_right(self.times_ns, t_ns) - 1]

    def within(self, begin_ns: int, end_ns: int) -> Iterator[tuple[int, int, State]]:
        """
        Iterate over the parts of an interval in which nothing changes.

        Parameters
        ----------
        begin_ns, end_ns : int
            Half open.

        Yields
        ------
        begin_ns, end_ns : int
            A part, half open.
        state : State
            What holds there.
        """
        index = bisect_right(self.times_ns, begin_ns) - 1
        while begin_ns < end_ns:
            last = index + 1 == len(self.times_ns)
            next_ns = end_ns if last else min(self.times_ns[index + 1], end_ns)
            yield begin_ns, next_ns, self.states[index]
            begin_ns = next_ns
            index += 1
