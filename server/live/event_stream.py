"""Server-sent events (HTML standard, section 9.2) that tell a browser what has changed."""

import asyncio
from collections.abc import AsyncIterator, Iterable

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from server.live.hub import Hub, Listener

EVERY_SECONDS = 1.0
"""The same topic is sent no more often than so."""
KEEP_ALIVE_SECONDS = 15.0
RECONNECT_MILLISECONDS = 3000
HEADERS = {
    "Cache-Control": "no-store",
    # nginx would keep events back until it has a buffer full of them.
    "X-Accel-Buffering": "no",
}


class EventStream(StreamingResponse):
    """An answer that goes on until its reader leaves or the server stops."""

    def __init__(self, hub: Hub, topics: Iterable[str]) -> None:
        self._hub = hub
        self._topics = frozenset(topics)
        super().__init__((), media_type="text/event-stream", headers=HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events.

        Raises:
            TooManyListeners: before anything is sent.
        """
        with self._hub.listening(self._topics) as listener:
            self.body_iterator = events(listener)
            await super().__call__(scope, receive, send)


async def events(listener: Listener) -> AsyncIterator[str]:
    """The text of the stream, until the listener ends."""
    clock = asyncio.get_running_loop().time
    sent_at: dict[str, float] = {}
    yield f"retry: {RECONNECT_MILLISECONDS}\n\n"
    while not listener.has_ended:
        now = clock()
        due_at = {topic: sent_at.get(topic, now) for topic in listener.changed}
        due = sorted(topic for topic, moment in due_at.items() if moment <= now)
        if due:
            listener.changed.difference_update(due)
            sent_at.update(dict.fromkeys(due, now + EVERY_SECONDS))
            yield "".join(f"event: changed\ndata: {topic}\n\n" for topic in due)
        elif due_at:
            await listener.wait(min(due_at.values()) - now)
        else:
            await listener.wait(KEEP_ALIVE_SECONDS)
            if not listener.changed and not listener.has_ended:
                yield ": nothing new\n\n"
