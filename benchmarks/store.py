"""How much the store and the API take: `python -m benchmarks.store`.

Prints a table in Markdown of commits, metric points, claims and whole jobs a second, on SQLite and,
where it is installed, on PostgreSQL, and ends with status 1 if a job went twice or anything is
missing.
Clients, server and database share the machine. docs/store.md says what was measured.
"""

import itertools
import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Annotated, NamedTuple

import typer
from sqlalchemy import update
from sqlmodel import Session, col, func, select

from benchmarks.postgresql import find_programs, running_cluster
from benchmarks.store_board import Board
from benchmarks.store_clients import (
    POINTS_PER_BATCH,
    WARM_UP_JOBS,
    MetricTask,
    QueueTask,
    Work,
    cycle_in_store,
    cycle_in_threads,
    cycle_over_http,
    rate,
    read_board,
    run_together,
    send_metrics,
)
from server.board.tables import BoardEntry
from server.database import write_session
from server.ledger.check import check_ledger
from server.settlement.settling import any_unsettled
from server.tables import Job, Metric, Run, Worker, utc_now

COMMITS = 500

NewDatabase = Callable[[], str]
"""Makes an empty database; its address."""


class Figure(NamedTuple):
    """A row of the table."""

    name: str
    per_second: float
    is_whole: bool
    """Whether everything is there, and once."""


def main(
    clients: Annotated[int, typer.Option(min=1, max=32, help="Client processes.")] = 8,
    batches: Annotated[int, typer.Option(min=1, max=200, help="Of 1,000 points, each.")] = 20,
    jobs: Annotated[int, typer.Option(min=1, max=5_000, help="Jobs to claim and finish.")] = 400,
    queue: Annotated[int, typer.Option(min=1, max=20_000, help="Jobs to claim alone.")] = 10_000,
    claimers: Annotated[int, typer.Option(min=1, max=64, help="Workers that claim.")] = 32,
) -> None:
    """Measure both stores."""
    logging.disable(logging.INFO)
    typer.echo("| store | what | a second | all there, once |\n|---|---|---|---|")
    whole = True
    for store, new_database in _stores():
        for measure in (
            partial(measure_commits, num_commits=COMMITS),
            partial(measure_metrics, num_clients=clients, num_batches=batches),
            partial(measure_claims, num_workers=claimers, num_jobs=queue),
            partial(measure_cycles_in_store, num_clients=clients, num_jobs=jobs),
            partial(measure_cycles_over_http, num_clients=clients, num_jobs=jobs),
        ):
            for figure in measure(Board(new_database())):
                whole = whole and figure.is_whole
                answer = "yes" if figure.is_whole else "NO"
                typer.echo(f"| {store} | {figure.name} | {figure.per_second:,.0f} | {answer} |")
    raise typer.Exit(0 if whole else 1)


def measure_commits(board: Board, num_commits: int) -> Iterator[Figure]:
    """Transactions of one row, one after the other: what the disk allows a single writer."""
    (worker_id,) = board.workers(1)
    moments = [utc_now() for _ in range(num_commits)]
    began = time.perf_counter()
    for moment in moments:
        with write_session(board.engine) as session:
            session.exec(update(Worker).values(last_seen_at=moment))
    seconds = time.perf_counter() - began
    with Session(board.engine) as session:
        is_whole = session.get_one(Worker, worker_id).last_seen_at == moments[-1]
    board.close()
    yield Figure("commits of one row, one after the other", num_commits / seconds, is_whole)


def measure_metrics(board: Board, num_clients: int, num_batches: int) -> Iterator[Figure]:
    """Metric points over HTTP."""
    board.queue(num_clients)
    workers = board.workers(num_clients)
    with board.served() as port:
        leases = [board.lease(worker) for worker in workers]
        tasks = [MetricTask(port, *lease, num_batches) for lease in leases]
        works = run_together(send_metrics, tasks)
    sent = num_clients * num_batches * POINTS_PER_BATCH
    with Session(board.engine) as session:
        stored = session.exec(select(func.count()).select_from(Metric)).one()
    board.close()
    yield Figure(f"metric points, {num_clients} clients", rate(works, sent), stored == sent)


