import hashlib
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count

import pytest
from sqlalchemy import Engine, text
from sqlmodel import select

from core.schema.access import TOKEN, NewToken, Scope
from server.access import tokens
from server.access.tables import AccessToken
from server.access.tokens import find_caller, list_tokens, revoke
from server.database import read_session, write_session
from server.errors import NotFound
from server.tables import utc_now

Make = Callable[..., NewToken]


def test_a_token_is_random_and_known_by_its_hash_alone(engine: Engine, make: Make) -> None:
    made, other = make(), make()
    assert re.fullmatch(TOKEN, made.token)  # 43 digits of base64 are 32 bytes
    assert made.token != other.token
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT * FROM access_token")).all()
    assert made.token not in str(rows)
    assert made.token.removeprefix("fdl_") not in str(rows)
    assert hashlib.sha256(made.token.encode()).hexdigest() in str(rows)


def test_a_token_is_known_again(engine: Engine, make: Make) -> None:
    made = make("ada", Scope.WORK)
    caller = find_caller(engine, made.token)
    assert caller is not None
    assert (caller.token_id, caller.name, caller.scope) == (
        made.status.token_id,
        "ada",
        Scope.WORK,
    )


@pytest.mark.parametrize("secret", ["", "fdl_", "fdl_" + "x" * 43, "ü", "\x00"])
def test_what_was_never_made_is_nobodys(engine: Engine, make: Make, secret: str) -> None:
    make()
    assert find_caller(engine, secret) is None


def test_a_token_expires_after_its_days(
    engine: Engine, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(days=2)
    assert made.status.expires_at - made.status.created_at == timedelta(days=2)
    last = made.status.expires_at - timedelta(seconds=1)
    monkeypatch.setattr(tokens, "utc_now", lambda: last)
    assert find_caller(engine, made.token) is not None
    monkeypatch.setattr(tokens, "utc_now", lambda: made.status.expires_at)
    assert find_caller(engine, made.token) is None


def test_a_revoked_token_is_nobodys_and_keeps_its_first_moment(engine: Engine, make: Make) -> None:
    made = make()
    with write_session(engine) as session:
        revoked = revoke(session, made.status.token_id)
    assert revoked.revoked_at is not None
    assert find_caller(engine, made.token) is None
    with write_session(engine) as session:
        assert revoke(session, made.status.token_id) == revoked


def test_a_token_that_was_never_made_cannot_be_revoked(engine: Engine) -> None:
    with write_session(engine) as session, pytest.raises(NotFound, match="no token 't_x'"):
        revoke(session, "t_x")


def test_the_list_starts_with_the_newest(
    engine: Engine, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = count()
    monkeypatch.setattr(tokens, "utc_now", lambda: utc_now() + timedelta(days=next(days)))
    for name in ("ada", "bob", "eve"):
        make(name)
    with read_session(engine) as session:
        assert [token.name for token in list_tokens(session)] == ["eve", "bob", "ada"]


def test_the_last_use_is_written_once_a_minute(
    engine: Engine, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make()

    def last_use(seconds: int) -> datetime | None:
        moment = made.status.created_at + timedelta(seconds=seconds)
        monkeypatch.setattr(tokens, "utc_now", lambda: moment)
        assert find_caller(engine, made.token) is not None
        with read_session(engine) as session:
            return session.exec(select(AccessToken.last_used_at)).one()

    start = made.status.created_at
    assert last_use(5) == start + timedelta(seconds=5)
    assert last_use(64) == start + timedelta(seconds=5)
    assert last_use(65) == start + timedelta(seconds=65)
