"""A worker with another training program: `python -m benchmarks.worker_process MODULE`.

Its settings are those of `runner worker`, in environment variables.
"""

import sys
from typing import Annotated

import typer

from core.schema.job import PROTOCOL_VERSION, WorkerHello
from runner.api.client import WorkerClient
from runner.api.transport import Transport
from runner.runs.local_run import local_environment
from runner.settings import read_settings
from runner.stopping import StopRequest
from runner.terminal.console import message_console
from runner.terminal.display import open_display
from runner.terminal.log_setup import set_up_logging
from runner.work import attempt, outage, worker
from runner.work.start import RETRY_SECONDS

ANCHOR_COMMAND = (sys.executable, "-S", "-c", "pass")
"""Measures nothing: what is tried here is not speed."""
SHORTEST_TICK_SECONDS = 0.2
"""A worker that looks more often keeps a core busy."""


def main(
    program: Annotated[list[str], typer.Argument(help="Command that trains a run folder.")],
    name: Annotated[str, typer.Option(help="Of the worker.")] = "tester",
    speed: Annotated[float, typer.Option(min=1.0, help="By which waits are divided.")] = 1.0,
) -> None:
    """Work through the queue until told to stop."""
    messages = message_console()
    set_up_logging(messages)
    hasten(speed)
    settings = read_settings()
    options = worker.WorkerOptions(
        directory=settings.directory.resolve(),
        environment=local_environment(settings, None, "cpu"),
        once=False,
        rest_seconds=settings.rest_seconds,
        hang_seconds=settings.hang_seconds,
        upload_seconds=settings.upload_seconds,
        child_command=[sys.executable, *program],
        anchor_command=ANCHOR_COMMAND,
    )
    hello = WorkerHello(
        protocol_version=PROTOCOL_VERSION,
        name=name,
        device="cpu",
        has_cuda=False,
        memory_bytes=0,
        code_commit="",
    )
    stop = StopRequest()
    stop.listen()
    transport = Transport(settings.server_url, RETRY_SECONDS / speed, token=settings.token)
    with WorkerClient(transport) as client, open_display(messages) as display:
        worker.Worker(client, hello, options, stop, display).run()


def hasten(speed: float) -> None:
    """Divide every wait of the worker."""
    attempt.TICK_SECONDS = max(SHORTEST_TICK_SECONDS, attempt.TICK_SECONDS / speed)
    attempt.PROGRESS_SECONDS = max(SHORTEST_TICK_SECONDS, attempt.PROGRESS_SECONDS / speed)
    attempt.STOP_GRACE_SECONDS = max(2.0, attempt.STOP_GRACE_SECONDS / speed)
    attempt.CANCEL_GRACE_SECONDS = max(2.0, attempt.CANCEL_GRACE_SECONDS / speed)
    outage.FIRST_DELAY_SECONDS /= speed
    outage.LONGEST_DELAY_SECONDS /= speed
    worker.IDLE_SECONDS = max(SHORTEST_TICK_SECONDS, worker.IDLE_SECONDS / speed)


if __name__ == "__main__":
    typer.run(main)
