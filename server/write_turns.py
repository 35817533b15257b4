"""Turns to write to SQLite, which has one writer at a time.

SQLite itself has a writer that waits look again after longer and longer pauses, up to a tenth of a
second, so that among many one may find the database locked each time until it gives up. Here the
threads of a process wait for each other, and one of each process looks again after a few
milliseconds.
"""

import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from weakref import WeakKeyDictionary

from sqlalchemy.pool import Pool

BUSY_SECONDS = 15.0
"""How long a writer waits for others before it gives up."""
PAUSE_SECONDS = 0.002, 0.01
"""Least and longest pause before another look; at random, so that nobody is always late. Where
writers take turns faster, each finds nothing in its cache, and those that look keep the one that
writes from its processor: shorter pauses made eight processes slower."""

_locks: WeakKeyDictionary[Pool, Lock] = WeakKeyDictionary()


@contextmanager
def turn_of_thread(pool: Pool) -> Iterator[None]:
    """Let the threads that share connections write one after the other.

    A thread that has waited in vain goes on, and SQLite tells it that the database is locked: it
    may be waiting for itself.
    """
    lock = _locks.setdefault(pool, Lock())
    is_held = lock.acquire(timeout=BUSY_SECONDS)
    try:
        yield
    finally:
        if is_held:
            lock.release()


def begin_to_write(connection: sqlite3.Connection) -> None:
    """Begin a transaction that nobody else writes beside.

    Raises:
        OperationalError: other writers have kept the database locked for 15 seconds.
    """
    end = time.monotonic() + BUSY_SECONDS
    connection.execute("PRAGMA busy_timeout = 0").close()
    try:
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE").close()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= end:
                    raise
                time.sleep(random.uniform(*PAUSE_SECONDS))
            else:
                return
    finally:
        wait_when_busy(connection)


def wait_when_busy(connection: sqlite3.Connection) -> None:
    """Have SQLite wait where it seldom has to, as for a change of the journal's mode."""
    connection.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}").close()
