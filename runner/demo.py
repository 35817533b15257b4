"""The whole project on one machine: server, worker, debug submissions, verdicts, the board."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from core.schema.job import JobState, RunStatus
from core.tracks import BASELINES
from runner.api.answers import Board, Queue
from runner.api.client import AuthorClient
from runner.api.transport import Transport
from runner.authoring import RETRY_SECONDS, parent_config, submit_file
from runner.errors import FolderInUse, NotFound, RunFailed, ServerUnreachable
from runner.runs.run_folder import RunFolder, tail_lines
from runner.serving import server_command, server_environment, sqlite_address
from runner.settings import RunnerSettings, read_settings
from runner.terminal.board import print_board
from runner.terminal.display import Display, RunView, open_display

HOST = "127.0.0.1"
PREFERRED_PORT = 8000
TRACK = "debug"
START_SECONDS = 60.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.5
SHOWN_LOG_LINES = 15
BASELINE = "debug_baseline.yaml"
AWAITED = ("baseline", "verdict")
"""Purposes of the runs that the server adds and the demonstration waits for."""


@dataclass(frozen=True)
class Service:
    """A process that the demonstration started."""

    name: str
    """What it is."""
    process: "subprocess.Popen[bytes]"
    """The process."""
    log: Path
    """Where its output goes."""

    def need_alive(self) -> None:
        """Raise `ServerUnreachable` with the log's end if the process has ended."""
        if self.process.poll() is not None:
            lines = "\n".join(tail_lines(self.log, 4000)[-SHOWN_LOG_LINES:])
            raise ServerUnreachable(
                f"The {self.name} ended with status {self.process.returncode}. "
                f"The end of {self.log}:\n{lines}"
            )


