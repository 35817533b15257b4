"""Asking what was measured near a proposal, against answers made by hand."""

import json
import threading
import time

import httpx
import pytest

from core.proposal import Proposal, propose, read_submission
from core.tracks import load_tracks
from runner.api.client import AuthorClient
from runner.api.transport import Transport
from runner.nearest import ask_for_nearest, open_quick_client
from runner.settings import RunnerSettings

YAML = "track: debug\nname: Mine\nauthor: me\nhypothesis: Yes.\noverrides:\n  model.dropout: 0.25\n"
EQUAL = {
    "submission_id": "s_1",
    "name": "First",
    "author": "ada",
    "num_runs": 2,
    "delta": None,
    "verdict": None,
    "withdrawn": None,
}
ANSWER = {"track": "debug", "key": "abc", "equal": EQUAL, "nearest": [], "of_tomorrow": 1}


@pytest.fixture(scope="module")
def proposal() -> Proposal:
    tracks = load_tracks()
    return propose(read_submission(YAML, tracks), tracks)


def client_of(handle) -> AuthorClient:
    return AuthorClient(Transport("http://server", 0.0, httpx.MockTransport(handle)))


def test_the_whole_config_is_asked_about(proposal):
    requests = []

    def handle(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200, json=ANSWER)

    answer = ask_for_nearest(client_of(handle), proposal)
    assert answer.found is not None
    assert answer.found.equal is not None
    assert answer.found.equal.name == "First"
    assert answer.json == ANSWER
    [request] = requests
    assert (request.method, request.url.path) == ("POST", "/api/v1/tracks/debug/nearest")
    config = json.loads(request.content)
    assert config == proposal.experiment.model_dump(mode="json")
    assert config["model"]["dropout"] == 0.25


def test_nobody_at_the_address_is_no_error(proposal):
    client = open_quick_client(RunnerSettings(server_url="http://127.0.0.1:9"))
    answer = ask_for_nearest(client, proposal)
    assert (answer.found, answer.json) == (None, None)
    assert answer.notice == "the server at http://127.0.0.1:9 was not asked: it cannot be reached"


def test_a_server_that_takes_longer_is_not_waited_for(proposal):
    released = threading.Event()

    def handle(request: httpx.Request) -> httpx.Response:
        released.wait(30)
        return httpx.Response(200, json=ANSWER)

    start = time.monotonic()
    answer = ask_for_nearest(client_of(handle), proposal, seconds=0.1)
    waited = time.monotonic() - start
    released.set()
    assert answer.found is None
    assert answer.notice == "the server at http://server was not asked: no answer within 0.1 s"
    assert waited < 10


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (
            httpx.Response(404, json={"kind": "not_found", "message": "there is nothing here."}),
            "could not say: there is nothing here.",
        ),
        (httpx.Response(200, json={"nearest": 1}), "could not say: "),
        (httpx.Response(200, text="<html>"), "could not say: "),
        (httpx.Response(503, text=""), "was not asked: it cannot be reached"),
    ],
)
def test_an_answer_of_another_kind_is_no_error(proposal, response, reason):
    answer = ask_for_nearest(client_of(lambda request: response), proposal)
    assert answer.found is None
    assert answer.notice.startswith(f"the server at http://server {reason}")
