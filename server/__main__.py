"""`python -m server`: the whole server in one process."""

import sys
from typing import NoReturn

import typer
import uvicorn
from alembic.util import CommandError
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from core.errors import InvalidInput
from server.app import create_app
from server.log_setup import set_up_logging
from server.settings import ServerSettings

EXIT_USAGE = 2
SHUTDOWN_SECONDS = 10


def main() -> None:
    """Serve until interrupted; what cannot be served ends with status 2 and says why."""
    set_up_logging()
    try:
        settings = ServerSettings()
    except ValidationError as error:
        _refuse(_setting_problems(error))
    try:
        app = create_app(settings)
    except InvalidInput as error:
        _refuse(f"The tracks cannot be read:\n{error}")
    except CommandError as error:
        _refuse(f"The database is of a newer version of the project ({error}); update the server.")
    except (SQLAlchemyError, OSError) as error:
        reason = getattr(error, "orig", None) or error
        _refuse(f"The database cannot be opened ({reason}); check FIVE_DOLLAR_DATABASE_URL.")
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


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
    main()
