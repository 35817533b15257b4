"""A worker and a server with a network between them that loses, repeats, delays and cuts."""

import logging
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from sqlalchemy import Engine
from sqlmodel import Session, col, select

from benchmarks.network_proxy import NetworkProxy
from benchmarks.processes import wait_for
from core.schema.job import PROTOCOL_VERSION, JobState, WorkerHello
from runner.api.client import WorkerClient
from runner.api.transport import Transport
from runner.stopping import StopRequest
from runner.work import attempt, outage, worker
from server.ledger.check import check_ledger
from server.settings import ServerSettings
from server.tables import Attempt, AttemptOutcome, Job, LogPiece, Metric, Run
from tests.runner import examples
from tests.runner.work import programs
from tests.server.factories import keys, submission_yaml

NUM_STEPS = 60
TRAIN = f"""
import glob
done = max([int(path[-9:]) for path in glob.glob(folder + "/checkpoint-*")] or [0])
with open(folder + "/began", "a") as file:
    print(done, file=file)
for step in range(done + 1, {NUM_STEPS} + 1):
    metric(step)
    print("step", step, flush=True)
    if step % 5 == 0:
        mark(f"checkpoint-{{step:09d}}")
    time.sleep(0.03)
result = json.load(open(os.environ["RESULT"]))
result["seed"] = json.load(open(folder + "/spec.json"))["seed"]
write("result.json", json.dumps(result))
"""
STEPS = list(range(1, NUM_STEPS + 1))


@pytest.fixture
def settings(settings: ServerSettings) -> ServerSettings:
    return settings.model_copy(update={"lease_seconds": 15.0})


class Setting:
    """A server on a port, a proxy in front of it, and a worker behind the proxy."""

    def __init__(self, app: FastAPI, folder: Path, proxy: NetworkProxy, port: int) -> None:
        self.engine: Engine = app.state.engine
        self.proxy = proxy
        self.folder = folder
        self._url = f"http://127.0.0.1:{port}"
        self.transport: httpx.BaseTransport = httpx.HTTPTransport()

    def submit(self) -> str:
        """Queue a run of the baseline past the proxy; its id."""
        headers = {"Idempotency-Key": f"key-{next(keys):08}", "Content-Type": "application/yaml"}
        url = f"{self._url}/api/v1/submissions"
        answer = httpx.post(url, content=submission_yaml("Baseline"), headers=headers)
        run_id: str = answer.raise_for_status().json()["run_id"]
        return run_id

    @contextmanager
    def working(self) -> Iterator[None]:
        """Let a worker take jobs."""
        options = worker.WorkerOptions(
            directory=self.folder,
            environment=examples.environment(self.folder),
            once=False,
            rest_seconds=0.0,
            hang_seconds=60.0,
            upload_seconds=3600.0,
            child_command=programs.program(self.folder, TRAIN),
            anchor_command=[sys.executable, "-S", "-c", ""],
        )
        hello = WorkerHello(
            protocol_version=PROTOCOL_VERSION,
            name="w",
            device="cpu",
            has_cuda=False,
            memory_bytes=0,
            code_commit="",
        )
        stop = StopRequest()
        timeout = httpx.Timeout(0.5)
        transport = Transport(self.proxy.url, 0.2, self.transport, timeout=timeout)
        with WorkerClient(transport) as client:
            display = examples.SilentDisplay()
            one = worker.Worker(client, hello, options, stop, display)
            thread = threading.Thread(target=one.run)
            thread.start()
            try:
                yield
            finally:
                stop.ask()
                thread.join()

    def wait(self, holds: Callable[[Session], bool]) -> None:
        """Wait until something holds in the database."""

        def look() -> bool:
            with Session(self.engine) as session:
                return holds(session)

        wait_for(look, 60.0)

    def wait_for_step(self, step: int) -> None:
        """Wait until the server has a step."""
        self.wait(lambda session: step in steps(session))

    def wait_for_end(self) -> None:
        """Wait until every job has ended."""
        self.wait(lambda session: all(state.is_final for state in session.exec(select(Job.state))))


def steps(session: Session) -> list[int]:
    return list(session.exec(select(Metric.step).order_by(col(Metric.step))))