def measure_claims(board: Board, num_workers: int, num_jobs: int) -> Iterator[Figure]:
    """Claims in the store, by threads of one process as in the server."""
    queued = num_jobs + num_workers * WARM_UP_JOBS
    board.queue(queued)
    tasks = [QueueTask(board.settings, worker, None) for worker in board.workers(num_workers)]
    works = cycle_in_threads(tasks)
    name = f"claims, {num_workers} workers, {num_jobs:,} jobs"
    yield Figure(name, rate(works, num_jobs), _each_once(board, works, queued))


def measure_cycles_in_store(board: Board, num_clients: int, num_jobs: int) -> Iterator[Figure]:
    """Jobs claimed and finished with a result, and then with all that follows from the results.

    The second figure counts the time of both. In a server what follows is drawn beside the claims
    and results; here one process draws it after the others have ended.
    """
    tasks, queued = _queue_tasks(board, num_clients, num_jobs)
    works = run_together(cycle_in_store, tasks)
    began = time.time()
    board.settle()
    # Those that were not timed are settled, too.
    settling_seconds = (time.time() - began) * num_jobs / queued
    is_whole = _all_stored(board, queued) and _each_once(board, works, queued)
    name = f"claim and result in the store, {num_clients} clients"
    cycles = rate(works, num_jobs)
    yield Figure(name, cycles, is_whole)
    settled = num_jobs / (num_jobs / cycles + settling_seconds)
    yield Figure(f"{name}, and settled", settled, is_whole)


def measure_cycles_over_http(board: Board, num_clients: int, num_jobs: int) -> Iterator[Figure]:
    """The same over HTTP, until a reader has the last of what follows."""
    tasks, queued = _queue_tasks(board, num_clients, num_jobs)
    with board.served() as port:
        works = run_together(cycle_over_http, tasks)
        settled_at = read_board(port)
    is_whole = _all_stored(board, queued) and _each_once(board, works, queued)
    name = f"claim and result over HTTP, {num_clients} clients, settled"
    works = [work._replace(ended=max(work.ended, settled_at)) for work in works]
    yield Figure(name, rate(works, num_jobs), is_whole)


def _queue_tasks(board: Board, num_clients: int, num_jobs: int) -> tuple[list[QueueTask], int]:
    """What the clients do, and how many jobs there are with those that are not timed."""
    queued = num_jobs + num_clients * WARM_UP_JOBS
    board.queue(queued)
    workers = board.workers(num_clients)
    return [QueueTask(board.settings, worker, board.result()) for worker in workers], queued


def _all_stored(board: Board, num_jobs: int) -> bool:
    """Whether each job has a result that is settled and on its board, and the ledger holds."""
    with Session(board.engine) as session:
        results = select(func.count()).select_from(Run).where(col(Run.result).is_not(None))
        # The server brings its baselines with it.
        num_results = session.exec(results.where(Run.origin == "worker")).one()
        entries = select(func.count()).select_from(BoardEntry)
        num_entries = session.exec(entries.where(BoardEntry.author == "project")).one()
        is_settled = not any_unsettled(session) and num_entries >= num_jobs
        return num_results == num_jobs and is_settled and not check_ledger(session).faults


def _each_once(board: Board, works: list[Work], num_jobs: int) -> bool:
    """Whether the processes got every job of the board, and none of them twice."""
    taken = [identity for work in works for identity in work.ids]
    with Session(board.engine) as session:
        queued = set(session.exec(select(Job.id)))
    board.close()
    return len(taken) == num_jobs and set(taken) == queued


def _stores() -> Iterator[tuple[str, NewDatabase]]:
    """Each store that is there."""
    with tempfile.TemporaryDirectory() as folder:
        names = itertools.count(1)
        yield "SQLite", lambda: f"sqlite:///{folder}/{next(names)}.sqlite"
    programs = find_programs()
    if programs is not None:
        with running_cluster(programs, durable=True) as cluster:
            yield "PostgreSQL", lambda: cluster.url(cluster.create_database())


if __name__ == "__main__":
    typer.run(main)
