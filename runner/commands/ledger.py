"""Reading a server's ledger, and making sure that it holds."""

import re
from typing import Annotated

import typer

from runner.commands.local import JsonOption
from runner.exit_codes import ExitCode

NEWEST = 20
"""Entries that are printed by default."""


def ledger(
    after: Annotated[
        int | None, typer.Option(min=0, help="Start behind this number; by default the newest.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, max=1000, help=f"Entries to print; by default {NEWEST}.")
    ] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Follow every entry instead.")] = False,
    since: Annotated[
        str,
        typer.Option(metavar="HASH", help="Verify that this earlier head is still in the ledger."),
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Print what happened on the server, or verify that none of it was changed."""
    from runner.authoring import open_client
    from runner.ledger import newest_entries
    from runner.settings import read_settings
    from runner.terminal.console import output_console
    from runner.terminal.ledger import print_ledger

    if verify or since:
        if after is not None or limit is not None:
            message = "The whole ledger is verified: leave out --after and --limit."
            raise typer.BadParameter(message)
        _verify(_hash(since), as_json)
        return
    count = NEWEST if limit is None else limit
    with open_client(read_settings()) as client:
        page = newest_entries(client, count) if after is None else client.ledger(after, count)
    if as_json:
        typer.echo(page.model_dump_json(indent=2))
    else:
        print_ledger(output_console(), page)


def _verify(since: str, as_json: bool) -> None:
    from runner.authoring import open_client
    from runner.errors import LedgerBroken
    from runner.ledger import verify_ledger
    from runner.settings import read_settings
    from runner.terminal.console import output_console
    from runner.terminal.ledger import broken_json, verified_json, verified_rows
    from runner.terminal.report import print_pairs

    try:
        with open_client(read_settings()) as client:
            verified = verify_ledger(client, since)
    except LedgerBroken as error:
        if not as_json:
            raise
        typer.echo(broken_json(error))
        raise typer.Exit(ExitCode.FAILURE) from error
    if as_json:
        typer.echo(verified_json(verified))
        return
    console = output_console()
    console.print("The ledger holds.")
    print_pairs(console, verified_rows(verified, since))


def _hash(text: str) -> str:
    """A hash as the ledger writes it; empty if there is none."""
    written = text.strip().lower()
    if text and not re.fullmatch(r"[0-9a-f]{64}", written):
        message = f"{text!r} is no hash of an entry: it must have 64 hexadecimal digits."
        raise typer.BadParameter(message, param_hint="--since")
    return written
