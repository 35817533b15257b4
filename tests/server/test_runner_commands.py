"""The commands for verdicts, withdrawals and the ledger, against the real application."""

import json
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, text
from starlette.testclient import TestClient
from typer.testing import CliRunner

from core.schema.result import FailureKind
from runner import authoring
from runner.api.client import AuthorClient
from runner.api.transport import Transport
from runner.cli import app as command_line
from runner.exit_codes import ExitCode
from runner.settings import RunnerSettings
from tests.server.factories import (
    claim_one,
    finish,
    send_failure,
    send_log,
    submission_yaml,
    submit,
    submit_and_finish,
)

RATE = "optimizer.muon.learning_rate"
BASELINE_LOSSES = (2.0, 2.001, 1.999, 2.002, 1.998)
"""Mean 2, deviation sqrt(1e-5 / 4) = 0.0015811."""


@pytest.fixture
def server(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """The application with a measured baseline; the command line talks to it."""

    def forward(request: httpx.Request) -> httpx.Response:
        address = request.url.copy_with(host="testserver")
        headers = dict(request.headers)
        answer = client.request(
            request.method, str(address), content=request.content, headers=headers
        )
        return httpx.Response(answer.status_code, content=answer.content)

    def open_client(settings: RunnerSettings) -> AuthorClient:
        return AuthorClient(Transport("http://server", 0.0, httpx.MockTransport(forward)))

    monkeypatch.setattr(authoring, "open_client", open_client)
    monkeypatch.setattr(authoring, "open_patient_client", open_client)
    for loss in BASELINE_LOSSES:
        submit_and_finish(client, "Baseline", val_loss=loss, author="project")
    return client


def call(*arguments: str):
    return CliRunner().invoke(command_line, arguments)


def change(engine: Engine, statement: str) -> None:
    """Change one row behind the server's back."""
    with engine.begin() as connection:
        assert connection.execute(text(statement)).rowcount == 1


def test_board_and_status_show_the_verdict(server: TestClient) -> None:
    mine = submit_and_finish(server, "Mine", {RATE: 0.02}, val_loss=1.9).submission_id
    # 7.1732, the quantile of t at 0.999 with 4 degrees of freedom, times 0.0015811 sqrt(1 + 1/5)
    # is 0.0124.
    board = call("board", "debug").stdout
    assert "better, record" in board
    assert "[-0.1124, -0.0876]" in board
    status = call("status", mine).stdout
    assert "-0.1000 nats [-0.1124, -0.0876], 1 run against 5 of the baseline" in status
    assert "at 3 runs" in status


def test_a_run_without_a_log_is_said_to_have_none(server: TestClient) -> None:
    receipt = submit(server, "Mine", {RATE: 0.02})
    ended = call("logs", receipt.submission_id)
    assert (ended.exit_code, ended.stdout) == (ExitCode.OK, "")
    assert ended.stderr == f"Run {receipt.run_id} is queued and has no log.\n"
    send_log(server, claim_one(server), "one\n")
    ended = call("logs", receipt.run_id)
    assert (ended.stdout, ended.stderr) == ("one\n", "")


def test_the_status_of_a_failed_run_is_all_that_its_author_needs(server: TestClient) -> None:
    receipt = submit(server, "Too hot", {RATE: 0.9})
    offer = claim_one(server)
    send_log(server, offer, "step 1\nloss is nan\n")
    send_failure(server, offer, FailureKind.DIVERGED, "nan at step 2")
    for identity in (receipt.submission_id, receipt.run_id):
        shown = call("status", identity).stdout
        assert "diverged, the submission's fault: nan at step 2" in shown
        assert "lower the learning rates" in shown
        assert shown.endswith("The last 2 lines of its log:\nstep 1\nloss is nan\n")
    answer = json.loads(call("status", receipt.run_id, "--json").stdout)
    assert answer["last_lines"] == ["step 1", "loss is nan"]


def test_watching_a_submission_ends_with_its_verdict(
    server: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch_run = authoring.watch_run

    def watch_while_a_worker_finishes(*arguments):
        finish(server, claim_one(server), val_loss=2.1)
        return watch_run(*arguments)

    monkeypatch.setattr(authoring, "watch_run", watch_while_a_worker_finishes)
    file = tmp_path / "mine.yaml"
    file.write_text(submission_yaml("Mine", overrides={RATE: 0.02}))
    ended = call("submit", str(file), "--watch")
    assert ended.exit_code == ExitCode.OK
    assert "worse: +0.1000 nats [+0.0876, +0.1124], 1 run against 5" in ended.stdout


def test_two_submissions_are_judged_against_each_other(server: TestClient) -> None:
    mine = submit_and_finish(server, "Mine", {RATE: 0.02}, val_loss=1.9).submission_id
    other = submit_and_finish(server, "Other", {RATE: 0.04}, val_loss=1.899).submission_id
    # 7.1732 × 0.0015811 × sqrt(2) = 0.0160.
    compared = call("compare", mine, other).stdout
    assert "Whether Other is better or worse than Mine is unresolved: -0.0010 nats" in compared
    assert "[-0.0170, +0.0150], 1 run against 1." in compared
    board = call("board", "debug").stdout
    assert "=2" in board


def test_an_author_withdraws_and_only_he(server: TestClient) -> None:
    mine = submit_and_finish(server, "Mine", {RATE: 0.02}, val_loss=1.9).submission_id
    arguments = ("withdraw", mine, "--reason", "Wrong rate.", "--author")
    refused = call(*arguments, "eve")
    assert refused.exit_code == ExitCode.INVALID
    assert "'eve' is not the author" in refused.stderr
    assert call(*arguments, "ada").stdout == f"{mine} is withdrawn.\n"
    assert f"withdrawn: Mine ({mine}) by ada: Wrong rate." in call("board", "debug").stdout
    assert "by ada: Wrong rate." in call("status", mine).stdout


def test_a_rerun_is_queued_once_up_to_the_next_verdict(server: TestClient) -> None:
    mine = submit_and_finish(server, "Mine", {RATE: 0.02}, val_loss=1.9).submission_id
    first, second = call("rerun", mine, "--author", "eve").stdout.splitlines()
    assert len(first.removeprefix("Queued: ").split(", ")) == 2
    assert second == "The next verdict is taken at 3 runs."
    assert call("status").stdout.count("│ rerun ") == 2
    again = call("rerun", mine, "--author", "eve")
    assert again.exit_code == ExitCode.CONFLICT
    assert "queued" in again.stderr


def test_the_ledger_holds_until_somebody_touches_it(server: TestClient, engine: Engine) -> None:
    submit_and_finish(server, "Mine", {RATE: 0.02}, val_loss=1.9)
    verified = json.loads(call("ledger", "--verify", "--json").stdout)
    assert verified["holds"]
    assert verified["num_results"] == 6
    newest = json.loads(call("ledger", "--limit", "2", "--json").stdout)
    assert newest["entries"][-1]["hash"] == newest["head"] == verified["head"]
    assert newest["entries"][-1]["sequence"] == verified["length"]
    assert call("ledger", "--limit", "2").stdout.splitlines()[-1] == (
        f"{verified['length']} entries, head {verified['head']}"
    )
    assert "is in the chain" in call("ledger", "--since", verified["head"].upper()).stdout
    assert call("ledger", "--since", "f" * 64).exit_code == ExitCode.FAILURE

    change(engine, "UPDATE run SET val_loss = 1.5 WHERE val_loss = 1.9")
    changed = call("ledger", "--verify")
    assert changed.exit_code == ExitCode.FAILURE
    assert "The database does not say what the ledger says: the loss of run r_" in changed.stderr

    change(engine, "UPDATE ledger_entry SET subject = 's_x' WHERE sequence = 3")
    changed = call("ledger", "--verify", "--json")
    assert changed.exit_code == ExitCode.FAILURE
    fault = json.loads(changed.stdout)["fault"]
    assert fault.startswith("The ledger does not hold: entry 3 (")
    assert fault.endswith("of s_x) was changed.")


def test_quota_and_submit_show_what_is_left(
    app: FastAPI, server: TestClient, tmp_path: Path
) -> None:
    rows = call("quota", "ada").stdout
    assert "no limit" in rows
    assert "next free" not in rows
    app.state.settings = app.state.settings.model_copy(update={"quota_gpu_minutes": 2.5})
    file = tmp_path / "mine.yaml"
    file.write_text(submission_yaml("Mine"))
    assert "1.5 GPU-minutes" in call("submit", str(file)).stdout
    assert json.loads(call("quota", "ada", "--json").stdout)["left_minutes"] == 1.5
    file.write_text(submission_yaml("Second", overrides={RATE: 0.02}))
    assert "0.5 GPU-minutes" in call("submit", str(file)).stdout
    file.write_text(submission_yaml("Third", overrides={RATE: 0.03}))
    refused = call("submit", str(file))
    assert refused.exit_code == ExitCode.INVALID
    assert "2.0 are reserved for runs that wait or run" in refused.stderr.replace("\n", " ")
