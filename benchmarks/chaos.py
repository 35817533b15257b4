"""Kill server, worker and training process at random moments: `python -m benchmarks.chaos`.

While an author keeps a few jobs of a tiny track in the queue, one process after another is ended
by SIGKILL and started again. At the end every submission that was acknowledged must be there once,
every job must have ended, every succeeded run must have each of its steps once, the ledger must
agree with the database, and runs that were interrupted must equal uninterrupted ones to the last
bit.
"""

import json
import random
import subprocess
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import httpx
import psutil
import typer

from benchmarks.processes import Processes, wait_for
from benchmarks.tiny_track import NUM_STEPS, write_tiny_track

VICTIMS = ("server", "worker", "child")
OPEN_JOBS = 3
"""That the author keeps in the queue."""
LONGEST_PAUSE_SECONDS = 4.0
DRAIN_SECONDS = 1200.0
"""How long the last jobs may take; on a machine that others use as well, minutes each."""
CHILD_SECONDS = 120.0
"""How long a training process is waited for."""
PAGE = 100
SUBMISSION = "track: debug\nname: Job {number}\nauthor: ada\nhypothesis: Nothing is lost.\n"


@dataclass
class Author:
    """Submits until each submission is acknowledged, whatever happens to the server meanwhile."""

    url: str
    accepted: dict[str, str] = field(default_factory=dict)
    """Run by submission."""
    attempts: int = 0
    """Requests that were sent."""

    def submit(self) -> None:
        """Submit one more job; sent again with the same key until it is accepted."""
        headers = {"Idempotency-Key": uuid.uuid4().hex, "Content-Type": "application/yaml"}
        text = SUBMISSION.format(number=len(self.accepted) + 1)

        def accept() -> bool:
            self.attempts += 1
            try:
                answer = httpx.post(f"{self.url}/api/v1/submissions", content=text, headers=headers)
            except httpx.TransportError:
                return False
            answer.raise_for_status()
            receipt = answer.json()
            self.accepted[receipt["submission_id"]] = receipt["run_id"]
            return True

        wait_for(accept)

    def keep_open(self, count: int) -> None:
        """Submit until so many jobs are open."""
        while sum(not is_final(self.status(run)) for run in self.accepted.values()) < count:
            self.submit()

    def status(self, run_id: str) -> dict[str, Any]:
        """Where a run stands."""
        status: dict[str, Any] = read(self.url, f"/runs/{run_id}")
        return status


class Killer:
    """Ends one process after another and starts it again."""

    def __init__(self, processes: Processes, generator: random.Random) -> None:
        self._processes = processes
        self._random = generator
        self._server = processes.start_server()
        self._worker = processes.start_worker()

    def kill(self, victim: str) -> None:
        """Kill a process after a random while, and start it again after another."""
        time.sleep(self._random.uniform(0.0, LONGEST_PAUSE_SECONDS))
        if victim == "child":
            child = wait_for(self._child, CHILD_SECONDS)
            time.sleep(self._random.uniform(0.0, LONGEST_PAUSE_SECONDS))
            if child.is_running():
                child.kill()
            return
        if victim == "server":
            self._processes.kill(self._server)
            time.sleep(self._random.uniform(0.0, 1.0))
            self._server = self._processes.start_server()
        else:
            self._processes.kill(self._worker)
            self._worker = self._processes.start_worker()

    def _child(self) -> psutil.Process | None:
        """The process that trains, if there is one."""
        return next(training_processes(self._worker), None)


def training_processes(
    worker: subprocess.Popen[bytes], program: str = "runner.execute"
) -> Iterator[psutil.Process]:
    """Processes of a worker that carry out a run by a program."""
    try:
        for process in psutil.Process(worker.pid).children(recursive=True):
            if any(part.endswith(program) for part in process.cmdline()):
                yield process
    except psutil.NoSuchProcess:
        return


def read(url: str, path: str) -> Any:
    """An answer of the API, asked for until the server is there."""

    def answer() -> httpx.Response | None:
        try:
            return httpx.get(f"{url}/api/v1{path}", timeout=30.0).raise_for_status()
        except httpx.TransportError:
            return None

    return wait_for(answer).json()


def is_final(status: dict[str, Any]) -> bool:
    """Whether a run has ended."""
    return status["state"] in ("succeeded", "failed", "cancelled")


def submissions(url: str) -> list[str]:
    """Ids of all submissions that the server has."""
    found: list[str] = []
    while page := read(url, f"/submissions?limit={PAGE}&offset={len(found)}")["submissions"]:
        found += [row["submission_id"] for row in page]
    return found


