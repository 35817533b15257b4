from datetime import timedelta

from sqlmodel import Session
from starlette.testclient import TestClient

from core.schema.track import Track
from server.pages.queue import queue_page
from server.settings import ServerSettings
from server.tables import utc_now
from tests.server.factories import claim_one, register, submit


def test_worker_is_working_idle_or_silent(
    client: TestClient, session: Session, tracks: dict[str, Track], settings: ServerSettings
) -> None:
    submit(client)
    claim_one(client, "at work")
    register(client, "at rest")
    now = utc_now()

    def states(seconds: float) -> dict[str, str]:
        page = queue_page(session, tracks, settings, now + timedelta(seconds=seconds))
        return {line.worker.name: line.worker.state for line in page.workers}

    assert states(0.0) == {"at work": "working", "at rest": "idle"}
    assert states(200.0) == {"at work": "silent", "at rest": "silent"}


def test_queue_page_is_always_live(
    session: Session, tracks: dict[str, Track], settings: ServerSettings
) -> None:
    assert queue_page(session, tracks, settings, utc_now()).is_live
