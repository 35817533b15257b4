"""Alembic's entry: on the server's own connection, or on the configured database."""

from typing import Any, Literal

from alembic import context
from sqlalchemy import Connection, Enum, TypeDecorator
from sqlmodel import SQLModel

from server import kept_curves  # noqa: F401
from server.access import tables as access_tables  # noqa: F401 -- fills the metadata
from server.artifacts import tables as artifact_tables  # noqa: F401
from server.board import tables as board_tables  # noqa: F401
from server.canary import tables as canary_tables  # noqa: F401
from server.database import create_engine
from server.idle import tables as idle_tables  # noqa: F401
from server.ledger import tables as ledger_tables  # noqa: F401
from server.memory import tables as memory_tables  # noqa: F401
from server.quota import tables as quota_tables  # noqa: F401
from server.settings import ServerSettings
from server.settlement import tables as settlement_tables  # noqa: F401
from server.sign_in import tables as sign_in_tables  # noqa: F401
from server.verdict import tables as verdict_tables  # noqa: F401


def _plain_type(kind: str, item: Any, _: object) -> str | Literal[False]:
    """Write the stored type, so that a landed revision never follows a change of the code."""
    if kind != "type":
        return False
    if isinstance(item, TypeDecorator):
        return f"sa.{item.impl_instance!r}"
    if isinstance(item, Enum):
        return f"sa.String(length={item.length})"
    return False


def _migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        render_as_batch=True,
        render_item=_plain_type,
    )
    with context.begin_transaction():
        context.run_migrations()


def _migrate_configured_database() -> None:
    engine = create_engine(ServerSettings().database_url)
    with engine.execution_options(writes=True).begin() as connection:
        _migrate(connection)
    engine.dispose()


if (given := context.config.attributes.get("connection")) is not None:
    _migrate(given)
else:
    _migrate_configured_database()
