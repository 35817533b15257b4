"""What is kept of a job's checkpoints, and who may go on from it."""

import hashlib
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select
from starlette.testclient import TestClient

from core.schema.checkpoint import StoredCheckpoint
from core.schema.job import JobOffer
from core.schema.result import FailureKind
from server.artifacts.store import ArtifactStore
from server.artifacts.sweeper import sweep_ended
from server.artifacts.tables import CheckpointRow
from server.errors import ArtifactsUnavailable
from tests.server.artifacts.lease import fetch, leave
from tests.server.factories import claim_one, finish, report, send_failure, submit


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "artifacts"


@pytest.fixture
def offer(client: TestClient) -> JobOffer:
    submit(client)
    return claim_one(client, "first")


def contents(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.iterdir())]


def give_back(client: TestClient, offer: JobOffer) -> None:
    assert report(client, offer, "release").status_code == 204


def test_the_next_worker_is_offered_the_checkpoint_and_gets_what_was_left(
    client: TestClient, offer: JobOffer
) -> None:
    content = bytes(range(256)) * 20_000
    assert offer.checkpoint is None
    assert leave(client, offer, content, step=120).status_code == 204
    give_back(client, offer)
    second = claim_one(client, "second")
    sha256 = hashlib.sha256(content).hexdigest()
    assert second.checkpoint == StoredCheckpoint(step=120, num_bytes=5_120_000, sha256=sha256)
    response = fetch(client, second)
    assert (response.status_code, response.content) == (200, content)
    assert response.headers["checkpoint-step"] == "120"
    assert response.headers["checkpoint-sha256"] == sha256


def test_the_newest_checkpoint_replaces_the_one_before(
    client: TestClient, offer: JobOffer, folder: Path
) -> None:
    for step in (10, 20, 15):
        assert leave(client, offer, b"of %d" % step, step).status_code == 204
        assert contents(folder) == [b"of %d" % step]
    assert fetch(client, offer).content == b"of 15"


@pytest.mark.parametrize(
    "changes", [{"device": "NVIDIA H100"}, {"code_commit": "1" * 40}], ids=["device", "code"]
)
def test_other_code_or_another_device_starts_anew(
    client: TestClient, offer: JobOffer, changes: dict[str, str]
) -> None:
    leave(client, offer)
    give_back(client, offer)
    other = claim_one(client, "second", **changes)
    assert other.checkpoint is None
    give_back(client, other)
    # What it leaves replaces the checkpoint, for workers of its own kind.
    assert claim_one(client, "first").checkpoint is not None


def test_another_hash_is_refused_and_what_was_there_stays(
    client: TestClient, offer: JobOffer, folder: Path
) -> None:
    leave(client, offer, b"whole", 10)
    response = leave(client, offer, b"damaged", 20, sha256="0" * 64)
    assert (response.status_code, response.json()["kind"]) == (422, "invalid_report")
    assert "the 7 bytes that arrived" in response.json()["message"]
    assert contents(folder) == [b"whole"]


@pytest.mark.parametrize("again", [True, False])
def test_nobody_but_the_present_worker_leaves_or_fetches(
    client: TestClient, offer: JobOffer, folder: Path, again: bool
) -> None:
    leave(client, offer)
    give_back(client, offer)
    if again:
        claim_one(client, "second")
    for response in (leave(client, offer, b"late"), fetch(client, offer)):
        assert (response.status_code, response.json()["kind"]) == (409, "lease_lost")
    assert contents(folder) == [b"weights"]


def test_a_lease_that_ends_while_a_checkpoint_is_sent_keeps_nothing(
    client: TestClient, offer: JobOffer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = ArtifactStore.write

    def write_and_lose(self: ArtifactStore, file: object, part: bytes) -> None:
        give_back(client, offer)
        write(self, file, part)  # type: ignore[arg-type]

    monkeypatch.setattr(ArtifactStore, "write", write_and_lose)
    assert leave(client, offer).json()["kind"] == "lease_lost"
    assert contents(folder) == []
    assert claim_one(client, "second").checkpoint is None


def test_a_job_without_a_checkpoint_or_no_job_is_not_found(
    client: TestClient, offer: JobOffer
) -> None:
    assert fetch(client, offer).status_code == 404
    missing = offer.model_copy(update={"job_id": "j_x"})
    assert fetch(client, missing).status_code == 404
    assert leave(client, missing).status_code == 404


def test_a_checkpoint_whose_file_is_lost_is_not_found(
    client: TestClient, offer: JobOffer, folder: Path
) -> None:
    leave(client, offer)
    next(folder.iterdir()).unlink()
    assert fetch(client, offer).status_code == 404


def test_a_store_that_fails_is_said_and_harms_nothing(
    client: TestClient, offer: JobOffer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(client, offer, b"whole", 10)

    def fail(*arguments: object) -> None:
        raise ArtifactsUnavailable("the server cannot reach its artifacts (it is full).")

    monkeypatch.setattr(ArtifactStore, "write", fail)
    response = leave(client, offer, b"newer", 20)
    assert (response.status_code, response.json()["kind"]) == (503, "artifacts_unavailable")
    assert contents(folder) == [b"whole"]
    assert fetch(client, offer).content == b"whole"


@pytest.mark.parametrize("ending", ["result", "failure", "cancelled"])
def test_the_checkpoint_of_a_job_that_ended_is_deleted(
    client: TestClient,
    engine: Engine,
    session: Session,
    offer: JobOffer,
    folder: Path,
    ending: str,
) -> None:
    store = ArtifactStore(f"file://{folder}")
    leave(client, offer)
    sweep_ended(engine, store)
    assert contents(folder) == [b"weights"]
    if ending == "result":
        finish(client, offer)
    else:
        kind = FailureKind.DIVERGED if ending == "failure" else FailureKind.CANCELLED
        send_failure(client, offer, kind)
    sweep_ended(engine, store)
    assert contents(folder) == []
    assert session.exec(select(CheckpointRow)).all() == []


def test_a_job_that_is_tried_again_keeps_its_checkpoint(
    client: TestClient, engine: Engine, offer: JobOffer, folder: Path
) -> None:
    leave(client, offer)
    send_failure(client, offer, FailureKind.INTERNAL_ERROR)
    sweep_ended(engine, ArtifactStore(f"file://{folder}"))
    assert claim_one(client, "second").checkpoint is not None
