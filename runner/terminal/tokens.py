"""Access tokens as a table."""

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from core.schema.access import TokenStatus


def print_tokens(console: Console, tokens: Sequence[TokenStatus]) -> None:
    """Tokens, a line each."""
    if not tokens:
        console.print("There are no tokens.")
        return
    table = Table()
    for column in ("id", "name", "scope", "state", "ends (UTC)", "last used (UTC)"):
        table.add_column(column, no_wrap=True)
    now = datetime.now(UTC)
    for token in tokens:
        table.add_row(
            token.token_id,
            token.name,
            token.scope.value,
            token_state(token, now),
            _moment(token.expires_at),
            _moment(token.last_used_at),
        )
    console.print(table)


def token_state(token: TokenStatus, now: datetime) -> str:
    """Whether a token still works, in a word."""
    if token.revoked_at is not None:
        return "revoked"
    return "expired" if token.expires_at <= now else "valid"


def _moment(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment is not None else "never"
