"""The one place where errors become messages and exit statuses."""

from typing import Any

import typer
from typer.core import TyperGroup

from runner.exit_codes import ExitCode


class CommandGroup(TyperGroup):
    """Runs a command; an expected error is one message on stderr, never a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that the context names.

        The error classes are imported only once something was raised, which keeps
        `runner --help` free of pydantic.
        """
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("Interrupted.", err=True)
            raise typer.Exit(ExitCode.INTERRUPTED) from None
        except BrokenPipeError:
            # Whoever read the output has gone; typer ends quietly with status 1.
            raise
        except _expected_errors() as error:
            typer.echo(f"Error: {_message(error)}", err=True)
            raise typer.Exit(_exit_code(error)) from error


def _expected_errors() -> tuple[type[Exception], ...]:
    from core.errors import CoreError
    from runner.errors import RunnerError

    return RunnerError, CoreError, OSError


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror.lower()}."
    return str(error)


def _exit_code(error: Exception) -> ExitCode:
    from core.errors import CoreError, InvalidInput
    from runner.errors import RunnerError

    if isinstance(error, RunnerError):
        return error.exit_code
    if isinstance(error, InvalidInput):
        return ExitCode.INVALID
    if isinstance(error, CoreError):
        return ExitCode.RUN_FAILED
    return ExitCode.NOT_FOUND if isinstance(error, FileNotFoundError) else ExitCode.FAILURE
