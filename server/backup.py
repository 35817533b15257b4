"""Copies of a SQLite database, made and put back while a server may be running.

Both go through SQLite's own backup: a copy is one state of the database, and putting it back is one
transaction, which leaves the database as it was if it is interrupted.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy.engine import make_url

from server.write_turns import BUSY_SECONDS


class BackupRefused(Exception):
    """A copy that cannot be made or put back; the message says what to do."""


def back_up(database_url: str, copy: Path) -> None:
    """Copy the database into a new file.

    Raises:
        BackupRefused: the file exists, or there is no SQLite database to copy.
    """
    database = _database_file(database_url)
    if not database.exists():
        raise BackupRefused(f"there is no database {database}; check FIVE_DOLLAR_DATABASE_URL.")
    if copy.exists():
        raise BackupRefused(f"{copy} exists; name a new file.")
    unfinished = copy.with_name(f"{copy.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    _copy(database, unfinished)
    unfinished.rename(copy)


def restore(database_url: str, copy: Path, *, overwrite: bool) -> None:
    """Make the database what it was when the copy was made.

    Raises:
        BackupRefused: the copy is not a whole database, or there is a database already and
            `overwrite` is not set.
    """
    database = _database_file(database_url)
    _require_whole(copy)
    if database.exists() and not overwrite:
        raise BackupRefused(f"{database} exists; --overwrite replaces all that it holds.")
    database.absolute().parent.mkdir(parents=True, exist_ok=True)
    _copy(copy, database)


def _database_file(database_url: str) -> Path:
    url = make_url(database_url)
    if url.get_backend_name() != "sqlite" or not url.database:
        raise BackupRefused("only SQLite is copied here; for PostgreSQL use pg_dump.")
    return Path(url.database)


def _require_whole(copy: Path) -> None:
    if not copy.is_file():
        raise BackupRefused(f"there is no file {copy}.")
    try:
        with closing(sqlite3.connect(copy)) as connection:
            connection.execute("SELECT version_num FROM alembic_version").fetchone()
            (found,) = connection.execute("PRAGMA integrity_check").fetchone()
    except sqlite3.DatabaseError as error:
        raise BackupRefused(f"{copy} is no board's database: {error}.") from error
    if found != "ok":
        raise BackupRefused(f"{copy} is damaged: {found}.")


def _copy(source: Path, target: Path) -> None:
    with (
        closing(sqlite3.connect(source, timeout=BUSY_SECONDS)) as read,
        closing(sqlite3.connect(target, timeout=BUSY_SECONDS)) as written,
    ):
        written.execute("PRAGMA synchronous = FULL")
        read.backup(written)
