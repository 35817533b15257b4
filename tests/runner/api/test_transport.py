"""Retries, backoff and named errors of one HTTP call."""

import httpx
import pytest
from pydantic import SecretStr

from core.schema.job import WorkerRegistration
from runner.api.transport import Transport, parse
from runner.errors import (
    Conflict,
    Denied,
    LeaseLost,
    NotFound,
    ProtocolMismatch,
    Refused,
    RunnerError,
    ServerFault,
    ServerUnreachable,
)


class Network:
    """Plays a list of answers, the last one for ever; a class of exception is raised."""

    def __init__(self, *answers: httpx.Response | type[Exception]) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.now = 0.0
        self.delays: list[float] = []

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, httpx.Response):
            return answer
        raise answer("no route", request=request)

    def sleep(self, seconds: float) -> None:
        self.delays.append(seconds)
        self.now += seconds

    def transport(self, retry_seconds: float = 60.0) -> Transport:
        return Transport(
            "http://server:1/",
            retry_seconds,
            httpx.MockTransport(self.handle),
            self.sleep,
            lambda: self.now,
        )


def refusal(status: int, kind: str, **more: object) -> httpx.Response:
    return httpx.Response(status, json={"kind": kind, "message": "because", **more})


@pytest.mark.parametrize(
    "trouble",
    [
        httpx.ConnectError,
        httpx.ReadTimeout,
        httpx.RemoteProtocolError,
        httpx.Response(429),
        httpx.Response(502),
        httpx.Response(503),
        httpx.Response(504),
    ],
)
def test_a_call_is_repeated_until_it_succeeds(trouble):
    network = Network(trouble, trouble, httpx.Response(200, text="done"))
    assert network.transport().get("/queue").text == "done"
    assert [request.url.path for request in network.requests] == ["/api/v1/queue"] * 3


def test_a_wait_is_explained_once_a_call():
    network, told = Network(httpx.ConnectError, httpx.ConnectError, httpx.Response(200)), []
    handler = httpx.MockTransport(network.handle)
    transport = Transport("http://server:1", 60.0, handler, network.sleep, on_wait=told.append)
    transport.get("/queue")
    assert told == ["The server at http://server:1 cannot be reached (no route); trying again."]


@pytest.mark.parametrize("status", [400, 404, 409, 413, 422, 500])
def test_other_statuses_are_not_repeated(status):
    network = Network(refusal(status, "some_kind"))
    with pytest.raises(RunnerError):
        network.transport().get("/queue")
    assert len(network.requests) == 1
    assert network.delays == []


def test_delays_double_up_to_ten_seconds_and_are_cut_by_at_most_a_half():
    network = Network(httpx.ConnectError)
    with pytest.raises(ServerUnreachable):
        network.transport(retry_seconds=60.0).get("/queue")
    longest = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 10.0]
    for delay, most in zip(network.delays, longest, strict=False):
        assert most / 2 <= delay <= most
    assert len(network.delays) > len(longest)


def test_retries_end_with_the_time_that_they_have():
    network = Network(httpx.ConnectError)
    with pytest.raises(ServerUnreachable, match="http://server:1 cannot be reached"):
        network.transport(retry_seconds=5.0).get("/queue")
    assert network.now <= 5.0


def test_retry_after_decides_the_delay():
    network = Network(httpx.Response(429, headers={"Retry-After": "7"}), httpx.Response(204))
    network.transport().get("/queue")
    assert network.delays == [7.0]


def test_headers_and_body_stay_the_same_over_retries():
    network = Network(httpx.ConnectError, httpx.Response(503), httpx.Response(201))
    network.transport().post("/submissions", b"text", {"Idempotency-Key": "key-12345"})
    assert {request.headers["Idempotency-Key"] for request in network.requests} == {"key-12345"}
    assert {request.content for request in network.requests} == {b"text"}


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refusal(401, "token_needed"), Denied),
        (refusal(403, "scope_needed"), Denied),
        (refusal(409, "lease_lost"), LeaseLost),
        (refusal(409, "worker_too_old"), ProtocolMismatch),
        (refusal(409, "server_too_old"), ProtocolMismatch),
        (refusal(409, "already_ended"), Conflict),
        (refusal(404, "not_found"), NotFound),
        (refusal(422, "invalid_submission"), Refused),
        (refusal(500, "internal_error"), ServerFault),
        (httpx.Response(404, text="<html>another server</html>"), ServerFault),
    ],
)
def test_refusals_have_names(answer, error):
    with pytest.raises(error):
        Network(answer).transport().get("/queue")