@pytest.fixture
def setting(
    app: FastAPI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[Setting]:
    monkeypatch.setattr(attempt, "TICK_SECONDS", 0.02)
    monkeypatch.setattr(attempt, "PROGRESS_SECONDS", 0.1)
    monkeypatch.setattr(outage, "FIRST_DELAY_SECONDS", 0.05)
    monkeypatch.setattr(outage, "LONGEST_DELAY_SECONDS", 0.1)
    monkeypatch.setattr(worker, "IDLE_SECONDS", 0.05)
    result = tmp_path / "result-to-copy.json"
    result.write_text(examples.result().model_dump_json())
    monkeypatch.setenv("RESULT", str(result))
    config = uvicorn.Config(app, port=0, log_config=None, ws="none", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_for(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    proxy = NetworkProxy(port)
    yield Setting(app, tmp_path, proxy, port)
    proxy.close()
    server.should_exit = True
    thread.join()
    # What a client sends half of, or does not wait for, is no fault of the server.
    faults = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.getMessage() for record in faults] == []


def require_whole(engine: Engine) -> list[AttemptOutcome | None]:
    """Every metric and the result are there once; how the attempts ended."""
    with Session(engine) as session:
        assert session.exec(select(Job.state)).all() == [JobState.SUCCEEDED]
        assert steps(session) == STEPS
        assert session.exec(select(Run.val_loss)).one() == examples.result().val_loss
        assert check_ledger(session).faults == ()
        attempts = session.exec(select(Attempt.outcome).order_by(col(Attempt.number)))
        return list(attempts)


@pytest.mark.parametrize("kind", ["drop", "hold"])
def test_a_cut_shorter_than_the_lease_costs_no_attempt(setting: Setting, kind: str) -> None:
    setting.submit()
    with setting.working():
        setting.wait_for_step(5)
        getattr(setting.proxy, kind)()
        time.sleep(1.0)
        setting.proxy.mend()
        setting.wait_for_end()
    assert require_whole(setting.engine) == [AttemptOutcome.RESULT]


class TestLongerThanTheLease:
    @pytest.fixture
    def settings(self, settings: ServerSettings) -> ServerSettings:
        return settings.model_copy(update={"lease_seconds": 1.5})

    @pytest.mark.parametrize("kind", ["drop", "hold"])
    def test_the_job_resumes_from_its_checkpoint(self, setting: Setting, kind: str) -> None:
        setting.submit()
        with setting.working():
            setting.wait_for_step(10)
            getattr(setting.proxy, kind)()
            setting.wait(lambda session: session.exec(select(Job.state)).one() is JobState.QUEUED)
            setting.proxy.mend()
            setting.wait_for_end()
        outcomes = require_whole(setting.engine)
        assert outcomes[0] is AttemptOutcome.LEASE_EXPIRED
        assert outcomes[-1] is AttemptOutcome.RESULT
        (began,) = setting.folder.glob("runs/*/began")
        resumed_at = [int(line) for line in began.read_text().splitlines()]
        # A child that had trained to the end meanwhile is not asked to do so again.
        assert resumed_at[0] == 0
        assert all(step >= 5 for step in resumed_at[1:])


def test_answers_that_are_lost_cost_no_attempt_and_double_nothing(setting: Setting) -> None:
    setting.submit()
    setting.proxy.lose_answers(5)
    with setting.working():
        for step in (10, 20, 30, 40):
            setting.wait_for_step(step)
            setting.proxy.lose_answers(2)
        setting.wait_for_end()
    assert require_whole(setting.engine) == [AttemptOutcome.RESULT]


def test_half_a_request_is_none(setting: Setting) -> None:
    setting.submit()
    setting.proxy.halve_requests(2)
    with setting.working():
        for step in (10, 20, 30, 40):
            setting.wait_for_step(step)
            setting.proxy.halve_requests(2)
        setting.wait_for_end()
    assert require_whole(setting.engine) == [AttemptOutcome.RESULT]


class Repeating(httpx.BaseTransport):
    """Sends every request twice, and again and again one that was sent long before."""

    def __init__(self) -> None:
        self.inner = httpx.HTTPTransport()
        self.statuses: list[int] = []
        self._sent: list[httpx.Request] = []
        self._random = random.Random(0)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        first = self._send(request)
        self._sent.append(request)
        self._send(request)
        self._send(self._random.choice(self._sent))
        return first

    def close(self) -> None:
        self.inner.close()

    def _send(self, request: httpx.Request) -> httpx.Response:
        response = self.inner.handle_request(
            httpx.Request(
                request.method, request.url, headers=request.headers, content=request.content
            )
        )
        response.read()
        self.statuses.append(response.status_code)
        return response


def test_requests_that_are_repeated_and_late_change_nothing(setting: Setting) -> None:
    setting.transport = repeating = Repeating()
    setting.submit()
    setting.submit()
    with setting.working():
        setting.wait_for_end()
    with Session(setting.engine) as session:
        assert session.exec(select(Job.state)).all() == [JobState.SUCCEEDED] * 2
        assert session.exec(select(Attempt.outcome)).all() == [AttemptOutcome.RESULT] * 2
        assert steps(session) == sorted(STEPS * 2)
        logs = session.exec(select(LogPiece).order_by(col(LogPiece.run_id), col(LogPiece.offset)))
        text = "".join(piece.text for piece in logs)
        assert check_ledger(session).faults == ()
    lines = ["hello from the child", *(f"step {step}" for step in STEPS)]
    assert text.splitlines() == lines * 2
    assert max(repeating.statuses) < 500
