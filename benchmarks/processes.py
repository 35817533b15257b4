"""A server and a worker as processes of this machine, which can be killed and started again."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import httpx

Answer = TypeVar("Answer")
HEALTHY_SECONDS = 90.0
RUNNER = ("-m", "runner")


def wait_for(condition: Callable[[], Answer | None], seconds: float = HEALTHY_SECONDS) -> Answer:
    """Ask again and again until the answer is true; return it.

    Raises:
        TimeoutError: it was not within the time.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := condition():
            return answer
        time.sleep(0.1)
    raise TimeoutError(f"not within {seconds:g} s")


class Processes:
    """What a folder needs to run the whole path; end it by `stop`."""

    def __init__(self, folder: Path, tracks: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.port: int = port
        self._folder = folder
        self._environment = os.environ | {
            "FIVE_DOLLAR_DATABASE_URL": f"sqlite:///{folder}/board.sqlite",
            "FIVE_DOLLAR_PORT": str(port),
            "FIVE_DOLLAR_TRACKS_FOLDER": str(tracks),
            "FIVE_DOLLAR_LEASE_SECONDS": "3",
            "FIVE_DOLLAR_QUEUES_RUNS": "false",
            "FIVE_DOLLAR_CANARY_HOURS": "0",
            "FIVE_DOLLAR_SERVER_URL": self.url,
            "FIVE_DOLLAR_DIRECTORY": str(folder / "runs"),
            "FIVE_DOLLAR_CACHE_DIRECTORY": str(folder / "cache"),
        }
        self._running: list[subprocess.Popen[bytes]] = []

    def set(self, **settings: str) -> None:
        """Settings of what is started from here on."""
        self._environment |= {f"FIVE_DOLLAR_{name.upper()}": v for name, v in settings.items()}

    def start_server(self) -> subprocess.Popen[bytes]:
        """Start the server and wait until it answers."""
        process = self.start("server")
        wait_for(self._is_healthy)
        return process

    def start_worker(
        self, name: str = "tester", directory: str = "runs", program: Sequence[str] = RUNNER
    ) -> subprocess.Popen[bytes]:
        """Start a worker.

        Args:
            directory: where its run folders go, below the folder of all.
            program: what Python runs in place of the command line, with the same arguments.
        """
        folder = str(self._folder / directory)
        options = ("--device", "cpu", "--name", name, "--directory", folder)
        return self._run(*program, "worker", *options)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a Python module with arguments; its output goes to `processes.log`."""
        return self._run("-m", *arguments)

    def _run(self, *arguments: str) -> subprocess.Popen[bytes]:
        with (self._folder / "processes.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._running.append(process)
        return process

    def runner(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Carry out a command of the command line."""
        return subprocess.run(
            [sys.executable, "-m", "runner", *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
        )

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kill a process, which can do nothing about it."""
        process.kill()
        process.wait()
        self._running.remove(process)

    def stop(self) -> None:
        """Kill all that runs."""
        for process in list(self._running):
            self.kill(process)

    def _is_healthy(self) -> bool:
        try:
            return httpx.get(f"{self.url}/api/v1/health").status_code == 200
        except httpx.TransportError:
            return False
