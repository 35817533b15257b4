"""A PostgreSQL cluster of our own that is gone afterwards, for tests and benchmarks.

It listens on a socket in its own folder and on no port. Root may not run PostgreSQL; then the
user that its package made for it does.
"""

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

INSTALLED = Path("/usr/lib/postgresql")
OWNER = "postgres"
START_SECONDS = 30.0
UNSAFE = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
"""Faster, and lost with the machine's power: for tests."""


class Cluster:
    """A running cluster, in which databases are made and dropped."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(1)
        self._engine = create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")

    def url(self, name: str) -> str:
        """SQLAlchemy address of one of its databases."""
        return f"postgresql+psycopg://{OWNER}@/{name}?host={self._folder}"

    def create_database(self, template: str = "template1") -> str:
        """Make a database as a copy of another, which nobody may be connected to; its name."""
        name = f"board_{next(self._numbers)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database, whoever is connected."""
        self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    def wait_until_ready(self, process: "subprocess.Popen[bytes]") -> None:
        """Wait for the first connection.

        Raises:
            RuntimeError: the cluster ended, or took more than 30 s.
        """
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                self._execute("SELECT 1")
            except OperationalError as error:
                if process.poll() is not None or time.monotonic() > end:
                    log = (self._folder / "log").read_text()
                    raise RuntimeError(f"PostgreSQL did not start:\n{log}") from error
                time.sleep(0.05)
            else:
                return

    def close(self) -> None:
        """Close its own connections."""
        self._engine.dispose()

    def _execute(self, statement: str) -> None:
        with self._engine.connect() as connection:
            connection.execute(text(statement))


def find_programs() -> Path | None:
    """The folder with `initdb` and `postgres`, of the newest version; None if there is none."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    folders = [path.parent for path in INSTALLED.glob("*/bin/initdb")]
    return max(folders, key=lambda folder: float(folder.parent.name), default=None)


@contextmanager
def running_cluster(programs: Path, *, durable: bool) -> Iterator[Cluster]:
    """Run a cluster in a new folder, and remove both at the end.

    Args:
        programs: from `find_programs`.
        durable: whether commits wait for the disk.
    """
    # A socket's path has at most 107 bytes, which a test's folder may exceed.
    folder = Path(tempfile.mkdtemp(prefix="five-dollar-pg-"))
    as_owner: dict[str, Any] = {}
    if os.geteuid() == 0:
        as_owner = {"user": OWNER, "group": OWNER, "extra_groups": []}
        shutil.chown(folder, OWNER, OWNER)
    initdb: list[str | Path] = [
        programs / "initdb",
        "-D",
        folder / "data",
        "-U",
        OWNER,
        "-A",
        "trust",
    ]
    options = ("listen_addresses=", f"unix_socket_directories={folder}", "max_connections=200")
    command: list[str | Path] = [programs / "postgres", "-D", folder / "data"]
    for option in (*options, *(() if durable else UNSAFE)):
        command += ["-c", option]
    try:
        without_sync = ["-N", "-E", "UTF8", "--locale=C"]
        subprocess.run(
            [*initdb, *without_sync], check=True, capture_output=True, cwd="/", **as_owner
        )
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **as_owner)
        cluster = Cluster(folder)
        try:
            cluster.wait_until_ready(process)
            yield cluster
        finally:
            cluster.close()
            process.send_signal(signal.SIGINT)
            process.wait(START_SECONDS)
    finally:
        shutil.rmtree(folder)
