"""Access tokens: made once, kept as a hash, and known again by it."""

import hashlib
import logging
import secrets
from datetime import datetime, timedelta

from sqlalchemy import Engine, update
from sqlmodel import Session, col, select

from core.schema.access import TOKEN_PREFIX, NewToken, TokenRequest, TokenStatus
from server.access.caller import Caller
from server.access.tables import AccessToken
from server.database import read_session, write_session
from server.errors import NotFound
from server.identifiers import new_id
from server.tables import utc_now

SECRET_BYTES = 32
LAST_USE_INTERVAL = timedelta(minutes=1)
"""The last use is written down no more often, so that reports stay cheap."""

logger = logging.getLogger(__name__)


def issue(session: Session, request: TokenRequest) -> NewToken:
    """Make a token; nobody can read its secret again."""
    secret = TOKEN_PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    now = utc_now()
    row = AccessToken.model_validate(
        {
            "id": new_id("t"),
            "secret_hash": secret_hash(secret),
            "name": request.name,
            "scope": request.scope,
            "created_at": now,
            "expires_at": now + timedelta(days=request.days),
        }
    )
    session.add(row)
    session.flush()
    logger.info("token made", extra={"token_id": row.id})
    return NewToken(token=secret, status=_status(row))


def revoke(session: Session, token_id: str) -> TokenStatus:
    """End a token at once. The same again changes nothing.

    Raises:
        NotFound: there is no token of that id.
    """
    row = session.get(AccessToken, token_id, with_for_update=True)
    if row is None:
        raise NotFound(f"there is no token {token_id!r}; ids look like t_4k7m2q5xwp.")
    if row.revoked_at is None:
        row.revoked_at = utc_now()
        session.flush()
        logger.info("token revoked", extra={"token_id": row.id})
    return _status(row)


def list_tokens(session: Session) -> tuple[TokenStatus, ...]:
    """Every token that was made, the newest first."""
    newest = select(AccessToken).order_by(col(AccessToken.created_at).desc(), AccessToken.id)
    return tuple(_status(row) for row in session.exec(newest))


def find_caller(engine: Engine, secret: str) -> Caller | None:
    """Who holds a token; None if there is no such token, or it has ended."""
    with read_session(engine) as session:
        known = select(AccessToken).where(AccessToken.secret_hash == secret_hash(secret))
        row = session.exec(known).one_or_none()
    now = utc_now()
    if row is None or row.has_ended(now):
        return None
    if row.last_used_at is None or now - row.last_used_at >= LAST_USE_INTERVAL:
        _note_use(engine, row.id, now)
    return Caller(token_id=row.id, name=row.name, scope=row.scope)


def secret_hash(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _note_use(engine: Engine, token_id: str, now: datetime) -> None:
    with write_session(engine) as session:
        row = update(AccessToken).where(col(AccessToken.id) == token_id)
        session.exec(row.values(last_used_at=now))


def _status(row: AccessToken) -> TokenStatus:
    return TokenStatus(token_id=row.id, **row.model_dump(exclude={"id", "secret_hash"}))
