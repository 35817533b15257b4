"""Paths and bodies of the typed calls."""

import json

import httpx

from core.schema.job import Phase
from core.schema.metric_point import EXPERT_LOAD, MetricPoint
from core.schema.result import FailureKind
from core.schema.submission import RerunRequest, WithdrawalRequest
from core.schema.telemetry import Telemetry, WorkerPoll
from runner.api.client import AuthorClient, WorkerClient
from runner.api.transport import Transport
from tests.runner import examples


class Recorder:
    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.requests: list[httpx.Request] = []

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.answer

    @property
    def transport(self) -> Transport:
        return Transport("http://server", 0.0, httpx.MockTransport(self.handle))


def test_an_empty_answer_to_a_claim_means_no_job():
    recorder = Recorder(httpx.Response(204))
    poll = WorkerPoll(num_devices=2, telemetry=Telemetry(temperature_celsius=61.0))
    assert WorkerClient(recorder.transport).claim("w_1", "key", poll) is None
    request = recorder.requests[0]
    assert request.url.path == "/api/v1/workers/w_1/claim"
    assert request.headers["Idempotency-Key"] == "key"
    assert WorkerPoll.model_validate_json(request.content) == poll


def test_every_report_carries_the_lease_token():
    recorder = Recorder(httpx.Response(200, json={"cancel": True}))
    client = WorkerClient(recorder.transport)
    assert client.heartbeat("j_1", "token", Phase.TRAINING, 1, 2).cancel
    client.send_metrics("j_1", "token", [examples.metric(1)])
    client.send_log("j_1", "token", 5, "text")
    client.send_result("j_1", "token", examples.result())
    client.send_failure("j_1", "token", FailureKind.DIVERGED, "why")
    client.release("j_1", "token")
    ends = [request.url.path.removeprefix("/api/v1/jobs/j_1/") for request in recorder.requests]
    assert ends == ["heartbeat", "metrics", "log", "result", "failure", "release"]
    assert {json.loads(r.content)["lease_token"] for r in recorder.requests} == {"token"}


def test_telemetry_travels_with_a_heartbeat_and_nothing_stands_for_its_absence():
    recorder = Recorder(httpx.Response(200, json={"cancel": False}))
    client = WorkerClient(recorder.transport)
    client.heartbeat("j_1", "token", Phase.TRAINING, 1, 2, Telemetry(temperature_celsius=61.0))
    client.heartbeat("j_1", "token", Phase.TRAINING, 1, 2)
    full, bare = (json.loads(request.content) for request in recorder.requests)
    assert full["telemetry"]["temperature_celsius"] == 61.0
    assert "telemetry" not in bare


def test_a_server_from_before_telemetry_gets_the_heartbeat_without():
    bodies = []

    def refuse_telemetry(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        if "telemetry" in bodies[-1]:
            error = {"kind": "invalid_request", "message": "telemetry: no such field"}
            return httpx.Response(422, json=error)
        return httpx.Response(200, json={"cancel": True})

    transport = Transport("http://server", 0.0, httpx.MockTransport(refuse_telemetry))
    client = WorkerClient(transport)
    assert client.heartbeat("j_1", "token", Phase.TRAINING, 1, 2, Telemetry()).cancel
    assert [sorted(body) for body in bodies] == [
        ["completed", "lease_token", "phase", "telemetry", "total"],
        ["completed", "lease_token", "phase", "total"],
    ]


def test_a_server_from_before_expert_load_gets_the_points_without():
    bodies = []

    def refuse_load(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        if any(name in point for point in bodies[-1]["points"] for name in EXPERT_LOAD):
            error = {"kind": "invalid_request", "message": "idle_expert_share: no such field"}
            return httpx.Response(422, json=error)
        return httpx.Response(204)

    client = WorkerClient(Transport("http://server", 0.0, httpx.MockTransport(refuse_load)))
    dense = examples.metric(1)
    client.send_metrics("j_1", "token", [dense])
    assert len(bodies) == 1
    loaded = examples.metric(2).model_copy(update={"idle_expert_share": 0.0})
    client.send_metrics("j_1", "token", [dense, loaded])
    assert [len(body["points"]) for body in bodies] == [1, 2, 2]
    assert bodies[1]["points"][1]["idle_expert_share"] == 0.0
    assert [MetricPoint.model_validate(point) for point in bodies[2]["points"]] == [
        dense,
        examples.metric(2),
    ]


def test_a_submission_is_sent_as_it_stands_in_the_file():
    receipt = {
        "submission_id": "s_1",
        "run_id": "r_1",
        "seed": 1000,
        "experiment_hash": "0",
        "jobs_ahead": 2,
        "url": "http://server/submissions/s_1",
    }
    recorder = Recorder(httpx.Response(201, json=receipt))
    answer = AuthorClient(recorder.transport).submit(b"# note\ntrack: debug\n", "key-12345")
    assert answer.jobs_ahead == 2
    request = recorder.requests[0]
    assert request.content == b"# note\ntrack: debug\n"
    assert request.headers["Content-Type"] == "application/yaml"
    assert request.headers["Idempotency-Key"] == "key-12345"


def test_an_id_cannot_leave_its_place_in_the_path():
    recorder = Recorder(httpx.Response(200, text=""))
    AuthorClient(recorder.transport).log("../../x?y", 10)
    assert recorder.requests[0].url.raw_path == b"/api/v1/runs/..%2F..%2Fx%3Fy/log?tail=10"


def test_withdrawing_and_another_look_are_asked_for_by_name():
    recorder = Recorder(httpx.Response(200, text=examples.status().model_dump_json()))
    request = WithdrawalRequest(author="me", reason="A mistake.")
    assert AuthorClient(recorder.transport).withdraw("s_1", request).run_id == "r_1"
    assert recorder.requests[0].url.path == "/api/v1/submissions/s_1/withdraw"
    assert json.loads(recorder.requests[0].content) == {"author": "me", "reason": "A mistake."}
    recorder = Recorder(httpx.Response(201, json={"run_ids": ["r_2"], "num_runs_then": 3}))
    receipt = AuthorClient(recorder.transport).rerun("s_1", RerunRequest(author="me"))
    assert (receipt.run_ids, receipt.num_runs_then) == (("r_2",), 3)
    assert recorder.requests[0].url.path == "/api/v1/submissions/s_1/rerun"


def test_the_ledger_is_asked_for_by_pages():
    recorder = Recorder(httpx.Response(200, json={"entries": [], "head": "0", "length": 9}))
    assert AuthorClient(recorder.transport).ledger(9, 1000).length == 9
    assert recorder.requests[0].url.raw_path == b"/api/v1/ledger?after=9&limit=1000"


def test_a_board_without_a_key_asks_for_the_default_one():
    recorder = Recorder(httpx.Response(200, text="{}"))
    client = AuthorClient(recorder.transport)
    client.board("debug", "")
    client.board("debug", "abc")
    assert [str(request.url.query, "ascii") for request in recorder.requests] == ["", "key=abc"]
