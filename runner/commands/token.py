"""Access tokens of the server, with an administrator's token in FIVE_DOLLAR_TOKEN."""

from enum import StrEnum
from typing import Annotated

import typer

from runner.commands.local import JsonOption

token = typer.Typer(no_args_is_help=True, help="Make, list and revoke access tokens.")


class ScopeChoice(StrEnum):
    """What a token is good for."""

    SUBMIT = "submit"
    WORK = "work"
    ADMIN = "admin"


@token.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose; the author's name.")],
    scope: Annotated[ScopeChoice, typer.Option(help="What it is good for.")] = ScopeChoice.SUBMIT,
    days: Annotated[int, typer.Option(help="Days until it expires.")] = 90,
    as_json: JsonOption = False,
) -> None:
    """Make a token; its secret is printed this once."""
    from core.schema.access import Scope, TokenRequest
    from runner.administration import open_admin_client
    from runner.authoring import read_request
    from runner.settings import read_settings

    request = read_request(TokenRequest, name=name, scope=Scope(scope.value), days=days)
    with open_admin_client(read_settings()) as client:
        made = client.create_token(request)
    if as_json:
        typer.echo(made.model_dump_json(indent=2))
        return
    typer.echo(made.token)
    status = made.status
    typer.echo(
        f"This is shown once: token {status.token_id} of {status.name}, scope {status.scope}, "
        f"until {status.expires_at:%Y-%m-%d}.",
        err=True,
    )


@token.command("list")
def list_tokens(as_json: JsonOption = False) -> None:
    """Print every token that was made, without secrets."""
    from runner.administration import open_admin_client
    from runner.settings import read_settings
    from runner.terminal.console import output_console
    from runner.terminal.tokens import print_tokens

    with open_admin_client(read_settings()) as client:
        tokens = client.tokens()
    if as_json:
        typer.echo(tokens.model_dump_json(indent=2))
    else:
        print_tokens(output_console(), tokens.tokens)


@token.command()
def revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="Token id, t_...")],
) -> None:
    """End a token at once."""
    from runner.administration import open_admin_client
    from runner.settings import read_settings

    with open_admin_client(read_settings()) as client:
        status = client.revoke_token(token_id)
    typer.echo(f"{status.token_id} of {status.name} is revoked.")