def test_a_server_that_cannot_store_is_quoted():
    message = "The server's disk is full; nothing was stored. Try again."
    network = Network(
        httpx.Response(503, json={"kind": "database_unavailable", "message": message})
    )
    with pytest.raises(ServerUnreachable) as caught:
        network.transport(1.0).get("/queue")
    assert str(caught.value) == (
        "The server at http://server:1 says: The server's disk is full; nothing was stored. "
        "Try again. Whoever runs it finds more in its log."
    )


def test_a_refusal_lists_every_problem():
    problems = [{"path": "model.x", "message": "is wrong.", "line": 3}]
    with pytest.raises(Refused) as caught:
        Network(refusal(422, "invalid_submission", problems=problems)).transport().get("/queue")
    assert str(caught.value) == "because\n  line 3: model.x: is wrong."


def test_a_problem_that_the_message_names_is_said_once():
    problem = {"path": "author", "message": "is not yours.", "line": None}
    body = {"kind": "invalid_request", "message": "author: is not yours.", "problems": [problem]}
    with pytest.raises(Refused) as caught:
        Network(httpx.Response(422, json=body)).transport().get("/queue")
    assert str(caught.value) == "author: is not yours."


def test_an_answer_of_another_shape_is_the_servers_fault():
    response = Network(httpx.Response(200, text="hello")).transport().get("/queue")
    with pytest.raises(ServerFault, match="did not answer as this version expects"):
        parse(response, WorkerRegistration)


def test_every_call_carries_the_token():
    network = Network(httpx.ConnectError, httpx.Response(200))
    handler, token = httpx.MockTransport(network.handle), SecretStr("fdl_secret")
    Transport("http://server:1", 60.0, handler, network.sleep, token=token).get("/queue")
    carried = [request.headers["Authorization"] for request in network.requests]
    assert carried == ["Bearer fdl_secret"] * 2


def test_without_a_token_nothing_is_carried():
    network = Network(httpx.Response(200))
    network.transport().get("/queue")
    assert "Authorization" not in network.requests[0].headers


def test_a_server_that_wants_fewer_requests_is_not_called_away():
    network = Network(httpx.Response(429, headers={"Retry-After": "7"}))
    with pytest.raises(ServerUnreachable, match=r"asks for fewer requests\. Try again in 7 s"):
        network.transport(retry_seconds=20.0).get("/queue")
    assert network.delays == [7.0, 7.0]


def test_a_file_is_sent_once_in_the_length_that_was_announced():
    network = Network(httpx.Response(204))
    network.transport().put_file("/x", iter([b"one", b"two"]), {"Content-Length": "6"})
    (request,) = network.requests
    assert (request.method, request.content) == ("PUT", b"onetwo")
    assert "Transfer-Encoding" not in request.headers


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.ConnectError, ServerUnreachable),
        (httpx.ReadTimeout, ServerUnreachable),
        (refusal(503, "artifacts_unavailable"), ServerFault),
        (refusal(409, "lease_lost"), LeaseLost),
        (refusal(413, "body_too_large"), Refused),
    ],
)
def test_a_file_that_does_not_pass_is_not_repeated(answer, error):
    network = Network(answer)
    with pytest.raises(error):
        network.transport().put_file("/x", iter([b"one"]), {"Content-Length": "3"})
    with pytest.raises(error), network.transport().get_file("/x", {}):
        pass
    assert len(network.requests) == 2


def test_a_file_is_read_piece_by_piece():
    network = Network(httpx.Response(200, content=bytes(3 * 1024**2 + 1)))
    with network.transport().get_file("/x", {"Lease-Token": "t"}) as pieces:
        assert [len(piece) for piece in pieces] == [1024**2] * 3 + [1]
    assert network.requests[0].headers["Lease-Token"] == "t"


def test_a_file_that_breaks_off_is_named():
    def body():
        yield b"half"
        raise httpx.RemoteProtocolError("peer closed")

    network = Network(httpx.Response(200, content=body()))
    with (
        pytest.raises(ServerUnreachable, match=r"broke off \(peer closed\)"),
        network.transport().get_file("/x", {}) as pieces,
    ):
        list(pieces)


def test_a_page_is_asked_for_again_and_an_error_page_is_an_answer():
    busy = httpx.Response(429, headers={"Retry-After": "7"})
    network = Network(busy, httpx.Response(404, html="<p>gone</p>"))
    answer = network.transport().fetch("/queue?page=2", "text/html")
    assert (answer.status_code, answer.text) == (404, "<p>gone</p>")
    assert network.delays == [7.0]
    assert str(network.requests[-1].url) == "http://server:1/queue?page=2"
    assert network.requests[-1].headers["Accept"] == "text/html"
