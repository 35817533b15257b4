import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from core.schema.access import Scope, TokenRequest
from server.__main__ import command_line, main
from server.access.caller import Caller
from server.access.tokens import find_caller, issue
from server.access.worker_tokens import bind
from server.database import create_engine, read_session, upgrade, write_session
from server.ledger.entries import read
from server.sign_in.author_names import author_of
from server.tables import Worker
from tests.server.factories import API, submission_yaml

WORKER = {
    "id": "w_a",
    "name": "bench",
    "device": "cpu",
    "has_cuda": False,
    "memory_bytes": 0,
    "code_commit": "c",
    "is_trusted": False,
}


def environment(**settings: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if "FIVE_DOLLAR" not in name}
    return kept | {f"FIVE_DOLLAR_{name}": value for name, value in settings.items()}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def refusal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], **settings: str
) -> str:
    """What a server says that ends before it serves."""
    for name, value in settings.items():
        monkeypatch.setenv(f"FIVE_DOLLAR_{name}", value)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"PORT": "eighty"}, "FIVE_DOLLAR_PORT: 'eighty' is not allowed"),
        ({"DATABASE_URL": "sqlite://"}, "FIVE_DOLLAR_DATABASE_URL: 'sqlite://' is not allowed"),
        ({"DATABASE_URL": "sqlite:////dev/null/board.sqlite"}, "database cannot be opened"),
        ({"HOST": "0.0.0.0"}, "everybody who reaches 0.0.0.0 could submit"),
        ({"TRACKS_FOLDER": "/nowhere"}, "there are no tracks in /nowhere"),
        ({"ARTIFACTS_URL": "/data"}, "FIVE_DOLLAR_ARTIFACTS_URL: '/data' is not allowed"),
        ({"ARTIFACTS_URL": "file:///dev/null/x"}, "Check FIVE_DOLLAR_ARTIFACTS_URL"),
    ],
)
def test_wrong_settings_end_the_server_with_the_reason(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    settings: dict[str, str],
    message: str,
) -> None:
    own = {"DATABASE_URL": f"sqlite:///{tmp_path}/board.sqlite"}
    assert message in refusal(monkeypatch, capsys, **(own | settings))


def test_a_refusal_shows_no_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal(monkeypatch, capsys, GITHUB_CLIENT_SECRET="the-secret", SESSION_KEY="the-key")
    assert "sign-in with GitHub needs FIVE_DOLLAR_GITHUB_CLIENT_ID too" in said
    assert "the-secret" not in said
    assert "the-key" not in said


def test_a_database_of_a_newer_version_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "board.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.execute("INSERT INTO alembic_version VALUES ('9999')")
        connection.commit()
    said = refusal(monkeypatch, capsys, DATABASE_URL=f"sqlite:///{path}")
    assert "update the server" in said
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        assert tables.fetchall() == [("alembic_version",)]


def start(database: Path, port: int) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-m", "server"],
        env=environment(DATABASE_URL=f"sqlite:///{database}", PORT=str(port)),
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            httpx.get(f"http://127.0.0.1:{port}{API}/health").raise_for_status()
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return process
    raise AssertionError("the server did not start")


def test_a_killed_server_has_lost_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    database, port = tmp_path / "board.sqlite", free_port()
    process = start(database, port)
    address = f"http://127.0.0.1:{port}{API}"
    headers = {"Idempotency-Key": "same-key"}
    receipt = httpx.post(
        f"{address}/submissions", content=submission_yaml(), headers=headers
    ).json()
    process.kill()
    assert process.wait(timeout=30) == -signal.SIGKILL
    process = start(database, port)
    again = httpx.post(f"{address}/submissions", content=submission_yaml(), headers=headers)
    # The forecast is of another moment.
    assert (again.status_code, again.json() | {"forecast": None}) == (
        200,
        receipt | {"forecast": None},
    )
    process.terminate()
    process.wait(timeout=30)


def test_the_first_token_is_made_on_the_servers_machine_and_is_good_for_all_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"sqlite:///{tmp_path}/board.sqlite"
    monkeypatch.setenv("FIVE_DOLLAR_DATABASE_URL", address)
    ended = CliRunner().invoke(command_line, ["token", "ada"])
    assert ended.exit_code == 0
    (secret,) = ended.stdout.split()
    assert "of ada, scope admin" in ended.stderr
    engine = create_engine(address)
    caller = find_caller(engine, secret)
    engine.dispose()
    assert caller is not None
    assert (caller.name, caller.scope) == ("ada", Scope.ADMIN)


def test_a_token_for_nobody_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIVE_DOLLAR_DATABASE_URL", f"sqlite:///{tmp_path}/board.sqlite")
    ended = CliRunner().invoke(command_line, ["token", "a b", "--days", "0"])
    assert ended.exit_code == 2
    assert "name: 'a b'" in ended.stderr
    assert "days: 0" in ended.stderr


def test_an_author_name_is_given_to_a_github_login_on_the_servers_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"sqlite:///{tmp_path}/board.sqlite"
    monkeypatch.setenv("FIVE_DOLLAR_DATABASE_URL", address)
    assert CliRunner().invoke(command_line, ["token", "ada"]).exit_code == 0
    assert CliRunner().invoke(command_line, ["author", "ada"]).exit_code == 0
    engine = create_engine(address)
    with write_session(engine) as session:
        assert author_of(session, 1, "ada") == "ada"
    engine.dispose()
    refused = CliRunner().invoke(command_line, ["author", "a b"])
    assert refused.exit_code == 2
    assert "'a b' cannot be an author" in refused.stderr


def test_a_worker_is_marked_on_the_servers_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"sqlite:///{tmp_path}/board.sqlite"
    monkeypatch.setenv("FIVE_DOLLAR_DATABASE_URL", address)
    monkeypatch.setenv("FIVE_DOLLAR_ACCESS", "tokens")
    engine = create_engine(address)
    upgrade(engine)
    with write_session(engine) as session:
        worker = Worker.model_validate(WORKER)
        session.add(worker)
        token = issue(session, TokenRequest(name="owner", scope=Scope.WORK)).status
        session.flush()
        bind(session, worker, Caller(token.token_id, token.name, token.scope))
    ended = CliRunner().invoke(command_line, ["trust", "bench"])
    assert (ended.exit_code, ended.stdout) == (
        0,
        "bench is trusted; 0 of its results count otherwise.\n",
    )
    assert CliRunner().invoke(command_line, ["distrust", "bench"]).exit_code == 0
    with read_session(engine) as session:
        assert not session.get_one(Worker, "w_a").is_trusted
        told = [entry.contents for entry in read(session, 0, 10).entries]
    engine.dispose()
    assert [(one["state"], one["by"]) for one in told] == [
        ("trusted", "the server's machine"),
        ("distrusted", "the server's machine"),
    ]


@pytest.mark.parametrize(
    ("name", "access", "said"),
    [
        ("", "tokens", "worker: ''"),
        ("nobody", "tokens", "no worker named 'nobody'"),
        ("bench", "open", "every worker counts as trusted"),
    ],
)
def test_a_worker_that_cannot_be_marked_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, access: str, said: str
) -> None:
    monkeypatch.setenv("FIVE_DOLLAR_DATABASE_URL", f"sqlite:///{tmp_path}/board.sqlite")
    monkeypatch.setenv("FIVE_DOLLAR_ACCESS", access)
    ended = CliRunner().invoke(command_line, ["trust", name])
    assert ended.exit_code == 2
    assert said in ended.stderr
