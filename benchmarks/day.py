"""A day of operation, many times faster: `python -m benchmarks.day`.

Authors write to a server, workers come, go and die, the server is killed and started again, and the
network between all of them fails. Server and workers are the real programs with waits divided by
the speed; what trains is made up. At the end the books must balance.
"""

import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from sqlalchemy import Engine
from sqlmodel import col, func, select

from benchmarks.books import counts, imbalances
from benchmarks.day_authors import Authors
from benchmarks.day_faults import FAULTS, Machines
from benchmarks.fake_training import NUM_STEPS
from benchmarks.processes import Processes, wait_for
from benchmarks.tiny_track import write_tiny_track
from core.schema.job import JobState
from core.schema.result import DataIdentity, Provenance, RunResult, Timing
from server.database import create_engine, read_session
from server.tables import Job

SHORTEST_LEASE_SECONDS = 3.0
"""With less, leases end on a busy machine though nothing is wrong."""
LEASE_SECONDS = 90.0
DRAIN_SECONDS = 900.0
TICK_SECONDS = 0.1
FAULT_OF_SERVER = "Exception in ASGI application"


def main(
    hours: Annotated[float, typer.Option(min=0.1, max=1000.0, help="Of simulated time.")] = 24.0,
    speed: Annotated[
        float, typer.Option(min=1.0, max=200.0, help="How many times faster.")
    ] = 100.0,
    workers: Annotated[int, typer.Option(min=1, max=50)] = 3,
    seed: Annotated[int, typer.Option(help="Of all chances but the training's.")] = 0,
) -> None:
    """Live a day, and see whether anything was lost."""
    with TemporaryDirectory(prefix="day") as name:
        folder = Path(name)
        processes = set_up(folder, speed)
        began = time.monotonic()
        try:
            machines = Machines(processes, folder, folder / "result.json", workers, speed)
            authors = Authors(machines.proxy.url, speed, seed)
            engine = create_engine(f"sqlite:///{folder}/board.sqlite")
            live(machines, authors, hours, speed, random.Random(seed))
            problems = list(authors.problems)
            problems += drain(engine)
        finally:
            processes.stop()
        machines.proxy.close()
        problems += imbalances(engine, authors.accepted, NUM_STEPS)
        log = (folder / "processes.log").read_text(errors="replace")
        problems += [line for line in log.splitlines() if FAULT_OF_SERVER in line]
        rows = {
            "simulated": f"{hours:g} h at {speed:g} times the speed, {workers} workers",
            "took": f"{(time.monotonic() - began) / 60:.1f} min",
            "faults caused": listed(machines.faults),
            "what authors did": f"{listed(authors.acts)} ({authors.num_requests:,} requests)",
            "submissions acknowledged": f"{len(authors.accepted):,}",
            **counts(engine),
            "faults found": f"{len(problems)}",
        }
        engine.dispose()
    report(rows, problems)
    raise typer.Exit(1 if problems else 0)


def set_up(folder: Path, speed: float) -> Processes:
    """A folder with a track and a made-up result, and the settings of what will run."""
    write_tiny_track(folder / "tracks", NUM_STEPS)
    (folder / "result.json").write_text(made_up_result().model_dump_json())
    processes = Processes(folder, folder / "tracks")
    processes.set(
        lease_seconds=str(max(SHORTEST_LEASE_SECONDS, LEASE_SECONDS / speed)),
        queues_runs="true",
        canary_hours=str(24.0 / speed),
        rest_seconds=str(15.0 / speed),
    )
    return processes


def live(
    machines: Machines, authors: Authors, hours: float, speed: float, chance: random.Random
) -> None:
    """Let authors write and things go wrong for the whole time, then mend everything."""
    rate = sum(FAULTS.values()) / 3600.0 * speed
    end = time.monotonic() + hours * 3600.0 / speed
    next_at = time.monotonic() + chance.expovariate(rate)
    authors.start()
    try:
        while (now := time.monotonic()) < end:
            machines.recover()
            if now >= next_at:
                (fault,) = chance.choices(list(FAULTS), list(FAULTS.values()))
                machines.cause(fault, chance)
                next_at += chance.expovariate(rate)
            time.sleep(TICK_SECONDS)
    finally:
        machines.recover(everything=True)
        authors.stop()


def drain(engine: Engine) -> list[str]:
    """Wait until the queue is empty; what is left of it, in a sentence."""
    is_open = col(Job.state).in_((JobState.QUEUED, JobState.RUNNING))

    def num_open() -> int:
        with read_session(engine) as session:
            return session.exec(select(func.count()).select_from(Job).where(is_open)).one()

    try:
        wait_for(lambda: num_open() == 0, DRAIN_SECONDS)
    except TimeoutError:
        return [f"{num_open()} jobs were still open after {DRAIN_SECONDS:g} s"]
    return []


def made_up_result() -> RunResult:
    """What each run is said to measure, but for its seed and its loss."""
    zeros = "0" * 64
    data = DataIdentity(
        tokenizer_hash=zeros,
        train_hash=zeros,
        train_tokens=100_000,
        validation_hash=zeros,
        validation_tokens=1280,
        validation_bytes=5000,
        evaluation_hash=zeros,
    )
    provenance = Provenance(
        code_commit="",
        packages={},
        python="3.11",
        platform="made up",
        device="cpu",
        driver="",
        compiled=False,
        data=data,
    )
    return RunResult(
        seed=0,
        steps=NUM_STEPS,
        tokens=NUM_STEPS * 128,
        stopped_early=False,
        val_loss=2.0,
        val_accuracy=0.4,
        val_bpb=0.7,
        tasks=(),
        timing=Timing(data_seconds=1, compile_seconds=1, train_seconds=240, eval_seconds=1),
        tokens_per_second=106.7,
        peak_memory_bytes=2**30,
        num_parameters=100_000,
        provenance=provenance,
    )


def listed(counted: Mapping[str, int]) -> str:
    """Numbers of kinds, in alphabetical order."""
    return ", ".join(f"{count} {kind}" for kind, count in sorted(counted.items()))


def report(rows: Mapping[str, str], problems: Sequence[str]) -> None:
    """Print a table in Markdown, and what does not hold."""
    for what, value in {"what": "value", "---": "---", **rows}.items():
        typer.echo(f"| {what} | {value} |")
    for problem in problems[:50]:
        typer.echo(f"- {problem}")


if __name__ == "__main__":
    typer.run(main)
