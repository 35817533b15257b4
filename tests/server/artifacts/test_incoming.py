import asyncio
import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from starlette.types import Message

from core.schema.job import JobOffer
from server.artifacts.incoming import IncomingCheckpoints
from server.artifacts.store import ArtifactStore
from server.errors import BodyTooLarge, InvalidReport, UploadReplaced
from server.settings import ServerSettings
from tests.server.artifacts.lease import address, fetch, leave
from tests.server.factories import claim_one, submit

JOB = "j_aaaaaaaaaa"


@pytest.fixture
def settings(settings: ServerSettings) -> ServerSettings:
    """A server that takes checkpoints of 3 MiB."""
    return settings.model_copy(update={"checkpoint_gib": 3 / 1024})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "artifacts"


@pytest.fixture
def incoming(folder: Path) -> IncomingCheckpoints:
    return IncomingCheckpoints(ArtifactStore(f"file://{folder}"), max_bytes=10)


def test_ten_bytes_fit_and_one_more_does_not(incoming: IncomingCheckpoints, folder: Path) -> None:
    received = incoming.begin(JOB, 1, 5)
    received.write(b"12345")
    received.write(b"67890")
    stored = received.finish(hashlib.sha256(b"1234567890").hexdigest())
    assert (stored.checkpoint.step, stored.checkpoint.num_bytes) == (5, 10)
    with pytest.raises(BodyTooLarge, match="the 10 bytes"):
        received.write(b"1")
    incoming.end(JOB, received)
    assert list(folder.iterdir()) == []


def test_what_is_kept_stays_and_what_is_not_goes(
    incoming: IncomingCheckpoints, folder: Path
) -> None:
    for is_kept in (True, False):
        received = incoming.begin(JOB, 1, 5)
        received.write(b"12345")
        stored = received.finish(hashlib.sha256(b"12345").hexdigest())
        if is_kept:
            received.keep()
            kept = stored.file_name
        incoming.end(JOB, received)
    assert [path.name for path in folder.iterdir()] == [kept]


def test_a_later_upload_of_a_job_ends_the_earlier_alone(incoming: IncomingCheckpoints) -> None:
    earlier, other = incoming.begin(JOB, 1, 5), incoming.begin("j_bbbbbbbbbb", 1, 5)
    later = incoming.begin(JOB, 1, 6)
    with pytest.raises(UploadReplaced):
        earlier.write(b"1")
    incoming.end(JOB, earlier)
    latest = incoming.begin(JOB, 1, 7)
    with pytest.raises(UploadReplaced):
        later.finish(hashlib.sha256(b"").hexdigest())
    latest.write(b"1")
    other.write(b"1")


def test_other_bytes_than_were_announced_are_refused(incoming: IncomingCheckpoints) -> None:
    received = incoming.begin(JOB, 1, 5)
    received.write(b"12345")
    with pytest.raises(InvalidReport, match="not the hash of the 5 bytes"):
        received.finish("0" * 64)


@pytest.fixture
def offer(client: TestClient) -> JobOffer:
    submit(client)
    return claim_one(client)


def pieces(total: int) -> Iterator[bytes]:
    for _ in range(total // 65_536):
        yield b"x" * 65_536


@pytest.mark.parametrize("has_length", [True, False])
def test_a_checkpoint_streams_past_the_limit_of_other_bodies_up_to_its_own(
    client: TestClient, offer: JobOffer, folder: Path, has_length: bool
) -> None:
    limit = 3 * 1024**2
    whole = b"x" * limit
    sha256 = hashlib.sha256(whole).hexdigest()
    content = whole if has_length else pieces(limit)
    assert leave(client, offer, content, sha256=sha256).status_code == 204
    larger = whole + b"x" if has_length else pieces(limit + 65_536)
    response = leave(client, offer, larger, sha256=sha256)
    assert (response.status_code, response.json()["kind"]) == (413, "body_too_large")
    assert "3,145,728 bytes" in response.json()["message"]
    assert fetch(client, offer).content == whole
    assert len(list(folder.iterdir())) == 1


def test_a_client_that_goes_away_half_way_leaves_nothing(
    app: FastAPI, client: TestClient, offer: JobOffer, folder: Path
) -> None:
    messages: list[Message] = [
        {"type": "http.request", "body": b"x" * 2_000_000, "more_body": True},
        {"type": "http.disconnect"},
    ]
    seen: list[int] = []

    async def receive() -> Message:
        seen.append(len(list(folder.iterdir())))
        return messages.pop(0)

    async def send(message: Message) -> None:
        assert message.get("status", 400) == 400

    headers = {
        "lease-token": offer.lease_token,
        "checkpoint-step": "1",
        "checkpoint-sha256": "0" * 64,
    }
    scope = {
        "type": "http",
        "method": "PUT",
        "path": address(offer),
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    asyncio.run(app(scope, receive, send))
    # It was there, and was hidden from everybody.
    assert seen[-1] == 1
    assert list(folder.iterdir()) == []
    assert fetch(client, offer).status_code == 404


def test_several_jobs_send_at_once(client: TestClient, offer: JobOffer, folder: Path) -> None:
    offers = [offer]
    for n in range(3):
        submit(client, f"Run {n}", {"optimizer.muon.learning_rate": 0.01 + n / 1000})
        offers.append(claim_one(client, f"worker {n}"))
    statuses: list[int] = []

    def send(n: int) -> None:
        statuses.append(leave(client, offers[n], b"%d" % n * 2_000_000).status_code)

    threads = [threading.Thread(target=send, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [204] * 4
    assert [fetch(client, offers[n]).content[:1] for n in range(4)] == [b"0", b"1", b"2", b"3"]


@pytest.mark.parametrize(
    ("header", "value"),
    [("Checkpoint-Step", "-1"), ("Checkpoint-SHA256", "abc"), ("Lease-Token", "")],
)
def test_a_wrong_header_is_named(
    client: TestClient, offer: JobOffer, header: str, value: str
) -> None:
    headers = {
        "Lease-Token": offer.lease_token,
        "Checkpoint-Step": "1",
        "Checkpoint-SHA256": "0" * 64,
    }
    response = client.put(address(offer), content=b"x", headers=headers | {header: value})
    assert response.status_code == 422
    assert header in response.json()["message"]
