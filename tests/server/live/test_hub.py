import asyncio
from threading import Thread

import pytest

from server.errors import TooManyListeners
from server.live import hub as hub_module
from server.live.hub import Changes, Hub


def test_a_listener_hears_of_its_topics_from_any_thread() -> None:
    async def listen() -> set[str]:
        hub = Hub()
        with hub.listening(["queue", "run:r_1"]) as listener:
            writer = Thread(target=hub.tell, args=[("queue", "track:debug", "run:r_2")])
            writer.start()
            await listener.wait(5.0)
            writer.join()
            return listener.changed

    assert asyncio.run(listen()) == {"queue"}


def test_all_hear_that_anything_may_have_changed() -> None:
    async def listen() -> set[str]:
        hub = Hub()
        with hub.listening(["queue", "run:r_1"]) as listener:
            hub.tell_all()
            await listener.wait(5.0)
            return listener.changed

    assert asyncio.run(listen()) == {"queue", "run:r_1"}


def test_progress_is_no_change_of_a_board() -> None:
    hub = Hub()
    hub.tell(["run:r_1"], of_boards=False)
    assert hub.changes == Changes(of_boards=0, of_anything=1)
    hub.tell(["queue"])
    hub.tell_all()
    assert hub.changes == Changes(of_boards=2, of_anything=3)


def test_no_more_listen_than_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "MAX_LISTENERS", 1)

    async def listen() -> None:
        hub = Hub()
        with hub.listening(["queue"]), pytest.raises(TooManyListeners), hub.listening(["queue"]):
            pass
        with hub.listening(["queue"]):
            pass

    asyncio.run(listen())


def test_closing_ends_those_who_listen_and_those_who_come() -> None:
    async def listen() -> list[bool]:
        hub = Hub()
        with hub.listening(["queue"]) as early:
            hub.close()
            await early.wait(5.0)
            with hub.listening(["queue"]) as late:
                return [early.has_ended, late.has_ended]

    assert asyncio.run(listen()) == [True, True]
