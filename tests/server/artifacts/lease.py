"""A worker that leaves and fetches checkpoints."""

import hashlib
from collections.abc import Iterator

from httpx2 import Response
from starlette.testclient import TestClient

from core.schema.job import JobOffer
from tests.server.factories import API


def address(offer: JobOffer) -> str:
    return f"{API}/jobs/{offer.job_id}/checkpoint"


def leave(
    client: TestClient,
    offer: JobOffer,
    content: bytes | Iterator[bytes] = b"weights",
    step: int = 10,
    sha256: str = "",
) -> Response:
    """Send a checkpoint under a lease."""
    if not sha256:
        assert isinstance(content, bytes)
        sha256 = hashlib.sha256(content).hexdigest()
    headers = {
        "Lease-Token": offer.lease_token,
        "Checkpoint-Step": str(step),
        "Checkpoint-SHA256": sha256,
    }
    return client.put(address(offer), content=content, headers=headers)


def fetch(client: TestClient, offer: JobOffer) -> Response:
    """Ask for the job's checkpoint under a lease."""
    return client.get(address(offer), headers={"Lease-Token": offer.lease_token})
