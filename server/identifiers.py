"""Random names of rows: a letter for the kind, and fifty bits in base32."""

import secrets
from typing import Literal

ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


def new_id(kind: Literal["s", "r", "j", "w", "t"]) -> str:
    """A name such as `s_4k7m2q5xwp`, for a submission, run, job, worker or token."""
    return f"{kind}_" + "".join(secrets.choice(ALPHABET) for _ in range(10))


def new_lease_token() -> str:
    """A secret that only the worker which got it can repeat."""
    return secrets.token_urlsafe(24)
