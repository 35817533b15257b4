from datetime import timedelta

from sqlmodel import Session
from starlette.testclient import TestClient

from server.pages.queue import queue_page
from server.tables import utc_now
from tests.server.factories import claim_one, register, submit


def test_worker_is_busy_idle_or_silent(client: TestClient, session: Session) -> None:
    submit(client)
    claim_one(client, "at work")
    register(client, "at rest")
    now = utc_now()

    def states(seconds: float) -> dict[str, str]:
        page = queue_page(session, now + timedelta(seconds=seconds), lease_seconds=90.0)
        return {line.worker.name: line.state for line in page.workers}

    assert states(0.0) == {"at work": "busy", "at rest": "idle"}
    assert states(200.0) == {"at work": "silent", "at rest": "silent"}


def test_queue_page_is_always_live(session: Session) -> None:
    assert queue_page(session, utc_now(), 90.0).is_live
