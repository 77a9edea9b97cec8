"""Streams and events: work that waits until somebody synchronizes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emulated_device import Device

__all__ = ["Burial", "Event", "Stream"]


class Burial(partial[None]):
    """Work that frees memory."""


class Stream:
    """
    Work in order; see `Device.lazy`.

    Parameters
    ----------
    device : Device
    non_blocking : bool
        Does not wait for the null stream, nor the null stream for it.

    Attributes
    ----------
    device_id : int
        The device that was current when it was made; -1 of the null stream, which every device has.
    """

    def __init__(self, device: Device, *, non_blocking: bool) -> None:
        self._device = device
        self._work: deque[Callable[[], None]] = deque()
        self._submitted = self._done = 0
        self.non_blocking = non_blocking
        self.device_id = device.current_id
        with device.lock:
            device.streams.add(self)

    @property
    def waiting(self) -> bool:
        """Whether there is work left."""
        return bool(self._work)

    @property
    def done(self) -> bool:
        """Whether all work is done."""
        self._device.runtime_call()
        return not self._work

    @property
    def ptr(self) -> int:
        """The handle."""
        return 0 if self is self._device.null_stream else id(self)

    def _ordered_with(self) -> list[Stream]:
        # The null stream and the streams that are not non-blocking wait for each other's earlier work.
        null = self._device.null_stream
        if self is null:
            return [s for s in self._device.other_streams(self) if not s.non_blocking and s.waiting]
        return [null] if not self.non_blocking and null.waiting else []

    def submit(self, work: Callable[[], None]) -> int:
        """Queue some work; gives its number for `run`."""
        with self._device.lock:
            for other in self._ordered_with():
                self._append(partial(other.run, other._submitted))
            number = self._append(work)
            if not self._device.lazy:
                self.run()
            return number

    def _append(self, work: Callable[[], None]) -> int:
        self._work.append(work)
        self._submitted += 1
        self._device.n_waiting += 1
        return self._submitted

    def run(self, upto: int | None = None) -> None:
        """Do the work that waits, up to that of a number."""
        if not self._work:
            return
        with self._device.lock:
            while self._work and (upto is None or self._done < upto):
                self._done += 1
                self._device.n_waiting -= 1
                work = self._work.popleft()
                # A lost device does nothing more; memory is given back all the same.
                if self._device.lost_status is None or isinstance(work, Burial):
                    work()

    def __del__(self) -> None:
        if hasattr(self, "_work"):
            self.run()

    # What CuPy's streams offer

    def __enter__(self) -> Stream:
        self._device.enter(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._device.leave()

    def synchronize(self) -> None:
        """Wait for the work."""
        self._device.runtime_call()
        self.run()
        self._device.runtime_call()

    def record(self, event: Event | None = None) -> Event:
        """Let an event happen when the work so far is done."""
        event = Event(self._device) if event is None else event
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """Let later work wait for an event."""
        self._device.runtime_call()
        self.submit(event.run)


class Event:
    """
    A point in a stream.

    Parameters
    ----------
    device : Device
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._stream: Stream | None = None
        self._number = 0
        self.happened_s: float | None = None

    def record(self, stream: Stream | None = None) -> None:
        """Happen when the work so far of a stream, the current one by default, is done."""
        self._device.runtime_call()
        self._stream = stream or self._device.current_stream()
        self.happened_s = None
        self._number = self._stream.submit(self._happen)

    def _happen(self) -> None:
        self.happened_s = time.perf_counter()

    def run(self) -> None:
        """Do the work before this event."""
        if self._stream is not None:
            self._stream.run(self._number)

    def synchronize(self) -> None:
        """Wait until it has happened."""
        self._device.runtime_call()
        self.run()

    @property
    def done(self) -> bool:
        """Whether it has happened, or was never recorded."""
        self._device.runtime_call()
        return self._stream is None or self.happened_s is not None
