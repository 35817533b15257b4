"""Commands that read the boards."""

from pathlib import Path
from typing import Annotated

import typer

from runner.commands.local import JsonOption


def board(
    track: Annotated[str, typer.Argument(help="Track name.")] = "gpu_24gb",
    key: Annotated[str, typer.Option(help="Comparability key; by default the newest.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Print a track's ranked board."""
    from runner.api.answers import Board
    from runner.authoring import open_client
    from runner.settings import read_settings
    from runner.terminal.board import print_board
    from runner.terminal.console import output_console

    with open_client(read_settings()) as client:
        answer = client.board(track, key)
    if as_json:
        typer.echo(answer.text)
    else:
        print_board(output_console(), answer.read(Board))


def compare(
    names: Annotated[
        list[str],
        typer.Argument(help="Two to six ids of submissions, or folders of finished runs."),
    ],
    as_json: JsonOption = False,
) -> None:
    """Compare submissions of the server, or runs of this machine, with the first of them."""
    from core.schema.compared_settings import MAX_COMPARED
    from runner.authoring import open_client
    from runner.runs.comparison import Comparison, compare_folders
    from runner.settings import read_settings
    from runner.terminal.comparison import print_comparison
    from runner.terminal.console import output_console

    if not 2 <= len(names) <= MAX_COMPARED:
        raise typer.BadParameter(f"{len(names)} given; from 2 to {MAX_COMPARED} are compared.")
    if any(Path(name).is_dir() for name in names):
        comparison = compare_folders([Path(name) for name in names])
        text = comparison.model_dump_json(indent=2)
    else:
        with open_client(read_settings()) as client:
            answer = client.compare(names)
        text, comparison = answer.text, answer.read(Comparison)
    if as_json:
        typer.echo(text)
    else:
        print_comparison(output_console(), comparison)
