"""`python -m server`: the whole server in one process; and what is done on its machine alone.

`token` makes a first access token, `author` gives a name to a GitHub account, `trust` and
`distrust` mark workers, `backup` and `restore` copy the database.
"""

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer
import uvicorn
from alembic.util import CommandError
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from core.errors import InvalidInput
from core.schema.access import DEFAULT_TOKEN_DAYS, Scope, TokenRequest, TrustRequest
from core.tracks import load_tracks
from server.access.tokens import issue
from server.app import create_app
from server.backup import BackupRefused, back_up
from server.backup import restore as put_back
from server.collection import spare_startup
from server.database import create_engine, upgrade, write_session
from server.errors import ArtifactsUnavailable, NameTaken, ServerError
from server.log_setup import set_up_logging
from server.settings import ServerSettings
from server.sign_in.author_names import give_name
from server.trust.marks import mark_worker
from server.web_server import WebServer

EXIT_USAGE = 2
SHUTDOWN_SECONDS = 10

WorkerArgument = Annotated[str, typer.Argument(metavar="NAME", help="Worker's name.")]
LOCAL_MAINTAINER = "the server's machine"
"""Who the ledger says did what is done without a token."""

command_line = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)


@command_line.callback(invoke_without_command=True)
def serve_unless_asked(context: typer.Context) -> None:
    """Serve the board, unless a command says otherwise."""
    if context.invoked_subcommand is None:
        main()


@command_line.command()
def token(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose token it is.")],
    scope: Annotated[Scope, typer.Option(help="What it is good for.")] = Scope.ADMIN,
    days: Annotated[int, typer.Option(help="Days until it expires.")] = DEFAULT_TOKEN_DAYS,
) -> None:
    """Make an access token in the configured database, and print it this once."""
    settings = read_settings()
    try:
        request = TokenRequest(name=name, scope=scope, days=days)
    except ValidationError as error:
        _refuse(_field_problems(error))
    with _refused_database():
        engine = create_engine(settings.database_url)
        upgrade(engine)
        with write_session(engine) as session:
            made = issue(session, request)
        engine.dispose()
    typer.echo(made.token)
    status = made.status
    typer.echo(
        f"This is shown once: token {status.token_id} of {status.name}, scope {status.scope}, "
        f"until {status.expires_at:%Y-%m-%d}.",
        err=True,
    )


@command_line.command()
def author(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Author, and GitHub login.")],
) -> None:
    """Give an author name to whoever signs in next with that GitHub login, whoever had it."""
    with _refused_database():
        engine = create_engine(read_settings().database_url)
        upgrade(engine)
        try:
            with write_session(engine) as session:
                give_name(session, name)
        except NameTaken as error:
            _refuse(str(error))
        engine.dispose()
    typer.echo(f"The author {name} is whoever signs in next with that GitHub login.", err=True)


@command_line.command()
def trust(name: WorkerArgument) -> None:
    """Mark a worker as trusted, while the server may be running."""
    _mark(name, trusted=True)


@command_line.command()
def distrust(name: WorkerArgument) -> None:
    """Take the mark from a worker, and with it the trust in all that it has measured."""
    _mark(name, trusted=False)


@command_line.command()
def backup(file: Annotated[Path, typer.Argument(help="New file for the copy.")]) -> None:
    """Copy the SQLite database, while the server may be running."""
    try:
        back_up(read_settings().database_url, file)
    except (BackupRefused, OSError, sqlite3.Error) as error:
        _refuse(f"No copy was made: {error}")


@command_line.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A copy that `backup` made.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a database.")] = False,
) -> None:
    """Make the SQLite database what it was when the copy was made."""
    try:
        put_back(read_settings().database_url, file, overwrite=overwrite)
    except (BackupRefused, OSError, sqlite3.Error) as error:
        _refuse(f"Nothing was restored: {error}")


def main() -> None:
    """Serve until interrupted; what cannot be served ends with status 2 and says why."""
    set_up_logging()
    settings = read_settings()
    try:
        with _refused_database():
            app = create_app(settings)
    except InvalidInput as error:
        _refuse(f"The tracks cannot be read:\n{error}")
    except ArtifactsUnavailable as error:
        _refuse(f"Artifacts cannot be kept: {error} Check FIVE_DOLLAR_ARTIFACTS_URL.")
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    spare_startup()
    WebServer(config, app.state.hub).serve_until_interrupted()


def read_settings() -> ServerSettings:
    """The settings of the environment; wrong ones end the process and are named."""
    try:
        return ServerSettings()
    except ValidationError as error:
        _refuse(_setting_problems(error))


def _mark(name: str, *, trusted: bool) -> None:
    settings = read_settings()
    try:
        request = TrustRequest(worker=name, trusted=trusted)
        tracks = load_tracks(settings.tracks_folder)
        with _refused_database():
            engine = create_engine(settings.database_url)
            upgrade(engine)
            with write_session(engine) as session:
                marked = mark_worker(session, request, LOCAL_MAINTAINER, tracks, settings)
            engine.dispose()
    except ValidationError as error:
        _refuse(_field_problems(error))
    except InvalidInput as error:
        _refuse(f"The tracks cannot be read:\n{error}")
    except ServerError as error:
        _refuse(str(error))
    state = "trusted" if marked.trusted else "not trusted"
    typer.echo(f"{marked.worker} is {state}; {marked.num_results} of its results count otherwise.")


@contextmanager
def _refused_database() -> Iterator[None]:
    """End the process with the reason where the database cannot be used."""
    try:
        yield
    except CommandError as error:
        _refuse(f"The database is of a newer version of the project ({error}); update the server.")
    except (SQLAlchemyError, OSError) as error:
        reason = getattr(error, "orig", None) or error
        _refuse(f"The database cannot be opened ({reason}); check FIVE_DOLLAR_DATABASE_URL.")


def _field_problems(error: ValidationError) -> str:
    details = error.errors()
    return "\n".join(f"{d['loc'][0]}: {d['input']!r}: {d['msg']}." for d in details)


def _setting_problems(error: ValidationError) -> str:
    # A problem of several settings has no place, and its input is all of them, secrets too.
    return "\n".join(
        f"FIVE_DOLLAR_{str(detail['loc'][0]).upper()}: {detail['input']!r} is not allowed: "
        f"{detail['msg']}"
        if detail["loc"]
        else f"{detail['msg']}."
        for detail in error.errors()
    )


def _refuse(message: str) -> NoReturn:
    typer.echo(message, err=True)
    sys.exit(EXIT_USAGE)


if __name__ == "__main__":
    command_line()
