"""How a checkpoint travels: an archive as the body of a request or answer, the rest in headers."""

from pydantic import Field

from core.schema.base import MAX_COUNT, Message

LEASE_HEADER = "Lease-Token"
"""Proof of the lease, of a worker that leaves or fetches a checkpoint."""
STEP_HEADER = "Checkpoint-Step"
SHA256_HEADER = "Checkpoint-SHA256"
SHA256 = r"^[0-9a-f]{64}$"


class StoredCheckpoint(Message):
    """A checkpoint that the server has."""

    step: int = Field(ge=0, le=MAX_COUNT)
    """Optimizer steps done."""
    num_bytes: int = Field(ge=0, le=MAX_COUNT)
    """Length of the archive."""
    sha256: str = Field(pattern=SHA256)
    """Hash of the archive, in hexadecimal."""
