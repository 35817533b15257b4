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
    a: Annotated[str, typer.Argument(help="A submission's id, or a finished run's folder.")],
    b: Annotated[str, typer.Argument(help="Another of the same kind.")],
    as_json: JsonOption = False,
) -> None:
    """Compare two submissions of the server, or two runs of this machine."""
    from runner.authoring import open_client
    from runner.runs.comparison import Comparison, compare_folders
    from runner.settings import read_settings
    from runner.terminal.console import output_console
    from runner.terminal.report import print_comparison

    if Path(a).is_dir() or Path(b).is_dir():
        comparison = compare_folders(Path(a), Path(b))
        text = comparison.model_dump_json(indent=2)
    else:
        with open_client(read_settings()) as client:
            answer = client.compare(a, b)
        text, comparison = answer.text, answer.read(Comparison)
    if as_json:
        typer.echo(text)
    else:
        print_comparison(output_console(), comparison)
