from datetime import UTC, datetime

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine
from sqlmodel import Session
from starlette.testclient import TestClient

from core.schema.track import Track
from server.access.caller import ANYBODY
from server.drafts.check import DraftCheck, check_draft
from server.settings import ServerSettings
from tests.server.boards import NORM, RELU, measure_baseline
from tests.server.factories import (
    API,
    post_yaml,
    register,
    submission_yaml,
    submit,
    submit_and_finish,
)
from tests.server.statements import sent_statements

NOW = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.fixture
def check(session: Session, tracks: dict[str, Track], settings: ServerSettings):
    def ask(text: str | bytes, author: str = "") -> DraftCheck:
        body = text.encode() if isinstance(text, str) else text
        # What was stored since the last question is read, too.
        session.rollback()
        return check_draft(session, tracks, settings, body, author, ANYBODY, NOW)

    return ask


def test_a_good_text_comes_with_all_that_is_known(client: TestClient, check) -> None:
    measure_baseline(client)
    same = submit_and_finish(client, "Same", NORM, val_loss=1.75)
    submit_and_finish(client, "Other", RELU, val_loss=2.25)
    found = check(submission_yaml(overrides=NORM))
    assert (found.is_valid, found.problems, found.track) == (True, (), "debug")
    prospect = found.prospect
    assert prospect is not None
    assert prospect.experiment_hash == same.experiment_hash
    assert [change.path for change in prospect.changes] == ["model.attention.qk_norm"]
    assert prospect.nearest.equal is not None
    assert prospect.nearest.equal.submission_id == same.submission_id
    assert [near.name for near in prospect.nearest.nearest] == ["Other"]
    assert prospect.training_flops_ratio == pytest.approx(1.0, abs=0.01)
    assert prospect.estimate.num_parameters > 10**6


def test_what_is_refused_is_estimated_all_the_same(client: TestClient, check) -> None:
    found = check(submission_yaml(overrides={"model.num_layers": 8}))
    assert [problem.path for problem in found.problems] == ["overrides"]
    assert found.is_valid is False
    assert found.prospect is not None
    assert found.prospect.training_flops_ratio > 1.1


@pytest.mark.parametrize(
    "text",
    [
        submission_yaml(),
        submission_yaml(overrides={"model.dropout": 1.5, "model.dropoot": 1}),
        submission_yaml(track="x"),
        submission_yaml(built_on="s_none"),
        submission_yaml(overrides={"model.num_layers": 8}),
        submission_yaml(name=""),
        "track: [",
        b"\xff",
    ],
)
def test_the_check_says_what_submitting_would(client: TestClient, check, text: str) -> None:
    found = check(text)
    answer = post_yaml(client, text)
    assert found.is_valid == (answer.status_code == 201)
    said = [(one["line"], one["path"], one["message"]) for one in answer.json().get("problems", ())]
    assert [(one.line, one.path, one.message) for one in found.problems] == said


def test_a_parent_is_looked_up(client: TestClient, check) -> None:
    parent = submit(client, "Parent", RELU).submission_id
    found = check(submission_yaml(overrides=NORM, built_on=parent))
    assert found.is_valid
    assert found.prospect is not None
    assert [change.path for change in found.prospect.changes] == [
        "model.attention.qk_norm",
        "model.feed_forward.activation",
    ]


def test_the_place_in_the_queue_is_behind_what_waits(client: TestClient, check) -> None:
    register(client)
    before = [check(submission_yaml()).prospect.forecast.position]
    submit(client, "First", NORM)
    submit(client, "Second", RELU)
    forecast = check(submission_yaml()).prospect.forecast
    assert [*before, forecast.position] == [1, 3]
    receipt = submit(client)
    assert receipt.forecast is not None
    assert receipt.forecast.position == forecast.position


def test_an_author_who_is_given_apart_is_the_texts(client: TestClient, check) -> None:
    text = submission_yaml().replace("author: ada\n", "")
    assert [problem.path for problem in check(text).problems] == ["author"]
    assert check(text, "ada").is_valid
    assert [problem.line for problem in check(submission_yaml(), "bob").problems] == [3]
    wrong = check(text, "a b").problems
    assert [(problem.path, problem.value) for problem in wrong] == [("author", "a b")]


def test_a_quota_that_is_used_up_is_a_problem(
    session: Session, tracks: dict[str, Track], settings: ServerSettings
) -> None:
    little = settings.model_copy(update={"quota_gpu_minutes": 0.1})
    found = check_draft(session, tracks, little, submission_yaml().encode(), "", ANYBODY, NOW)
    assert [(problem.path, problem.line) for problem in found.problems] == [("author", 3)]
    assert found.prospect is not None


def test_the_route_answers_any_text(client: TestClient, app: FastAPI) -> None:
    for body in (b"", b"\xff", b"[]", submission_yaml().encode()):
        response = client.post(f"{API}/check", content=body)
        assert response.status_code == 200
        assert DraftCheck.model_validate_json(response.content).is_valid == (len(body) > 10)
    assert client.post(f"{API}/check?author={'x' * 41}", content=b"").status_code == 422
    assert client.post(f"{API}/check", content=b"x" * 65_537).status_code == 413


def test_a_check_stores_nothing(client: TestClient, engine: Engine, check) -> None:
    with sent_statements(engine) as statements:
        client.post(f"{API}/check", content=submission_yaml(overrides=NORM))
    assert statements
    assert all(statement.startswith(("SELECT", "WITH", "PRAGMA")) for statement in statements)
