import asyncio
from collections.abc import Iterator

from starlette.testclient import TestClient
from starlette.types import Message

from core.schema.job import MAX_LOG_CHARACTERS
from server.body_limit import BodyLimit
from tests.server.factories import API, claim_one, post_yaml, send_log, submission_yaml, submit


def padded(size: int) -> bytes:
    """A submission of that many bytes."""
    text = submission_yaml().encode()
    return text + b"#" * (size - len(text))


def test_a_submission_of_64_kib_is_accepted_and_one_byte_more_is_not(client: TestClient) -> None:
    assert post_yaml(client, padded(65_536)).status_code == 201
    response = post_yaml(client, padded(65_537))
    assert (response.status_code, response.json()["kind"]) == (413, "body_too_large")
    assert "65,536 bytes" in response.json()["message"]


def test_a_body_without_a_length_is_measured_as_it_comes(client: TestClient) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(65):
            yield b"#" * 1024

    headers = {"Idempotency-Key": "some-key"}
    response = client.post(f"{API}/submissions", content=pieces(), headers=headers)
    assert response.status_code == 413


def test_a_body_of_ten_megabytes_is_refused_on_every_route(client: TestClient) -> None:
    body = b"x" * 10_000_000
    paths = ("/submissions", "/workers", "/jobs/j_x/metrics", "/jobs/j_x/checkpoint", "/nothing")
    for path in paths:
        response = client.post(f"{API}{path}", content=body)
        assert (response.status_code, response.json()["kind"]) == (413, "body_too_large")


def test_the_longest_log_piece_fits_even_escaped(client: TestClient) -> None:
    submit(client)
    offer = claim_one(client)
    # Six bytes of JSON a character.
    assert send_log(client, offer, "\x01" * MAX_LOG_CHARACTERS).status_code == 204


def test_half_a_body_of_a_client_that_went_away_reaches_nobody() -> None:
    messages: list[Message] = [
        {"type": "http.request", "body": submission_yaml().encode(), "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        return messages.pop(0)

    async def unreachable(*arguments: object) -> None:
        raise AssertionError("went on with half a body")

    scope = {"type": "http", "path": f"{API}/submissions"}
    asyncio.run(BodyLimit(unreachable)(scope, receive, unreachable))
    assert not messages
