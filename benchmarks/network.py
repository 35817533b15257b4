"""Cut the network between worker and server for a while: `python -m benchmarks.network`.

Each cut has a server, a proxy and a worker of its own, which trains one run of a tiny track at two
steps a second. The cut comes after the first checkpoint. At the end the run must have
succeeded with each of its steps once, and the ledger must agree with the database.
"""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, NamedTuple

import typer

from benchmarks.chaos import Author, is_final, read
from benchmarks.network_proxy import NetworkProxy
from benchmarks.processes import Processes, wait_for
from benchmarks.slow_training import STEP_SECONDS
from benchmarks.tiny_track import write_tiny_track

LEASE_SECONDS = 90.0
SECONDS_BEFORE = 75.0
"""Of training until the cut; a checkpoint is written after 60 s."""
SECONDS_AFTER = 90.0
"""A run has fewer than a thousand steps then, so that each of them has its point."""
START_SECONDS = 300.0


class Cut(StrEnum):
    """What the network does while it is cut."""

    DROPPED = "dropped"
    SILENT = "silent"


class Scenario(NamedTuple):
    """One cut."""

    cut: Cut
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """What became of the run."""

    scenario: Scenario
    back_seconds: float
    """From the end of the cut until the server hears of a further step."""
    attempts: int
    trained_again: int
    """Steps that were trained more than once."""
    num_steps: int
    problems: tuple[str, ...]

    @property
    def row(self) -> str:
        """A row of the table."""
        cut, seconds = self.scenario
        return (
            f"| {cut} for {seconds:g} s | {self.back_seconds:.1f} s | {self.attempts} "
            f"| {self.num_steps} | {self.trained_again} | {len(self.problems)} |"
        )


def try_cut(scenario: Scenario, folder: Path) -> Outcome:
    """Let a run meet one cut."""
    lasts = SECONDS_BEFORE + scenario.seconds + SECONDS_AFTER
    num_steps = round(lasts / STEP_SECONDS / 10) * 10
    write_tiny_track(folder / "tracks", num_steps)
    processes = Processes(folder, folder / "tracks")
    processes.set(lease_seconds=str(LEASE_SECONDS), cache_directory=str(folder.parent / "cache"))
    processes.start_server()
    proxy = NetworkProxy(processes.port)
    try:
        author = Author(processes.url)
        author.submit()
        (run,) = author.accepted.values()
        processes.set(server_url=proxy.url)
        processes.start("benchmarks.worker_process", "--", "-m", "benchmarks.slow_training")
        wait_for(lambda: newest_step(author.url, run), START_SECONDS)
        time.sleep(SECONDS_BEFORE)
        (proxy.drop if scenario.cut is Cut.DROPPED else proxy.hold)()
        time.sleep(scenario.seconds)
        before, mended = newest_step(author.url, run), time.monotonic()
        proxy.mend()
        wait_for(lambda: newest_step(author.url, run) > before, START_SECONDS)
        back_seconds = time.monotonic() - mended
        wait_for(lambda: is_final(author.status(run)), 2 * lasts)
        return examine(scenario, author, folder, back_seconds, num_steps)
    finally:
        processes.stop()
        proxy.close()


def examine(
    scenario: Scenario, author: Author, folder: Path, back_seconds: float, num_steps: int
) -> Outcome:
    """Look for what was lost or doubled."""
    (run,) = author.accepted.values()
    status = author.status(run)
    points = read(author.url, f"/runs/{run}/metrics")["points"]
    problems = list(read(author.url, "/ledger/check")["faults"])
    if status["state"] != "succeeded":
        problems.append(f"{run} {status['state']}: {status['failure_message']}")
    elif [point["step"] for point in points] != list(range(1, num_steps + 1)):
        problems.append(f"{run} has {len(points)} of {num_steps} points")
    elif points[-1]["val_loss"] != status["result"]["val_loss"]:
        problems.append(f"{run} has another loss in its curve than in its result")
    lines = (folder / "runs" / "runs" / run / "metrics.jsonl").read_text().splitlines()
    return Outcome(
        scenario,
        back_seconds,
        attempts=status["attempt"],
        trained_again=len(lines) - num_steps,
        num_steps=len(points),
        problems=tuple(problems),
    )


def newest_step(url: str, run: str) -> int:
    """The last step that the server has of a run; 0 for none.

    Raises:
        RuntimeError: the run has failed.
    """
    status = read(url, f"/runs/{run}")
    if status["state"] == "failed":
        raise RuntimeError(f"{run} failed: {status['failure_message']}")
    return status["latest"]["step"] if status["latest"] else 0


def try_all(scenarios: Sequence[Scenario], folder: Path) -> list[Outcome]:
    """Try all cuts at the same time, since nearly all of it is waiting."""
    folders = [folder / f"{number}" for number in range(len(scenarios))]
    for each in folders:
        each.mkdir()
    with ThreadPoolExecutor(len(scenarios)) as threads:
        return list(threads.map(try_cut, scenarios, folders))


def main(
    seconds: Annotated[list[float], typer.Option(min=0.0, max=300.0, help="Lengths of cuts.")] = [  # noqa: B006
        1.0,
        60.0,
        300.0,
    ],
) -> None:
    """Cut the network, and see whether anything was lost."""
    # Several runs train at the same time.
    os.environ["OMP_NUM_THREADS"] = "1"
    scenarios = [Scenario(cut, length) for length in seconds for cut in Cut]
    with TemporaryDirectory(prefix="network") as folder:
        outcomes = try_all(scenarios, Path(folder))
    typer.echo("| network | back after | attempts | steps stored | trained again | faults |")
    typer.echo("|---|---|---|---|---|---|")
    for outcome in outcomes:
        typer.echo(outcome.row)
        for problem in outcome.problems:
            typer.echo(f"- {problem}", err=True)
    raise typer.Exit(1 if any(outcome.problems for outcome in outcomes) else 0)


if __name__ == "__main__":
    typer.run(main)
