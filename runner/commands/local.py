"""Commands that train and evaluate on this machine, without a server."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class DeviceChoice(StrEnum):
    """Where to compute."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


MirrorOption = Annotated[
    Path | None,
    typer.Option(help="YAML file that maps hub data sets and tokenizers to local files."),
]
DeviceOption = Annotated[DeviceChoice, typer.Option(help="Where to compute.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def train(
    target: Annotated[
        str, typer.Argument(metavar="TRACK|FILE.yaml", help="A track, or a submission file.")
    ] = "debug",
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SETTING=VALUE", help="Change a setting; may be repeated."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed; by default the track's first.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Run folder; by default below runs/local, named after the config."),
    ] = None,
    mirror: MirrorOption = None,
    device: DeviceOption = DeviceChoice.AUTO,
    as_json: JsonOption = False,
) -> None:
    """Train and evaluate one run here.

    Ctrl-C writes a checkpoint; the same command goes on from it. The run folder gets
    result.json, metrics.jsonl, pictures of the curves and the trained weights.
    """
    from core.schema.track import listed_price
    from core.tracks import load_tracks
    from runner.authoring import parent_config
    from runner.launch import num_processes
    from runner.runs.local_run import local_environment, plan_run, train_here
    from runner.runs.run_folder import RunFolder
    from runner.settings import read_settings
    from runner.terminal.console import message_console, output_console
    from runner.terminal.display import open_display
    from runner.terminal.log_setup import set_up_logging
    from runner.terminal.report import print_pairs, result_rows

    settings, messages = read_settings(), message_console()
    run = plan_run(target, assignments or (), seed, load_tracks(), parent_config(settings))
    folder = RunFolder(output or settings.directory / "local" / run.spec.run_id)
    environment = local_environment(settings, mirror, device.value)
    set_up_logging(messages)
    processes = num_processes(run.spec, device.value)
    where = f"{folder.path} on {processes} GPUs" if processes > 1 else folder.path
    messages.print(f"Training {run.spec.track} with seed {run.spec.seed} in {where}")
    if run.closed_settings:
        closed = ", ".join(run.closed_settings)
        messages.print(f"The track would not rank this run: it fixes {closed}.")

    from core.train.run import run as train_run

    result = train_here(run, folder, environment, open_display(messages), train_run, processes)
    if as_json:
        typer.echo(result.model_dump_json(indent=2))
        return
    price = listed_price(run.spec.prices_usd_per_hour, result.provenance.device)
    cost = None if price is None else result.cost_usd(price)
    print_pairs(output_console(), [*result_rows(result, cost), ("files", str(folder.path))])


def evaluate(
    checkpoint: Annotated[
        Path, typer.Argument(help="A run folder, or a checkpoint folder inside one.")
    ],
    mirror: MirrorOption = None,
    device: DeviceOption = DeviceChoice.AUTO,
    as_json: JsonOption = False,
) -> None:
    """Score a checkpoint again: validation text and all tasks of its track."""
    from runner.errors import NotFound
    from runner.runs.local_run import local_environment
    from runner.runs.reporter import DisplayReporter
    from runner.settings import read_settings
    from runner.terminal.console import message_console, output_console
    from runner.terminal.display import open_display
    from runner.terminal.log_setup import set_up_logging
    from runner.terminal.report import evaluation_rows, print_pairs

    if not checkpoint.is_dir():
        raise NotFound(f"There is no folder {checkpoint}. Name one that `runner train` wrote.")
    messages = message_console()
    set_up_logging(messages)
    environment = local_environment(read_settings(), mirror, device.value)

    from core.train.evaluation import evaluate_checkpoint

    with open_display(messages) as display:
        evaluation = evaluate_checkpoint(
            checkpoint, environment, DisplayReporter(display, str(checkpoint))
        )
    if as_json:
        typer.echo(evaluation.model_dump_json(indent=2))
    else:
        print_pairs(output_console(), evaluation_rows(evaluation))
