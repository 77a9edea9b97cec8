"""Timer: when a request becomes due (MODEL.md section 5)."""

from __future__ import annotations

from gmemgpu.engine.reference.hook import Request
from gmemgpu.model.policy import Timer

__all__ = ["WorkTimer", "PeriodicTimer"]


class WorkTimer:
    """
    Delayed work: ``fixed`` as queue_delayed_work does it, ``debounce`` as mod_delayed_work does.

    Parameters
    ----------
    timer : Timer
        ``immediate`` is ``fixed`` with no delay.
    """

    def __init__(self, timer: Timer) -> None:
        self._timer = timer
        self._batch: list[Request] = []
        self._due_ns = 0

    def start_ns(self, free_ns: int) -> int | None:
        """
        Return when the pass would start if no other comes before.

        Parameters
        ----------
        free_ns : int
            End of the running pass, or of the last one.

        Returns
        -------
        int or None
            None if no timer is pending.
        """
        return max(self._due_ns, free_ns) if self._batch else None

    def handle(self, request: Request, free_ns: int) -> None:
        """
        Arm the timer, or add the request to the pass that is due.

        Parameters
        ----------
        request : Request
            Not earlier than the last one.
        free_ns : int
            End of the running pass, or of the last one.
        """
        start_ns = self.start_ns(free_ns)
        self._batch.append(request)
        # The timer stays pending until the pass starts, so a due pass that still waits is moved again by debounce;
        # one that comes with the start joins the pass and moves nothing.
        moves = self._timer.kind == "debounce" and start_ns is not None and request.t_ns < start_ns
        if start_ns is None or moves:
            self._due_ns = request.t_ns + self._timer.delay_ns
            if self._timer.max_wait_ns is not None:
                self._due_ns = min(self._due_ns, self._batch[0].t_ns + self._timer.max_wait_ns)

    def take(self) -> list[Request]:
        """Return the requests of the pass that starts; nothing is pending any more."""
        batch, self._batch = self._batch, []
        return batch


class PeriodicTimer:
    """
    A clock, due at d, 2d, 3d, …; it takes no requests.

    Parameters
    ----------
    timer : Timer
        Its delay is the period.
    """

    def __init__(self, timer: Timer) -> None:
        self._period_ns = timer.delay_ns
        self._tick_ns = timer.delay_ns

    def start_ns(self, free_ns: int) -> int | None:
        """
        Return when the next pass would start; ticks that fall into the running pass are left out.

        Parameters
        ----------
        free_ns : int
            End of the running pass, or of the last one.

        Returns
        -------
        int
            The first tick at or after `free_ns` that no pass took.
        """
        if self._tick_ns < free_ns:
            self._tick_ns = -(-free_ns // self._period_ns) * self._period_ns
        return self._tick_ns

    def handle(self, request: Request, free_ns: int) -> None:
        """
        Ignore a request; with ``periodic`` the hook is ``none``.

        Parameters
        ----------
        request : Request
            Not looked at.
        free_ns : int
            Not looked at.
        """

    def take(self) -> list[Request]:
        """Return no requests; the next tick is due."""
        self._tick_ns += self._period_ns
        return []
