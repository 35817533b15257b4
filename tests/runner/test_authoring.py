"""Submitting and following, against answers made by hand."""

import httpx
import pytest

from core.errors import InvalidInput
from core.schema.submission import WithdrawalRequest
from runner import authoring
from runner.api.client import AuthorClient
from runner.api.transport import Transport
from runner.authoring import follow_log, new_lines, read_request, submit_file, watch_run
from runner.errors import ServerUnreachable
from runner.settings import RunnerSettings
from tests.runner import examples

RECEIPT = {
    "submission_id": "s_1",
    "run_id": "r_1",
    "seed": 1000,
    "experiment_hash": "0",
    "jobs_ahead": 0,
    "url": "http://server/submissions/s_1",
}
YAML = "track: debug\nname: Mine\nauthor: me\nhypothesis: Yes.\n"


def status(state: str, **more: object) -> dict:
    return {
        "run_id": "r_1",
        "submission_id": "s_1",
        "name": "Mine",
        "track": "debug",
        "seed": 1000,
        "state": state,
        "attempt": 1,
        "jobs_ahead": None,
        "phase": "training" if state == "running" else None,
        "completed": 5,
        "total": 10,
        "latest": None,
        "result": None,
        "cost_usd": None,
        "failure": None,
        "failure_message": "",
        "created_at": "2026-01-01T00:00:00Z",
        "url": "http://server/submissions/s_1",
        **more,
    }


def client_of(handle) -> AuthorClient:
    transport = Transport("http://server", 60.0, httpx.MockTransport(handle), lambda _: None)
    return AuthorClient(transport)


def no_parent(submission_id: str):
    raise AssertionError(submission_id)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(authoring, "POLL_SECONDS", 0.0)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(YAML)
    return path


def test_a_command_has_one_key_however_often_it_is_sent(file):
    keys = []

    def handle(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["Idempotency-Key"])
        if len(keys) < 3:
            raise httpx.ReadTimeout("lost", request=request)
        return httpx.Response(201, json=RECEIPT)

    receipt, proposal = submit_file(file, client_of(handle), no_parent)
    assert receipt.submission_id == "s_1"
    assert proposal.submission.name == "Mine"
    assert len(keys) == 3
    assert len(set(keys)) == 1
    submit_file(file, client_of(handle), no_parent)
    assert len(set(keys)) == 2


def test_what_is_invalid_here_is_not_sent(file):
    file.write_text(YAML + "overrides:\n  model.dropout: 3\n")

    def handle(request: httpx.Request) -> httpx.Response:
        raise AssertionError("sent")

    with pytest.raises(InvalidInput, match=r"line 6: model\.dropout"):
        submit_file(file, client_of(handle), no_parent)


def test_a_wrong_request_names_each_field_and_what_is_allowed():
    with pytest.raises(InvalidInput) as raised:
        read_request(WithdrawalRequest, author="two words", reason="\x1b[2J")
    author, reason = str(raised.value).splitlines()
    assert author.startswith('author: "two words" is not allowed')
    assert "letters, digits, dot, dash and underscore" in author
    assert reason.startswith("reason: ")
    assert "no control characters" in reason


def test_watching_ends_with_the_run():
    states = ["queued", "running", "failed"]
    display = examples.SilentDisplay()
    client = client_of(lambda request: httpx.Response(200, json=status(states.pop(0))))
    assert watch_run(client, "r_1", display).state == "failed"
    assert [view.phase for view in display.views] == [None, "training"]
    assert display.finished == ["Mine: failed"]


def test_following_prints_each_line_once_and_the_last_when_it_is_whole():
    tails = ["a\nb", "a\nb\nc\nd", "a\nb\nc\nd!\n"]
    states = ["running", "running", "succeeded"]

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/log"):
            return httpx.Response(200, text=tails.pop(0))
        return httpx.Response(200, json=status(states.pop(0)))

    assert list(follow_log(client_of(handle), "r_1")) == ["a", "b", "c", "d!"]


@pytest.mark.parametrize(
    ("before", "after", "new"),
    [
        ([], ["a"], ["a"]),
        (["a", "b"], ["a", "b"], []),
        (["a", "b"], ["a", "b", "c"], ["c"]),
        (["a", "b", "c"], ["b", "c", "d"], ["d"]),
        (["x", "y"], ["x", "z"], ["x", "z"]),
        (["a", "a"], ["a", "a", "a"], ["a"]),
    ],
)
def test_new_lines_of_a_moving_tail(before, after, new):
    assert new_lines(before, after) == new


def test_a_reader_of_pages_hears_each_reason_to_wait_once(monkeypatch, capsys):
    monkeypatch.setattr(authoring, "SITE_RETRY_SECONDS", 0.6)
    settings = RunnerSettings(server_url="http://127.0.0.1:9")
    with authoring.open_site_client(settings) as client:
        for _ in range(2):
            with pytest.raises(ServerUnreachable):
                client.fetch("/")
    assert capsys.readouterr().err.count("trying again") == 1
