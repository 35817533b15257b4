"""Starting a worker on this machine."""

import socket
from pathlib import Path
from tempfile import TemporaryFile

from rich.console import Console

from core.schema.job import MAX_NAME_LENGTH, PROTOCOL_VERSION, WorkerHello
from core.version import code_commit
from runner.api.client import WorkerClient
from runner.api.transport import Transport
from runner.errors import BadSettings
from runner.runs.local_run import local_environment
from runner.settings import RunnerSettings
from runner.stopping import StopRequest
from runner.terminal.display import open_display
from runner.work.device import DeviceName, find_device
from runner.work.worker import Worker, WorkerOptions

RETRY_SECONDS = 2.0
"""Short, because the worker looks after its run between two calls and tries again itself."""


def work(
    settings: RunnerSettings, name: str, device: DeviceName, once: bool, console: Console
) -> None:
    """Work through the server's queue until told to stop.

    Raises:
        BadSettings: the name is too long, or no file can be written to one of the folders.
        InvalidInput: the mirror file cannot be read.
        Denied: the server wants another access token.
        ProtocolMismatch: worker and server are of different versions.
        ServerUnreachable: the server has been away for an hour.
    """
    require_name(name)
    require_writable("directory", settings.directory)
    require_writable("cache_directory", settings.cache_directory)
    found = find_device(device)
    hello = WorkerHello(
        protocol_version=PROTOCOL_VERSION,
        name=name or socket.gethostname()[:MAX_NAME_LENGTH],
        device=found.name,
        has_cuda=found.has_cuda,
        memory_bytes=found.memory_bytes,
        code_commit=code_commit(),
    )
    options = WorkerOptions(
        directory=settings.directory.resolve(),
        environment=local_environment(settings, None, "cuda" if found.has_cuda else "cpu"),
        once=once,
        rest_seconds=settings.rest_seconds,
        hang_seconds=settings.hang_seconds,
        upload_seconds=settings.upload_seconds,
    )
    stop = StopRequest()
    stop.listen()
    transport = Transport(settings.server_url, RETRY_SECONDS, token=settings.token)
    with WorkerClient(transport) as client, open_display(console) as display:
        Worker(client, hello, options, stop, display).run()


def require_name(name: str) -> None:
    """Refuse a name that the server would not take.

    Raises:
        BadSettings: it is too long, or would not stand on one line.
    """
    if len(name) > MAX_NAME_LENGTH or not name.isprintable():
        raise BadSettings(
            f"--name is {name!r}, which is not allowed: a worker's name has at most "
            f"{MAX_NAME_LENGTH} characters, in one line."
        )


def require_writable(setting: str, folder: Path) -> None:
    """Make a folder, and try it before a job is taken that would fail in it.

    Raises:
        BadSettings: no file can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise BadSettings(
            f"{setting} (FIVE_DOLLAR_{setting.upper()}) is {str(folder)!r}, where no file can be "
            f"written: {reason}. Name another folder."
        ) from error
