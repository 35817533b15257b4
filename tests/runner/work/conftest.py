"""A server that lives in this process, and short waits."""

import hashlib
import json
from collections.abc import Callable

import httpx
import pytest

from core.schema.job import PROTOCOL_VERSION, JobOffer, WorkerHello
from runner.api.client import WorkerClient
from runner.api.transport import Transport
from runner.work import attempt, outage, worker
from tests.runner import examples


class FakeServer:
    """Keeps what workers send; offers jobs from a list."""

    def __init__(self) -> None:
        self.offers: list[JobOffer] = []
        self.calls: list[str] = []
        self.steps: list[int] = []
        self.log = ""
        self.bodies: dict[str, dict] = {}
        self.away = False
        self.cancelled = False
        self.lease_lost = False
        self.known = True
        self.registration = {"worker_id": "w_1", "heartbeat_seconds": 0.1}
        self.checkpoints: list[tuple[int, bytes]] = []
        self.checkpoint_answer: httpx.Response | None = None
        self.on_call: Callable[[str], None] = lambda name: None

    def handle(self, request: httpx.Request) -> httpx.Response:
        name = request.url.path.rsplit("/", 1)[-1]
        self.on_call(name)
        if self.away:
            raise httpx.ConnectError("refused", request=request)
        self.calls.append(name)
        if name == "checkpoint":
            return self._checkpoint(request)
        body = json.loads(request.content or b"{}")
        self.bodies[name] = body
        if name == "workers":
            self.known = True
            return httpx.Response(200, json=self.registration)
        if name == "claim":
            return self._claim()
        if self.lease_lost:
            return httpx.Response(409, json={"kind": "lease_lost", "message": "not yours"})
        if name == "heartbeat":
            return httpx.Response(200, json={"cancel": self.cancelled})
        self.steps += [point["step"] for point in body.get("points", [])]
        self.log += body.get("text", "")
        return httpx.Response(204)

    def _checkpoint(self, request: httpx.Request) -> httpx.Response:
        """Keep it, or give back the newest, unless the test has another answer."""
        if self.checkpoint_answer is not None:
            return self.checkpoint_answer
        assert request.headers["Lease-Token"] == "token"
        if request.method == "GET":
            return httpx.Response(200, content=self.checkpoints[-1][1])
        assert int(request.headers["Content-Length"]) == len(request.content)
        sha256 = hashlib.sha256(request.content).hexdigest()
        assert request.headers["Checkpoint-SHA256"] == sha256
        self.checkpoints.append((int(request.headers["Checkpoint-Step"]), request.content))
        return httpx.Response(204)

    def _claim(self) -> httpx.Response:
        if not self.known:
            return httpx.Response(404, json={"kind": "not_found", "message": "no such worker"})
        if not self.offers:
            return httpx.Response(204)
        return httpx.Response(200, text=self.offers.pop(0).model_dump_json())

    def ended_by(self) -> list[str]:
        """How jobs were ended, in order."""
        return [name for name in self.calls if name in ("result", "failure", "release")]


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def client(server) -> WorkerClient:
    return WorkerClient(Transport("http://server", 0.0, httpx.MockTransport(server.handle)))


@pytest.fixture
def offer() -> JobOffer:
    return JobOffer(job_id="j_1", lease_token="token", attempt=1, run=examples.spec())


@pytest.fixture
def hello() -> WorkerHello:
    return WorkerHello(
        protocol_version=PROTOCOL_VERSION,
        name="w",
        device="cpu",
        has_cuda=False,
        memory_bytes=1,
        code_commit="c",
    )


@pytest.fixture
def short_waits(monkeypatch):
    monkeypatch.setattr(attempt, "TICK_SECONDS", 0.02)
    monkeypatch.setattr(attempt, "CANCEL_GRACE_SECONDS", 0.3)
    monkeypatch.setattr(attempt, "STOP_GRACE_SECONDS", 5.0)
    monkeypatch.setattr(outage, "FIRST_DELAY_SECONDS", 0.02)
    monkeypatch.setattr(outage, "LONGEST_DELAY_SECONDS", 0.05)
    monkeypatch.setattr(worker, "IDLE_SECONDS", 0.02)


@pytest.fixture
def result_file(tmp_path, monkeypatch):
    file = tmp_path / "result-to-copy.json"
    file.write_text(examples.result().model_dump_json())
    monkeypatch.setenv("RESULT", str(file))
