"""The database: connections, transactions and migrations.

Reads go through `read_session`, writes through `write_session`, which has committed when its
block ends, so that nothing is acknowledged before it is stored. All that is particular to
SQLite stands in this file.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from fastapi import Request
from sqlalchemy import Connection, Engine, event
from sqlalchemy import create_engine as sqlalchemy_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlmodel import Session

from server.write_turns import begin_to_write, turn_of_thread, wait_when_busy

Answer = TypeVar("Answer")

MIGRATIONS = Path(__file__).resolve().parent / "migrations"
PAGES_PER_CHECKPOINT = 4_000
"""SQLite moves what was written ahead into the database after so many pages, 16 MB: a page that
many transactions change is then moved once."""

MAX_TRIES = 5
"""A row may have several keys that others can take."""


def create_engine(url: str) -> Engine:
    """Open a database, which need not exist yet where it is a SQLite file."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return sqlalchemy_engine(parsed, pool_pre_ping=True, pool_size=10, max_overflow=40)
    if parsed.database:
        Path(parsed.database).absolute().parent.mkdir(parents=True, exist_ok=True)
    # More connections than the server has threads, so that no request waits for one.
    engine = sqlalchemy_engine(parsed, pool_size=10, max_overflow=40)
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


@contextmanager
def read_session(engine: Engine) -> Iterator[Session]:
    """A session that sees one state of the database and changes nothing."""
    if engine.dialect.name != "sqlite":
        # Others show each statement what was committed before it.
        engine = engine.execution_options(isolation_level="REPEATABLE READ")
    with Session(engine) as session:
        yield session


@contextmanager
def write_session(engine: Engine) -> Iterator[Session]:
    """A session whose changes are durable when the block ends, and gone if it raises.

    On SQLite it holds the one write lock from the start: two writers wait for each other
    instead of failing half way.
    """
    writer = engine.execution_options(writes=True)
    with (
        turn_of_thread(engine.pool) if engine.dialect.name == "sqlite" else nullcontext(),
        Session(writer, expire_on_commit=False) as session,
        session.begin(),
    ):
        yield session


def write(engine: Engine, work: Callable[[Session], Answer]) -> Answer:
    """Do `work` in a write session, and again if another writer took the same key first.

    `work` must look for what it is about to create. On SQLite, writers take turns and it never
    comes to a second try.
    """
    for _ in range(MAX_TRIES - 1):
        with suppress(IntegrityError), write_session(engine) as session:
            return work(session)
    with write_session(engine) as session:
        return work(session)


def get_session(request: Request) -> Iterator[Session]:
    """FastAPI dependency: a session to read with, for the length of one request.

    What was reported before the request is settled in what it sees.
    """
    request.app.state.settler.wait()
    with read_session(request.app.state.engine) as session:
        yield session


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the schema up to a revision, in one transaction."""
    with _migrations(engine) as config:
        command.upgrade(config, revision)


def downgrade(engine: Engine, revision: str) -> None:
    """Bring the schema down to a revision, in one transaction; what it has no place for is lost."""
    with _migrations(engine) as config:
        command.downgrade(config, revision)


@contextmanager
def _migrations(engine: Engine) -> Iterator[Config]:
    """Alembic's configuration, on a connection that commits when the block ends."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with (
        engine.execution_options(writes=True).connect() as connection,
        _without_foreign_keys(connection),
        connection.begin(),
    ):
        config.attributes["connection"] = connection
        yield config


@contextmanager
def _without_foreign_keys(connection: Connection) -> Iterator[None]:
    """Let SQLite rebuild tables that others refer to; no other database needs it."""
    if connection.dialect.name != "sqlite":
        yield
        return
    raw: Any = connection.connection.dbapi_connection
    raw.execute("PRAGMA foreign_keys = OFF")
    try:
        yield
    finally:
        raw.execute("PRAGMA foreign_keys = ON")


def _set_up_sqlite(connection: Any, record: object) -> None:
    # None: the driver starts no transaction by itself; `_begin_sqlite` does.
    connection.isolation_level = None
    wait_when_busy(connection)
    connection.execute("PRAGMA journal_mode = WAL").close()
    connection.execute("PRAGMA synchronous = FULL").close()
    connection.execute("PRAGMA foreign_keys = ON").close()
    connection.execute(f"PRAGMA wal_autocheckpoint = {PAGES_PER_CHECKPOINT}").close()


def _begin_sqlite(connection: Connection) -> None:
    if not connection.get_execution_options().get("writes", False):
        connection.exec_driver_sql("BEGIN")
        return
    raw: Any = connection.connection.dbapi_connection
    try:
        begin_to_write(raw)
    except sqlite3.OperationalError as error:
        raise OperationalError("BEGIN IMMEDIATE", None, error) from error
