import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError
from sqlmodel import Session

from server import write_turns
from server.database import create_engine, write_session


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "board.sqlite"


@pytest.fixture
def engine(path: Path) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{path}")
    with write_session(engine) as session:
        session.execute(text("CREATE TABLE word (word TEXT)"))
    yield engine
    engine.dispose()


def add(session: Session, word: str) -> None:
    session.execute(text("INSERT INTO word VALUES (:word)"), {"word": word})


def words(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.execute(text("SELECT word FROM word ORDER BY rowid")).scalars())


def test_threads_write_one_after_the_other(engine: Engine) -> None:
    def write_too() -> None:
        with write_session(engine) as session:
            add(session, "second")

    with ThreadPoolExecutor(1) as threads:
        with write_session(engine) as session:
            add(session, "first")
            waiting = threads.submit(write_too)
            assert wait([waiting], timeout=0.2).not_done
        waiting.result()
    assert words(engine) == ["first", "second"]


def test_a_writer_looks_again_soon_when_another_process_has_written(
    engine: Engine, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A connection of its own is to SQLite as another process.
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO word VALUES ('first')")
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            other.execute("COMMIT")

    monkeypatch.setattr(write_turns.time, "sleep", pause)
    with write_session(engine) as session:
        add(session, "second")
    other.close()
    assert words(engine) == ["first", "second"]
    assert len(pauses) == 3
    assert max(pauses) <= 0.01


def test_a_writer_gives_up_in_the_end(
    engine: Engine, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_turns, "BUSY_SECONDS", 0.05)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    with pytest.raises(OperationalError, match="locked"), write_session(engine) as session:
        add(session, "third")
    assert time.monotonic() - began >= 0.05
    other.execute("ROLLBACK")
    other.close()
    with write_session(engine) as session:
        add(session, "fourth")
    assert words(engine) == ["fourth"]


def test_what_is_no_matter_of_turns_is_told_at_once(engine: Engine) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    write_turns.begin_to_write(connection)
    with pytest.raises(sqlite3.OperationalError, match="within a transaction"):
        write_turns.begin_to_write(connection)
    connection.close()
