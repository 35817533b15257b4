"""Training a run of the server again."""

from pathlib import Path
from typing import Annotated

import typer

from runner.commands.local import DeviceChoice, DeviceOption, JsonOption, MirrorOption


def reproduce(
    run_id: Annotated[str, typer.Argument(metavar="RUN_ID", help="Run id, r_...")],
    output: Annotated[
        Path | None,
        typer.Option(help="Run folder; by default below runs/local, named after the run."),
    ] = None,
    mirror: MirrorOption = None,
    device: DeviceOption = DeviceChoice.AUTO,
    as_json: JsonOption = False,
) -> None:
    """Train a run of the server again here, and show the differences.

    Config, seed and bounds are the run's. The data must be the same, which is looked at before
    training. On the same processor with the same packages every difference is zero; on a GPU
    the last digits differ.
    """
    from runner.authoring import open_client
    from runner.runs.local_run import local_environment
    from runner.runs.reproduction import reproduce_run, require_same_data
    from runner.runs.run_folder import RunFolder
    from runner.settings import read_settings
    from runner.terminal.console import message_console, output_console
    from runner.terminal.display import open_display
    from runner.terminal.log_setup import set_up_logging
    from runner.terminal.reproduction import print_reproduction

    settings, messages = read_settings(), message_console()
    folder = RunFolder(output or settings.directory / "local" / f"reproduce-{run_id}")
    environment = local_environment(settings, mirror, device.value)
    set_up_logging(messages)
    messages.print(f"Reproducing {run_id} in {folder.path}", markup=False)
    if folder.result() is not None:
        messages.print("It holds the result of before; delete it to train again.")

    from core.train.run import run as train_run

    with open_client(settings) as client:
        reproduction = reproduce_run(
            client, run_id, folder, environment, open_display(messages), train_run
        )
    if as_json:
        typer.echo(reproduction.model_dump_json(indent=2))
    else:
        print_reproduction(output_console(), reproduction)
    require_same_data(reproduction)
