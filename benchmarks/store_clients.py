"""What the client processes of the store's benchmark do, and how they start together."""

import json
import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from http.client import HTTPConnection
from threading import Barrier
from typing import NamedTuple, TypeVar

from sqlalchemy import Engine

from core.schema.job import JobOffer, ResultReport
from core.schema.result import RunResult
from core.tracks import load_tracks
from server import results
from server.canary.schedule import claim
from server.database import create_engine, write_session
from server.settings import ServerSettings

API = "/api/v1"
HOST = "127.0.0.1"
POINTS_PER_BATCH = 1000
START_SECONDS = 120.0
WARM_UP_JOBS = 3
"""Jobs that each worker takes before the time begins."""

Task = TypeVar("Task")
_barrier: list[Barrier] = []


class Work(NamedTuple):
    """What one process did, and when."""

    began: float
    ended: float
    ids: tuple[str, ...]
    """Of the jobs or batches that it got done."""


class MetricTask(NamedTuple):
    """Batches of metric points for one job."""

    port: int
    job_id: str
    lease_token: str
    num_batches: int


class QueueTask(NamedTuple):
    """Jobs to take until there are none."""

    settings: ServerSettings
    worker_id: str
    result: RunResult | None
    """What each run is said to measure; None to claim alone."""


def rate(works: Sequence[Work], count: int) -> float:
    """How many a second, from the first process's start to the last one's end."""
    return count / (max(work.ended for work in works) - min(work.began for work in works))


def run_together(do: Callable[[Task], Work], tasks: Sequence[Task]) -> list[Work]:
    """Do each task in a process of its own; all begin when the last has started."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(len(tasks))
    with ProcessPoolExecutor(
        len(tasks), mp_context=context, initializer=_meet_at, initargs=(barrier,)
    ) as processes:
        return list(processes.map(do, tasks))


def _meet_at(barrier: Barrier) -> None:
    _barrier.append(barrier)


def send_metrics(task: MetricTask) -> Work:
    """Send a job's batches, one after the other."""
    bodies = [_batch(task, number) for number in range(task.num_batches)]
    connection = HTTPConnection(HOST, task.port, timeout=60)
    _barrier[0].wait(START_SECONDS)
    began = time.time()
    for body in bodies:
        _post(connection, f"{API}/jobs/{task.job_id}/metrics", body)
    ended = time.time()
    connection.close()
    return Work(began, ended, tuple(map(str, range(task.num_batches))))


def cycle_in_store(task: QueueTask) -> Work:
    """Claim jobs, and report their results, in transactions of the server's own."""
    engine = create_engine(task.settings.database_url)
    work = _cycle(engine, _barrier[0], task)
    engine.dispose()
    return work


def cycle_in_threads(tasks: Sequence[QueueTask]) -> list[Work]:
    """The same in threads of this process, which share connections as the server's do."""
    engine = create_engine(tasks[0].settings.database_url)
    barrier = Barrier(len(tasks))
    with ThreadPoolExecutor(len(tasks)) as threads:
        works = list(threads.map(partial(_cycle, engine, barrier), tasks))
    engine.dispose()
    return works


def _cycle(engine: Engine, barrier: Barrier, task: QueueTask) -> Work:
    tracks = load_tracks(task.settings.tracks_folder)

    def take() -> JobOffer | None:
        with write_session(engine) as session:
            return claim(session, task.worker_id, tracks, task.settings)

    def finish(offer: JobOffer, result: RunResult) -> None:
        report = _report(offer, result)
        with write_session(engine) as session:
            results.store_result(session, offer.job_id, report, tracks, task.settings)

    return _take_all(take, finish, barrier, task.result)


def _take_all(
    take: Callable[[], JobOffer | None],
    finish: Callable[[JobOffer, RunResult], None],
    barrier: Barrier,
    result: RunResult | None,
) -> Work:
    """Take jobs until there are none. The first are not timed: statements are compiled by them."""
    done: list[str] = []

    def take_one() -> bool:
        offer = take()
        if offer is not None:
            done.append(offer.job_id)
            if result is not None:
                finish(offer, result)
        return offer is not None

    for _ in range(WARM_UP_JOBS):
        take_one()
    barrier.wait(START_SECONDS)
    began = time.time()
    while take_one():
        pass
    return Work(began, time.time(), tuple(done))


def cycle_over_http(task: QueueTask) -> Work:
    """Claim jobs, and report their results, through the API."""
    connection = HTTPConnection(HOST, task.settings.port, timeout=60)

    def take() -> JobOffer | None:
        content = _post(connection, f"{API}/workers/{task.worker_id}/claim", b"")
        return JobOffer.model_validate_json(content) if content else None

    def finish(offer: JobOffer, result: RunResult) -> None:
        body = _report(offer, result).model_dump_json().encode()
        _post(connection, f"{API}/jobs/{offer.job_id}/result", body)

    work = _take_all(take, finish, _barrier[0], task.result)
    connection.close()
    return work


def read_board(port: int) -> float:
    """Read a list, which waits for what follows from all results; when it came."""
    connection = HTTPConnection(HOST, port, timeout=60)
    connection.request("GET", f"{API}/queue")
    connection.getresponse().read()
    ended = time.time()
    connection.close()
    return ended


def _report(offer: JobOffer, result: RunResult) -> ResultReport:
    own = result.model_copy(update={"seed": offer.run.seed})
    return ResultReport(lease_token=offer.lease_token, result=own)


def _batch(task: MetricTask, number: int) -> bytes:
    first = number * POINTS_PER_BATCH + 1
    points = [
        {
            "step": step,
            "tokens": step * 16_384,
            "train_seconds": step * 0.4517,
            "train_loss": 4.0 + 7.0 / step**0.5,
            "learning_rate": 0.04 / step**0.25,
            "adamw_learning_rate": 0.006 / step**0.25,
            "gradient_norm": 1.0 + 1.0 / step**0.5,
            "tokens_per_second": 36_271.8 + 1.0 / step,
        }
        for step in range(first, first + POINTS_PER_BATCH)
    ]
    return json.dumps({"lease_token": task.lease_token, "points": points}).encode()


def _post(connection: HTTPConnection, path: str, body: bytes) -> bytes:
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    content = response.read()
    if response.status >= 300:
        raise RuntimeError(f"{path} answered {response.status}: {content[:200]!r}")
    return content
