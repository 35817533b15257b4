"""`python -m server`: the whole server in one process; `backup` and `restore` of its database."""

import sqlite3
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
import uvicorn
from alembic.util import CommandError
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from core.errors import InvalidInput
from server.app import create_app
from server.backup import BackupRefused, back_up
from server.backup import restore as put_back
from server.log_setup import set_up_logging
from server.settings import ServerSettings

EXIT_USAGE = 2
SHUTDOWN_SECONDS = 10

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True)
def start(context: typer.Context) -> None:
    """Serve the board, unless a command says otherwise."""
    if context.invoked_subcommand is None:
        main()


@app.command()
def backup(file: Annotated[Path, typer.Argument(help="New file for the copy.")]) -> None:
    """Copy the SQLite database, while the server may be running."""
    try:
        back_up(_settings().database_url, file)
    except (BackupRefused, OSError, sqlite3.Error) as error:
        _refuse(f"No copy was made: {error}")


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A copy that `backup` made.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a database.")] = False,
) -> None:
    """Make the SQLite database what it was when the copy was made."""
    try:
        put_back(_settings().database_url, file, overwrite=overwrite)
    except (BackupRefused, OSError, sqlite3.Error) as error:
        _refuse(f"Nothing was restored: {error}")


def main() -> None:
    """Serve until interrupted; what cannot be served ends with status 2 and says why."""
    set_up_logging()
    settings = _settings()
    try:
        application = create_app(settings)
    except InvalidInput as error:
        _refuse(f"The tracks cannot be read:\n{error}")
    except CommandError as error:
        _refuse(f"The database is of a newer version of the project ({error}); update the server.")
    except (SQLAlchemyError, OSError) as error:
        reason = getattr(error, "orig", None) or error
        _refuse(f"The database cannot be opened ({reason}); check FIVE_DOLLAR_DATABASE_URL.")
    uvicorn.run(
        application,
        host=settings.host,
        port=settings.port,
        log_config=None,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


def _settings() -> ServerSettings:
    try:
        return ServerSettings()
    except ValidationError as error:
        _refuse(_setting_problems(error))


def _setting_problems(error: ValidationError) -> str:
    return "\n".join(
        f"FIVE_DOLLAR_{str(detail['loc'][0]).upper()}: {detail['input']!r} is not allowed: "
        f"{detail['msg']}"
        for detail in error.errors()
    )


def _refuse(message: str) -> NoReturn:
    typer.echo(message, err=True)
    sys.exit(EXIT_USAGE)


if __name__ == "__main__":
    app()
