"""Access tokens, as they travel between the command line and the server."""

from enum import StrEnum

from pydantic import AwareDatetime, Field

from core.schema.base import Message
from core.schema.submission import AUTHOR

TOKEN_PREFIX = "fdl_"
TOKEN = r"^fdl_[A-Za-z0-9_-]{43}$"
MAX_TOKEN_DAYS = 3650
DEFAULT_TOKEN_DAYS = 90


class Scope(StrEnum):
    """What a token is good for."""

    SUBMIT = "submit"
    """Submissions, withdrawals, reruns and cancelling, as the author of the token's name."""
    WORK = "work"
    """Registering workers, claiming jobs and reporting on them."""
    ADMIN = "admin"
    """Making and revoking tokens, marking workers as trusted, and all of `submit` as any author; no
    reports of workers."""


class TokenRequest(Message):
    """An administrator wants a token for somebody."""

    name: str = Field(min_length=1, max_length=40, pattern=AUTHOR)
    """Whose it is: letters, digits, dot, dash and underscore; the author, where it may submit."""
    scope: Scope
    """What it is good for."""
    days: int = Field(default=DEFAULT_TOKEN_DAYS, ge=1, le=MAX_TOKEN_DAYS)
    """Days until it expires."""


class TokenStatus(Message):
    """What the server keeps of a token; the secret itself is not among it."""

    token_id: str
    """Id, for revoking it."""
    name: str
    """Whose it is."""
    scope: Scope
    """What it is good for."""
    created_at: AwareDatetime
    """When it was made."""
    expires_at: AwareDatetime
    """When it ends by itself."""
    revoked_at: AwareDatetime | None
    """When it was revoked; None if it was not."""
    last_used_at: AwareDatetime | None
    """When it was last used, to the minute; None if it never was."""


class TrustRequest(Message):
    """A maintainer says whether a worker is trusted."""

    worker: str = Field(min_length=1, max_length=80)
    """Name of the worker, as the queue's page shows it."""
    trusted: bool
    """Whether its results count for records by themselves."""


class WorkerTrust(Message):
    """Whether a worker is trusted."""

    worker_id: str
    """Id of the worker."""
    worker: str
    """Its name."""
    trusted: bool
    """Whether its results count for records by themselves."""
    num_results: int
    """Results that now count otherwise than before."""


class NewToken(Message):
    """A token that was just made."""

    token: str
    """The secret, which is shown this once."""
    status: TokenStatus
    """What the server keeps of it."""


class TokenList(Message):
    """All tokens that were ever made."""

    tokens: tuple[TokenStatus, ...]
    """The newest first."""
