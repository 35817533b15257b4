import asyncio

import pytest

from server.live import event_stream
from server.live.event_stream import events
from server.live.hub import Hub

CHANGED = "event: changed\ndata: queue\n\n"


async def next_of(stream: object) -> str:
    return await asyncio.wait_for(anext(stream), 5.0)  # type: ignore[call-overload]


def test_a_topic_is_sent_at_once_and_then_no_more_than_once_in_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(event_stream, "EVERY_SECONDS", 0.3)

    async def read() -> float:
        hub, clock = Hub(), asyncio.get_running_loop().time
        with hub.listening(["queue"]) as listener:
            stream = events(listener)
            assert await next_of(stream) == "retry: 3000\n\n"
            hub.tell(["queue"])
            assert await next_of(stream) == CHANGED
            began = clock()
            for _ in range(10):
                hub.tell(["queue"])
            assert await next_of(stream) == CHANGED
            assert listener.changed == set()
            return clock() - began

    assert asyncio.run(read()) >= 0.29


def test_silence_is_broken_by_a_comment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "KEEP_ALIVE_SECONDS", 0.01)

    async def read() -> str:
        with Hub().listening(["queue"]) as listener:
            stream = events(listener)
            await next_of(stream)
            return await next_of(stream)

    assert asyncio.run(read()) == ": nothing new\n\n"


def test_the_stream_ends_with_the_hub() -> None:
    async def read() -> list[str]:
        hub = Hub()
        with hub.listening(["queue"]) as listener:
            asyncio.get_running_loop().call_later(0.05, hub.close)
            return [text async for text in events(listener)]

    assert asyncio.run(asyncio.wait_for(read(), 5.0)) == ["retry: 3000\n\n"]
