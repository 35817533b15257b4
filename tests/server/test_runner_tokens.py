"""`runner token` and `runner trust` against the real application."""

import json

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine
from starlette.testclient import TestClient
from typer.testing import CliRunner, Result

from core.schema.access import Scope, TokenRequest
from runner import administration
from runner.api.client import AdminClient
from runner.api.transport import Transport
from runner.cli import app as command_line
from runner.exit_codes import ExitCode
from runner.settings import RunnerSettings
from server.access.tokens import find_caller, issue
from server.database import write_session
from server.settings import Access
from tests.server.factories import API, hello


@pytest.fixture(autouse=True)
def administrator(
    app: FastAPI, client: TestClient, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> str:
    """An administrator's token in the environment of the command line."""

    def forward(request: httpx.Request) -> httpx.Response:
        address = str(request.url.copy_with(host="testserver"))
        answer = client.request(
            request.method, address, content=request.content, headers=dict(request.headers)
        )
        return httpx.Response(answer.status_code, content=answer.content)

    def open_client(settings: RunnerSettings) -> AdminClient:
        network = httpx.MockTransport(forward)
        return AdminClient(Transport("http://server", 0.0, network, token=settings.token))

    monkeypatch.setattr(administration, "open_admin_client", open_client)
    with write_session(engine) as session:
        secret = issue(session, TokenRequest(name="root", scope=Scope.ADMIN)).token
    monkeypatch.setenv("FIVE_DOLLAR_TOKEN", secret)
    return secret


def call(*arguments: str) -> Result:
    return CliRunner().invoke(command_line, ["token", *arguments])


def test_a_token_is_printed_once_alone_on_stdout(engine: Engine) -> None:
    made = call("create", "ada", "--scope", "work", "--days", "7")
    assert made.exit_code == ExitCode.OK
    (secret,) = made.stdout.split()
    assert "of ada, scope work" in made.stderr
    caller = find_caller(engine, secret)
    assert caller is not None
    assert (caller.name, caller.scope) == ("ada", Scope.WORK)
    listed = call("list")
    assert "ada" in listed.stdout
    assert secret not in listed.output


def test_a_revoked_token_is_good_for_nothing(engine: Engine) -> None:
    made = json.loads(call("create", "ada", "--json").stdout)
    ended = call("revoke", made["status"]["token_id"])
    assert ended.stdout == f"{made['status']['token_id']} of ada is revoked.\n"
    assert find_caller(engine, made["token"]) is None
    states = {
        token["name"]: token["revoked_at"]
        for token in json.loads(call("list", "--json").stdout)["tokens"]
    }
    assert states["root"] is None
    assert states["ada"] is not None


def test_what_is_wrong_with_a_token_is_named_before_it_is_sent() -> None:
    ended = call("create", "a b", "--days", "0")
    assert ended.exit_code == ExitCode.INVALID
    assert "name" in ended.stderr
    assert "days" in ended.stderr


def test_without_a_token_the_command_says_which_one_it_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("FIVE_DOLLAR_TOKEN")
    ended = call("list")
    assert ended.exit_code == ExitCode.DENIED
    assert "FIVE_DOLLAR_TOKEN" in ended.stderr


def test_a_submitters_token_makes_no_tokens(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with write_session(engine) as session:
        secret = issue(session, TokenRequest(name="ada", scope=Scope.SUBMIT)).token
    monkeypatch.setenv("FIVE_DOLLAR_TOKEN", secret)
    ended = call("create", "eve", "--scope", "admin")
    assert ended.exit_code == ExitCode.DENIED
    assert "needs a token with scope admin" in ended.stderr
    assert secret not in ended.output


def test_a_worker_is_trusted_and_no_longer_by_its_name(app: FastAPI, engine: Engine) -> None:
    app.state.settings = app.state.settings.model_copy(update={"access": Access.TOKENS})
    with write_session(engine) as session:
        secret = issue(session, TokenRequest(name="owner", scope=Scope.WORK)).token
    owner = TestClient(app, headers={"Authorization": f"Bearer {secret}"})
    owner.post(f"{API}/workers", json=hello("big / bench"))
    for command, state, trusted in (("trust", "trusted", True), ("distrust", "not trusted", False)):
        ended = CliRunner().invoke(command_line, [command, "big / bench"])
        assert ended.exit_code == ExitCode.OK
        assert ended.stdout == f"big / bench is {state}; 0 of its results count otherwise.\n"
        (worker,) = owner.get(f"{API}/workers").json()["workers"]
        assert worker["is_trusted"] is trusted


def test_a_worker_of_an_open_server_is_not_marked() -> None:
    ended = CliRunner().invoke(command_line, ["trust", "bench"])
    assert ended.exit_code == ExitCode.CONFLICT
    assert "every worker counts as trusted" in ended.stderr
