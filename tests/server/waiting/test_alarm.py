from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select
from starlette.testclient import TestClient

from core.schema.track import Track
from server.database import write_session
from server.settings import ServerSettings
from server.tables import Job, Priority, Worker, utc_now
from server.waiting.alarm import QueueAlarm, queue_alarm
from tests.server.factories import API, GIB, claim_one, register, submit

Look = Callable[[float], QueueAlarm | None]
H100 = {"device": "NVIDIA H100", "has_cuda": True, "memory_bytes": 80 * GIB}


@pytest.fixture
def look(session: Session, tracks: dict[str, Track], settings: ServerSettings) -> Look:
    """The alarm so many seconds from now; it is set to 900 s."""

    def at(seconds: float) -> QueueAlarm | None:
        session.rollback()
        return queue_alarm(session, tracks, settings, utc_now() + timedelta(seconds=seconds))

    return at


def test_jobs_wait_for_a_worker_that_fell_silent(client: TestClient, look: Look) -> None:
    register(client, "bench")
    for _ in range(2):
        submit(client)
    assert look(890.0) is None
    alarm = look(901.0)
    assert alarm is not None
    assert (alarm.num_jobs, alarm.tracks) == (2, ("debug",))
    assert alarm.message == (
        "2 jobs wait on debug, and no worker that may take them has been seen since "
        f"{alarm.since:%Y-%m-%d %H:%M} UTC."
    )


def test_where_no_worker_ever_was_the_job_must_have_waited(client: TestClient, look: Look) -> None:
    submit(client)
    assert look(890.0) is None
    assert look(901.0) is not None


def test_a_job_that_comes_after_the_worker_is_alarming_at_once(
    client: TestClient, look: Look, engine: Engine
) -> None:
    worker = register(client)
    with write_session(engine) as session:
        session.get_one(Worker, worker).last_seen_at = utc_now() - timedelta(hours=2)
    submit(client)
    alarm = look(0.0)
    assert alarm is not None
    assert utc_now() - alarm.since > timedelta(hours=1)


def test_a_worker_that_may_not_take_the_job_ends_no_alarm(
    client: TestClient, look: Look, engine: Engine
) -> None:
    submit(client, track="gpu_24gb")
    register(client, "processor")
    age(engine, 1000.0)
    alarm = look(0.0)
    assert alarm is not None
    assert alarm.tracks == ("gpu_24gb",)
    register(client, "gpu", **H100)
    assert look(0.0) is None


def age(engine: Engine, seconds: float) -> None:
    """Let all jobs have been queued so long ago."""
    with write_session(engine) as session:
        for job in session.exec(select(Job)):
            job.created_at -= timedelta(seconds=seconds)


def test_of_jobs_that_nobody_ever_could_take_only_the_old_count(
    client: TestClient, look: Look, engine: Engine
) -> None:
    submit(client)
    age(engine, 1000.0)
    submit(client)
    alarm = look(0.0)
    assert alarm is not None
    assert alarm.num_jobs == 1
    assert alarm.message.startswith("1 job waits on debug, and no worker that may take it has")


def test_running_jobs_and_those_that_nobody_waits_for_are_no_alarm(
    client: TestClient, look: Look, engine: Engine
) -> None:
    worker = register(client)
    submit(client)
    claim_one(client)
    idle, kept = submit(client), submit(client)
    with write_session(engine) as session:
        find = select(Job)
        session.exec(find.where(Job.run_id == idle.run_id)).one().priority = Priority.IDLE
        session.exec(find.where(Job.run_id == kept.run_id)).one().only_worker_id = worker
    assert look(901.0) is None
    submit(client)
    alarm = look(901.0)
    assert alarm is not None
    assert alarm.num_jobs == 1


def test_health_tells_it_and_stays_an_answer(client: TestClient, engine: Engine) -> None:
    submit(client)
    assert client.get(f"{API}/health").json()["status"] == "ok"
    age(engine, 1000.0)
    response = client.get(f"{API}/health")
    assert (response.status_code, response.json()["status"]) == (200, "alarm")
    assert response.json()["alarm"]["num_jobs"] == 1
    register(client)
    assert client.get(f"{API}/health").json()["alarm"] is None


def test_the_pages_and_the_author_are_told(client: TestClient, engine: Engine) -> None:
    receipt = submit(client)
    page, detail = f"/submissions/{receipt.submission_id}", f"{API}/runs/{receipt.run_id}"
    for path in ("/queue", page):
        assert "Nobody takes th" not in client.get(path).text
    age(engine, 1000.0)
    assert "Nobody takes these jobs." in client.get("/queue").text
    assert "Nobody takes this job." in client.get(page).text
    assert client.get(detail).json()["forecast"]["is_alarm"]
    assert client.get(f"{API}/queue").json()["alarm"]["tracks"] == ["debug"]
    register(client)
    assert not client.get(detail).json()["forecast"]["is_alarm"]
