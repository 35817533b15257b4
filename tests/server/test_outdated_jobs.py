"""A track that moves while runs of its version before wait in the queue."""

from sqlmodel import Session, select
from starlette.testclient import TestClient

from core.schema.track import Track
from server.database import create_engine
from server.settings import ServerSettings
from server.tables import Job, Run, RunPurpose
from tests.server.boards import NORM, entries_of, finish_next
from tests.server.conftest import Serve
from tests.server.factories import (
    API,
    claim,
    claim_one,
    finish,
    register,
    report,
    submit,
)

Tracks = dict[str, Track]


def status(client: TestClient, run_id: str) -> dict[str, str]:
    answer: dict[str, str] = client.get(f"{API}/runs/{run_id}").json()
    return answer


def test_a_job_of_an_older_version_is_cancelled_when_a_worker_asks_for_work(
    serve: Serve, tracks: Tracks, moved: Tracks, settings: ServerSettings
) -> None:
    with serve(tracks) as client:
        old = submit(client, "Gain", NORM)
    with serve(moved) as client:
        assert status(client, old.run_id)["state"] == "queued"
        assert claim(client, register(client)) is None
        found = status(client, old.run_id)
        assert (found["state"], found["failure"]) == ("cancelled", "cancelled")
        assert "The track debug is now version 2" in found["failure_message"]
        assert "submit it again" in client.get(f"/submissions/{old.submission_id}").text
        assert client.get(f"{API}/ledger/check").json()["faults"] == []
    engine = create_engine(settings.database_url)
    with Session(engine) as session:
        (job,) = session.exec(select(Job)).all()
        states = [entry.contents["state"] for entry in entries_of(session, [job.id])]
    engine.dispose()
    assert states == ["queued", "cancelled"]


def test_the_rebased_run_is_claimed_in_its_place(
    serve: Serve, tracks: Tracks, moved: Tracks, settings: ServerSettings
) -> None:
    with serve(tracks) as client:
        submit(client, "Gain", NORM)
    with serve(moved, settings.model_copy(update={"queues_runs": True})) as client:
        assert claim_one(client).run.track_version == 2


def test_a_running_job_of_an_older_version_may_end_and_is_not_begun_again(
    serve: Serve, tracks: Tracks, moved: Tracks
) -> None:
    with serve(tracks) as client:
        first, second = submit(client, "Ends"), submit(client, "Returns")
        ends, returns = claim_one(client, "a"), claim_one(client, "b")
    with serve(moved) as client:
        finish(client, ends)
        report(client, returns, "release")
        assert claim(client, register(client)) is None
        assert status(client, first.run_id)["state"] == "succeeded"
        assert status(client, second.run_id)["state"] == "cancelled"


def test_runs_for_a_verdict_of_an_older_version_are_not_made_up_for(
    serve: Serve, tracks: Tracks, moved: Tracks, settings: ServerSettings
) -> None:
    queueing = settings.model_copy(update={"queues_runs": True})
    with serve(tracks, queueing) as client:
        submit(client, "Gain", NORM)
        finish_next(client, 1.5)
    with serve(moved, queueing) as client:
        # Of the baseline's five runs none is left, and what was rebased comes first.
        assert claim_one(client).run.track_version == 2
        assert client.get(f"{API}/queue").json()["queued"] == []
    engine = create_engine(settings.database_url)
    with Session(engine) as session:
        query = select(Run).where(Run.purpose == RunPurpose.BASELINE)
        assert len(session.exec(query).all()) == 5
    engine.dispose()
