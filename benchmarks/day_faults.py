"""What goes wrong on a simulated day: processes die, machines leave, the network fails."""

import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

from benchmarks.chaos import training_processes
from benchmarks.network_proxy import NetworkProxy
from benchmarks.processes import Processes

FAULTS = {
    "worker killed": 1.0,
    "worker left": 0.5,
    "training killed": 1.0,
    "server killed": 0.25,
    "network dropped": 1.0,
    "network silent": 1.0,
    "answers lost": 2.0,
    "requests halved": 2.0,
}
"""How often an hour."""
LONGEST_CUT_SECONDS = 600.0
LONGEST_ABSENCE_SECONDS = 1800.0
SOME = 3
"""Answers lost, or requests halved, in a row."""
FAKE_TRAINING = Path(__file__).with_name("fake_training.py")


class Machines:
    """A server, a proxy in front of it, and workers behind the proxy."""

    def __init__(
        self, processes: Processes, folder: Path, template: Path, num_workers: int, speed: float
    ) -> None:
        self._processes = processes
        self._folder = folder
        self._template = template
        self._speed = speed
        self._server = processes.start_server()
        self.proxy = NetworkProxy(processes.port)
        processes.set(server_url=self.proxy.url)
        self._workers: dict[int, subprocess.Popen[bytes]] = {}
        self._back_at: dict[int, float] = {}
        self._mended_at = 0.0
        self.faults: Counter[str] = Counter()
        for number in range(num_workers):
            self._start_worker(number)

    def cause(self, fault: str, chance: random.Random) -> None:
        """Let something go wrong."""
        self.faults[fault] += 1
        if fault == "server killed":
            self._processes.kill(self._server)
            self._server = self._processes.start_server()
        elif fault == "answers lost":
            self.proxy.lose_answers(SOME)
        elif fault == "requests halved":
            self.proxy.halve_requests(SOME)
        elif fault.startswith("network"):
            (self.proxy.drop if fault == "network dropped" else self.proxy.hold)()
            self._mended_at = self._later(chance.uniform(1.0, LONGEST_CUT_SECONDS))
        elif self._workers:
            self._harm_worker(fault, chance)

    def recover(self, everything: bool = False) -> None:
        """Mend the network and let workers come back, where it is time."""
        now = time.monotonic()
        if self._mended_at and (everything or now >= self._mended_at):
            self._mended_at = 0.0
            self.proxy.mend()
        for number, back_at in list(self._back_at.items()):
            if everything or now >= back_at:
                del self._back_at[number]
                self._start_worker(number)

    def _harm_worker(self, fault: str, chance: random.Random) -> None:
        number = chance.choice(list(self._workers))
        worker = self._workers[number]
        if fault == "training killed":
            for process in training_processes(worker, FAKE_TRAINING.name):
                process.kill()
        elif fault == "worker killed":
            self._processes.kill(worker)
            self._start_worker(number)
        else:
            worker.send_signal(signal.SIGTERM)
            del self._workers[number]
            self._back_at[number] = self._later(chance.uniform(60.0, LONGEST_ABSENCE_SECONDS))

    def _later(self, seconds: float) -> float:
        return time.monotonic() + seconds / self._speed

    def _start_worker(self, number: int) -> None:
        self._processes.set(directory=str(self._folder / f"worker-{number}"))
        self._workers[number] = self._processes.start(
            "benchmarks.worker_process",
            "--name",
            f"worker {number}",
            "--speed",
            str(self._speed),
            "--",
            "-S",
            str(FAKE_TRAINING),
            str(self._template),
            str(self._speed),
        )
