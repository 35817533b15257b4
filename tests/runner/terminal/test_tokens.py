"""Access tokens as a table."""

from datetime import UTC, datetime, timedelta

import pytest

from core.schema.access import Scope, TokenStatus
from runner.terminal.tokens import token_state

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("expires_at", "revoked_at", "state"),
    [
        (NOW + HOUR, None, "valid"),
        (NOW, None, "expired"),
        (NOW + HOUR, NOW - HOUR, "revoked"),
        (NOW - HOUR, NOW - 2 * HOUR, "revoked"),
    ],
)
def test_a_token_is_valid_until_it_expires_or_is_revoked(expires_at, revoked_at, state):
    token = TokenStatus(
        token_id="t_a",
        name="ada",
        scope=Scope.SUBMIT,
        created_at=NOW - 3 * HOUR,
        expires_at=expires_at,
        revoked_at=revoked_at,
        last_used_at=None,
    )
    assert token_state(token, NOW) == state
