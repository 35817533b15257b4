"""Becoming the server."""

import os
import sys
from pathlib import Path


def server_command() -> list[str]:
    """The command that starts the server."""
    return [sys.executable, "-m", "server"]


def server_environment(host: str, port: int, database: str) -> dict[str, str]:
    """This process's environment with the server's settings; an empty database is its default."""
    chosen = {"FIVE_DOLLAR_HOST": host, "FIVE_DOLLAR_PORT": str(port)}
    if database:
        chosen["FIVE_DOLLAR_DATABASE_URL"] = database
    return {**os.environ, **chosen}


def become_server(host: str, port: int, database: str) -> None:
    """Replace this process by the server, so that every signal reaches it."""
    command = server_command()
    sys.stdout.flush()
    os.execve(command[0], command, server_environment(host, port, database))


def sqlite_address(file: Path) -> str:
    """Database address of a SQLite file."""
    return f"sqlite:///{file.resolve()}"
