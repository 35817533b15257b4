"""Commands that keep running: worker, server, demonstration."""

from pathlib import Path
from typing import Annotated

import typer

from runner.commands.local import DeviceChoice, DeviceOption, MirrorOption


def worker(
    once: Annotated[
        bool, typer.Option(help="End as soon as nothing is left in the queue.")
    ] = False,
    name: Annotated[str, typer.Option(help="Name on the board; by default this machine's.")] = "",
    server: Annotated[str, typer.Option(help="Address; by default FIVE_DOLLAR_SERVER_URL.")] = "",
    directory: Annotated[
        Path | None, typer.Option(help="Folder for run folders; by default runs.")
    ] = None,
    mirror: MirrorOption = None,
    device: DeviceOption = DeviceChoice.AUTO,
) -> None:
    """Take jobs from the server and train them on this machine.

    Ctrl-C or SIGTERM writes a checkpoint and hands the job back; a second one kills the run.
    """
    from runner.settings import read_settings
    from runner.terminal.console import message_console
    from runner.terminal.log_setup import set_up_logging
    from runner.work.start import work

    messages = message_console()
    set_up_logging(messages)
    changes = {"server_url": server, "directory": directory, "mirror": mirror}
    settings = read_settings(**{key: value for key, value in changes.items() if value})
    work(settings, name, device.value, once, messages)


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on.")] = 8000,
    database: Annotated[
        str,
        typer.Option(metavar="URL", help="Database; by default SQLite in the folder data."),
    ] = "",
) -> None:
    """Run the server: leaderboard, API and queue."""
    from runner.serving import become_server

    become_server(host, port, database)


def demo(
    once: Annotated[bool, typer.Option(help="End when every run has ended.")] = False,
    directory: Annotated[
        Path | None, typer.Option(help="Folder for everything; by default runs/demo.")
    ] = None,
    keep: Annotated[bool, typer.Option(help="Go on with the folder's database.")] = False,
) -> None:
    """Start server and worker here, submit the debug examples, show the board."""
    from runner.demo import Demo
    from runner.settings import read_settings
    from runner.terminal.console import message_console, output_console

    folder = directory or read_settings().directory / "demo"
    Demo(folder, keep, output_console(), message_console()).run(once)
