import re

import pytest
from sqlalchemy import Engine, event
from sqlmodel import Session
from starlette.testclient import TestClient

from core.schema.track import Track
from server.board.query import BoardQuery
from server.leaderboard import leaderboard
from server.verdict.judge import Verdict
from tests.server.boards import NORM, RELU, finish_next, measure_baseline, verdicts
from tests.server.factories import data_identity, submit


def ask(client: TestClient, submission_id: str, author: str = "grace") -> None:
    path = f"/api/v1/submissions/{submission_id}/rerun"
    assert client.post(path, json={"author": author}).status_code == 201


def notes(client: TestClient, name: str) -> list[tuple[str, str | None, str | None]]:
    """Who asked for reruns of a row, the verdict before and the verdict after."""
    reruns = dict(verdicts(client))[name]["reruns"]
    return [(note["requested_by"], note["before"], note["after"]) for note in reruns]


def page(client: TestClient) -> str:
    text = re.sub(r"<[^>]+>", " ", client.get("/tracks/debug").text)
    return re.sub(r"\s+", " ", text)


def test_a_row_shows_who_asked_for_a_rerun_and_what_came_out(client: TestClient) -> None:
    measure_baseline(client)
    gain = submit(client, "Gain", NORM).submission_id
    finish_next(client, 1.978)
    ask(client, gain)
    assert notes(client, "Gain") == [("grace", "unresolved", None)]
    assert "rerun asked by grace: unresolved → not yet known" in page(client)
    finish_next(client, 1.972)
    # Two runs are none at which a verdict is taken.
    assert notes(client, "Gain") == [("grace", "unresolved", None)]
    finish_next(client, 1.984)
    ask(client, gain, "linus")
    assert notes(client, "Gain") == [
        ("linus", "unresolved", None),
        ("grace", "unresolved", "unresolved"),
    ]
    finish_next(client, 1.974)
    finish_next(client, 1.982)
    assert notes(client, "Gain")[0] == ("linus", "unresolved", "better")
    assert "rerun asked by linus: unresolved → better" in page(client)
    assert client.get("/api/v1/ledger/check").json()["faults"] == []


def test_what_came_out_stays_when_later_runs_say_otherwise(client: TestClient) -> None:
    measure_baseline(client)
    lucky = submit(client, "Lucky", NORM).submission_id
    finish_next(client, 1.9)
    ask(client, lucky)
    for loss in (1.9, 1.9):
        finish_next(client, loss)
    assert notes(client, "Lucky") == [("grace", "better", "better")]
    for loss in (2.1, 2.2):
        submit(client, "Lucky", NORM)
        finish_next(client, loss)
    assert dict(verdicts(client))["Lucky"]["verdict"]["verdict"] == "unresolved"
    assert notes(client, "Lucky") == [("grace", "better", "better")]


def test_a_rerun_of_the_baseline_names_who_asked_alone(client: TestClient) -> None:
    ask(client, measure_baseline(client))
    text = page(client)
    assert "rerun asked by grace" in text
    assert "rerun asked by grace:" not in text


def test_a_rerun_belongs_to_the_board_whose_verdict_was_meant(
    client: TestClient, session: Session, tracks: dict[str, Track]
) -> None:
    gain = submit(client, "Gain", NORM).submission_id
    finish_next(client, 1.5, validation="e")
    submit(client, "Gain", NORM)
    finish_next(client, 1.5)
    ask(client, gain)
    boards = [leaderboard(session, tracks["debug"], BoardQuery(key=key(letter))) for letter in "be"]
    assert [[note.requested_by for note in board.rows[0].reruns] for board in boards] == [
        ["grace"],
        [],
    ]


def key(letter: str) -> str:
    return data_identity(letter).comparability_key("debug", 1)


def test_a_row_names_the_newest_three(client: TestClient) -> None:
    measure_baseline(client, [2.0])
    gain = submit(client, "Gain", NORM).submission_id
    finish_next(client, 1.5)
    for number, runs in enumerate((2, 2, 5, 10)):
        ask(client, gain, f"author-{number}")
        for _ in range(runs):
            finish_next(client, 1.5)
    # Without five runs of the baseline, nothing came out of any.
    expected = [(f"author-{number}", None, None) for number in (3, 2, 1)]
    assert notes(client, "Gain") == expected
    measure_baseline(client, [2.01, 1.99, 2.005, 1.995])
    assert {after for _, _, after in notes(client, "Gain")} == {Verdict.BETTER}


@pytest.mark.parametrize("path", ["/tracks/debug", "/api/v1/tracks/debug/leaderboard"])
def test_number_of_queries_does_not_grow_with_reruns(
    client: TestClient, engine: Engine, path: str
) -> None:
    def queries() -> int:
        statements: list[str] = []

        def note(*arguments: object) -> None:
            statements.append(str(arguments[2]))

        event.listen(engine, "before_cursor_execute", note)
        assert client.get(path).status_code == 200
        event.remove(engine, "before_cursor_execute", note)
        return len(statements)

    rows = []
    for index, config in enumerate((NORM, RELU, {"model.dropout": 0.2})):
        rows.append(submit(client, f"Row {index}", config).submission_id)
        finish_next(client, 1.5)
    ask(client, rows[0])
    queries()
    # The order of the board is known from now on.
    few = queries()
    for row in rows[1:]:
        ask(client, row)
    assert queries() == few
