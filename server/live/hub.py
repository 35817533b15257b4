"""Who waits for changes in this process, and how many there have been.

Routes tell it what they changed after the transaction that did so. Changes of other processes
pass it by: readers look again by themselves from time to time.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

from server.errors import TooManyListeners

MAX_LISTENERS = 500
"""Connections that may wait at a time."""


@dataclass(frozen=True)
class Changes:
    """How much has changed since the process began; compared, never reckoned with."""

    of_boards: int = 0
    """Changes of a board, the queue or a submission."""
    of_anything: int = 0
    """These, and the progress of runs."""


class Listener:
    """One connection that waits for some topics; it lives in one event loop."""

    def __init__(self, topics: frozenset[str]) -> None:
        self.topics = topics
        self.changed: set[str] = set()
        """Topics that changed and were not sent yet."""
        self.has_ended = False
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        """Sleep until something changes or the hub closes, at most for some seconds."""
        try:
            await asyncio.wait_for(self._woken.wait(), seconds)
        except TimeoutError:
            return
        self._woken.clear()

    def wake(self, topics: Iterable[str], *, has_ended: bool = False) -> None:
        """Tell it, from any thread, that its topics have changed, or that it is over."""
        self._loop.call_soon_threadsafe(self._take, topics, has_ended)

    def _take(self, topics: Iterable[str], has_ended: bool) -> None:
        self.changed.update(topics)
        self.has_ended = self.has_ended or has_ended
        self._woken.set()


class Hub:
    """Passes changes on to whoever waits for them; for writers in any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._changes = Changes()
        self._listeners: defaultdict[str, set[Listener]] = defaultdict(set)
        self._num_listeners = 0
        self._is_closed = False

    @property
    def changes(self) -> Changes:
        """How much has changed up to now."""
        with self._lock:
            return self._changes

    def tell(self, topics: Iterable[str], *, of_boards: bool = True) -> None:
        """Pass a change on, after its commit.

        Args:
            of_boards: whether it is more than the progress of a run.
        """
        with self._lock:
            self._count(of_boards)
            for topic in topics:
                for listener in self._listeners.get(topic, ()):
                    listener.wake((topic,))

    def tell_all(self) -> None:
        """Pass on that anything may have changed, after the commit."""
        with self._lock:
            self._count(of_boards=True)
            for topic, listeners in self._listeners.items():
                for listener in listeners:
                    listener.wake((topic,))

    @contextmanager
    def listening(self, topics: Iterable[str]) -> Iterator[Listener]:
        """A listener while the block runs, in the running event loop.

        Raises:
            TooManyListeners: as many as may be are waiting.
        """
        listener = Listener(frozenset(topics))
        self._add(listener)
        try:
            yield listener
        finally:
            self._remove(listener)

    def close(self) -> None:
        """End every listener at once, and each that comes later."""
        with self._lock:
            self._is_closed = True
            for listener in set().union(*self._listeners.values()):
                listener.wake((), has_ended=True)

    def _count(self, of_boards: bool) -> None:
        before = self._changes
        self._changes = Changes(before.of_boards + of_boards, before.of_anything + 1)

    def _add(self, listener: Listener) -> None:
        with self._lock:
            if self._num_listeners >= MAX_LISTENERS:
                raise TooManyListeners(MAX_LISTENERS)
            self._num_listeners += 1
            listener.has_ended = self._is_closed
            for topic in listener.topics:
                self._listeners[topic].add(listener)

    def _remove(self, listener: Listener) -> None:
        with self._lock:
            self._num_listeners -= 1
            for topic in listener.topics:
                self._listeners[topic].discard(listener)
                if not self._listeners[topic]:
                    del self._listeners[topic]