class Demo:
    """Starts everything, shows everything, and leaves no process behind."""

    def __init__(self, folder: Path, keep: bool, output: Console, messages: Console) -> None:
        self._folder = folder.resolve()
        self._keep = keep
        self._output = output
        self._messages = messages

    def run(self, once: bool) -> None:
        """Submit the debug examples, wait until they are judged, print the board.

        Args:
            once: end then; otherwise keep serving until Ctrl-C.

        Raises:
            RunFailed: a run has no result, or the board does not rank it.
            FolderInUse: another demonstration runs in the folder.
            ServerUnreachable: server or worker ended.
        """
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with ExitStack() as stack:
            stack.enter_context(RunFolder(self._folder).lock())
            self._prepare_folder()
            settings, services = self._start(stack)
            # The server is expected to be away at first, so nothing is said of it.
            client = AuthorClient(Transport(settings.server_url, RETRY_SECONDS))
            stack.enter_context(client)
            _wait_until_healthy(client, services[0])
            self._messages.print(f"The server is at {settings.server_url}")
            runs = self._submit(client, settings)
            ended = self._watch(client, runs, services)
            board = client.board(TRACK, "").read(Board)
            print_board(self._output, board)
            problems = [*self._failures(ended), *unranked(board, runs.values())]
            self._output.print(f"Board: {settings.server_url}/tracks/{TRACK}")
            if problems and once:
                raise RunFailed("\n".join(problems))
            for problem in problems:
                self._messages.print(problem, markup=False)
            if not once:
                self._keep_serving(services)

    def _prepare_folder(self) -> None:
        if not self._keep:
            for stale in self._folder.glob("board.sqlite*"):
                stale.unlink()
            shutil.rmtree(self._folder / "runs", ignore_errors=True)

    def _start(self, stack: ExitStack) -> tuple[RunnerSettings, tuple[Service, ...]]:
        port = free_port()
        url = f"http://{HOST}:{port}"
        database = sqlite_address(self._folder / "board.sqlite")
        environment = server_environment(HOST, port, database)
        own = {"FIVE_DOLLAR_PUBLIC_URL": "", "FIVE_DOLLAR_ACCESS": "open"}
        server = stack.enter_context(
            self._service("server", server_command(), {**environment, **own})
        )
        command = [sys.executable, "-m", "runner", "worker", "--name", "demo", "--device", "cpu"]
        worker = stack.enter_context(
            self._service(
                "worker",
                [*command, "--server", url, "--directory", str(self._folder)],
                dict(os.environ),
            )
        )
        return read_settings(server_url=url, directory=self._folder), (server, worker)

    @contextmanager
    def _service(
        self, name: str, command: Sequence[str], environment: Mapping[str, str]
    ) -> Iterator[Service]:
        """A process in a session of its own, so that Ctrl-C reaches it only through us."""
        log = self._folder / f"{name}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                start_new_session=True,
            )
        try:
            yield Service(name, process, log)
        finally:
            _end(process)

    def _submit(self, client: AuthorClient, settings: RunnerSettings) -> dict[str, str]:
        """Submit every debug example; run ids and what they are called."""
        runs = {}
        for file in example_files():
            receipt, proposal = submit_file(file, client, parent_config(settings))
            runs[receipt.run_id] = proposal.submission.name
            self._messages.print(f"Submitted {file.name}: {receipt.url}", markup=False)
        return runs

    def _watch(
        self, client: AuthorClient, runs: Mapping[str, str], services: Sequence[Service]
    ) -> list[RunStatus]:
        """Show all runs, those that the server adds for its verdicts too, until each has ended."""
        with open_display(self._messages) as display:
            ended: dict[str, RunStatus] = {}
            waiting = list(runs)
            while waiting:
                for run_id in waiting:
                    status = client.run(run_id).read(RunStatus)
                    _show(display, status)
                    if status.state.is_final:
                        ended[run_id] = status
                for service in services:
                    service.need_alive()
                time.sleep(POLL_SECONDS)
                queue = client.queue().read(Queue)
                waiting = [run_id for run_id in waiting if run_id not in ended]
                waiting += [
                    entry.run_id
                    for entry in (*queue.running, *queue.queued)
                    if entry.purpose in AWAITED and entry.run_id not in (*waiting, *ended)
                ]
        return list(ended.values())

    def _failures(self, ended: Sequence[RunStatus]) -> Iterator[str]:
        """Which runs have no result, why, and the last lines of their logs."""
        for run in ended:
            if run.state is not JobState.SUCCEEDED:
                folder = RunFolder(self._folder / "runs" / run.run_id)
                lines = "\n".join(f"    {line}" for line in folder.log_tail(SHOWN_LOG_LINES))
                yield (
                    f"{run.name} ({run.run_id}) {run.state}: {run.failure}: "
                    f"{run.failure_message}\n{lines}"
                )

    def _keep_serving(self, services: Sequence[Service]) -> None:
        self._messages.print("Serving until Ctrl-C.")
        try:
            while True:
                for service in services:
                    service.need_alive()
                time.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            self._messages.print("Stopping.")


def example_files() -> list[Path]:
    """The debug submissions that come with the project, the baseline first."""
    folder = BASELINES.parent / "submissions"
    files = sorted(folder.glob("debug_*.yaml"), key=lambda file: (file.name != BASELINE, file))
    if not files:
        raise NotFound(f"There are no debug_*.yaml files in {folder}.")
    return files


def free_port(preferred: int = PREFERRED_PORT) -> int:
    """The preferred port if nothing listens there, or else one that the system picks."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise FolderInUse(f"No port of {HOST} is free.")


def _wait_until_healthy(client: AuthorClient, server: Service) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        server.need_alive()
        try:
            client.queue()
        except ServerUnreachable:
            if time.monotonic() > deadline:
                raise
        else:
            return


def _show(display: Display, run: RunStatus) -> None:
    if not run.state.is_final:
        view = RunView(run.run_id, run.name, run.phase, run.completed, run.total, run.latest)
        display.update(view)
    elif run.result is None:
        display.finish(run.run_id, f"{run.name}: {run.state}")
    else:
        loss = run.result.val_loss
        display.finish(run.run_id, f"{run.name}: {run.state}, validation loss {loss:.4f}")


def unranked(board: Board, names: Iterable[str]) -> Iterator[str]:
    """One message for each submission that the board should show and does not."""
    rows = ((board.baseline,) if board.baseline else ()) + board.rows
    shown = {row.name for row in rows}
    for name in names:
        if name not in shown:
            yield f"The board does not rank {name}: it has no result under the board's key."


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ask a process to end; after half a minute, end it and all that it started."""
    # A second Ctrl-C must not leave it behind.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