def faults(author: Author, statuses: dict[str, dict[str, Any]]) -> list[str]:
    """What does not hold, a sentence each."""
    found = Counter(submissions(author.url))
    problems = [f"{s} is there {found[s]} times" for s in author.accepted if found[s] != 1]
    problems += [f"{s} was never acknowledged" for s in found if s not in author.accepted]
    for run, status in statuses.items():
        points = read(author.url, f"/runs/{run}/metrics")["points"]
        steps = [point["step"] for point in points]
        if status["state"] == "succeeded" and steps != list(range(1, NUM_STEPS + 1)):
            problems.append(f"{run} succeeded and has {len(steps)} points")
        if (
            status["state"] == "succeeded"
            and points[-1]["val_loss"] != status["result"]["val_loss"]
        ):
            problems.append(f"{run} has another loss in its curve than in its result")
        if status["state"] == "failed" and status["failure"] not in (
            "worker_lost",
            "internal_error",
        ):
            problems.append(f"{run} failed by {status['failure']}: {status['failure_message']}")
        if len(set(steps)) != len(steps):
            problems.append(f"{run} has a step twice")
    return problems + list(read(author.url, "/ledger/check")["faults"])


def unequal(processes: Processes, runs: list[str]) -> list[str]:
    """Runs that differ from an uninterrupted run of the same seed."""
    different: list[str] = []
    for run in runs:
        repeated = processes.runner("reproduce", run, "--device", "cpu", "--json")
        figures = json.loads(repeated.stdout)["figures"] if repeated.stdout else []
        losses = [figure["deltas"][1] for figure in figures if figure["label"] == "Validation loss"]
        if losses != [0]:
            different.append(
                f"{run} differs from an uninterrupted run: {losses or repeated.stderr}"
            )
    return different


def main(
    kills: Annotated[int, typer.Option(min=1, help="Of each kind of process.")] = 50,
    repeats: Annotated[int, typer.Option(min=0, help="Interrupted runs to repeat.")] = 10,
    seed: Annotated[int, typer.Option(help="Of the moments.")] = 0,
) -> None:
    """Kill processes at random moments, and see whether anything was lost."""
    generator = random.Random(seed)
    # One of each in every three, so that no run of luck leaves a job without a chance.
    victims = [victim for _ in range(kills) for victim in generator.sample(VICTIMS, len(VICTIMS))]
    with TemporaryDirectory(prefix="chaos") as folder:
        write_tiny_track(Path(folder) / "tracks")
        processes = Processes(Path(folder), Path(folder) / "tracks")
        processes.set(rest_seconds="0")
        try:
            killer = Killer(processes, generator)
            author = Author(processes.url)
            for number, victim in enumerate(victims, start=1):
                author.keep_open(OPEN_JOBS)
                typer.echo(f"{number} of {len(victims)}: {victim}", err=True)
                killer.kill(victim)
            runs = list(author.accepted.values())
            wait_for(lambda: all(is_final(author.status(run)) for run in runs), DRAIN_SECONDS)
            statuses = {run: author.status(run) for run in runs}
            problems = faults(author, statuses)
            again = [
                r for r, s in statuses.items() if s["state"] == "succeeded" and s["attempt"] > 1
            ]
            problems += unequal(processes, again[:repeats])
        finally:
            processes.stop()
    report(kills, author, statuses, len(again[:repeats]), problems)
    raise typer.Exit(1 if problems else 0)


def report(
    kills: int,
    author: Author,
    statuses: dict[str, dict[str, Any]],
    num_repeated: int,
    problems: list[str],
) -> None:
    """Print a table in Markdown, and what does not hold."""
    states = Counter(status["failure"] or status["state"] for status in statuses.values())
    attempts = Counter(status["attempt"] for status in statuses.values())
    rows = {
        "killed": f"{kills} times each: {', '.join(VICTIMS)}",
        "submissions acknowledged": f"{len(author.accepted)} ({author.attempts} requests)",
        "runs": ", ".join(f"{count} {state}" for state, count in states.most_common()),
        "attempts": ", ".join(f"{count} runs took {n}" for n, count in sorted(attempts.items())),
        "interrupted runs repeated without interruption": str(num_repeated),
        "faults": str(len(problems)),
    }
    for what, value in {"what": "value", "---": "---", **rows}.items():
        typer.echo(f"| {what} | {value} |")
    for problem in problems:
        typer.echo(f"- {problem}")


if __name__ == "__main__":
    typer.run(main)
