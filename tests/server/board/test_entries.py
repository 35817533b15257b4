from typing import Any

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select
from starlette.testclient import TestClient

from core.schema.track import Track
from core.tracks import load_tracks
from server.board.entries import fill_boards, refresh_verdicts
from server.board.tables import BoardEntry, BoardTotals, Place
from server.database import write_session
from server.verdict.tables import JudgementRow
from tests.server.factories import API, claim_one, finish, submit, submit_and_finish

RELU = {"model.feed_forward.activation": "squared_relu"}
NORM = {"model.attention.qk_norm": "true"}


@pytest.fixture(scope="module")
def track() -> Track:
    return load_tracks()["debug"]


def everything(session: Session) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    order = (BoardEntry.comparability_key, BoardEntry.experiment_hash)
    entries = session.exec(select(BoardEntry).order_by(*order)).all()
    boards = session.exec(select(BoardTotals).order_by(BoardTotals.comparability_key)).all()
    return (
        [entry.model_dump(exclude={"revision"}) for entry in entries],
        [board.model_dump(exclude={"version", "revision"}) for board in boards],
    )


def busy_board(client: TestClient) -> None:
    """Baseline, repeated seeds, another key, a withdrawal and a name given later."""
    for loss in (2.0, 2.01, 1.99, 2.0, 2.02):
        submit_and_finish(client, "Baseline", val_loss=loss)
    submit_and_finish(client, "Gain", RELU, 1.5)
    submit_and_finish(client, "Gain again", RELU, 1.52)
    submit_and_finish(client, "Elsewhere", NORM, 1.9, validation="e")
    taken_back = submit_and_finish(client, "Taken back", {"model.dropout": 0.2}, 1.9)
    body = {"author": "ada", "reason": "A mistake."}
    answer = client.post(f"{API}/submissions/{taken_back.submission_id}/withdraw", json=body)
    assert answer.status_code == 200


def test_entries_are_what_all_runs_say_when_they_are_written_at_once(
    client: TestClient, engine: Engine, track: Track
) -> None:
    busy_board(client)
    with Session(engine) as session:
        before = everything(session)
    assert {entry["place"] for entry in before[0]} == set(Place) - {Place.UNLISTED}
    with write_session(engine) as writer:
        for row in (*writer.exec(select(BoardEntry)), *writer.exec(select(BoardTotals))):
            writer.delete(row)
        writer.flush()
        assert fill_boards(writer, [track]) == 2
    with Session(engine) as session:
        assert everything(session) == before


def test_boards_that_are_there_are_not_written_again(
    client: TestClient, engine: Engine, track: Track
) -> None:
    submit_and_finish(client, "Baseline")
    with write_session(engine) as writer:
        assert fill_boards(writer, [track]) == 0


def test_an_entry_has_the_verdict_that_was_taken(client: TestClient, session: Session) -> None:
    busy_board(client)
    entries = session.exec(select(BoardEntry).where(BoardEntry.name == "Gain")).all()
    assert [entry.verdict for entry in entries] == ["better"]


def test_the_version_changes_with_every_result(client: TestClient, session: Session) -> None:
    versions = set()
    submit_and_finish(client, "Baseline")
    for index in range(3):
        submit(client, f"Row {index}", {"model.dropout": index / 10})
        finish(client, claim_one(client))
        session.rollback()
        versions.add(session.exec(select(BoardTotals.version)).one())
    assert len(versions) == 3


def test_a_baseline_takes_the_name_of_whoever_submits_it_later(
    client: TestClient, session: Session
) -> None:
    submit_and_finish(client, "First name")
    submit(client, "Second name", author="grace")
    [entry] = session.exec(select(BoardEntry)).all()
    assert (entry.name, entry.place) == ("First name", Place.BASELINE)


def test_an_entry_has_the_revision_of_its_board_that_changed_it(
    client: TestClient, session: Session
) -> None:
    submit_and_finish(client, "Baseline")
    submit_and_finish(client, "Gain", RELU, 1.5)
    [board] = session.exec(select(BoardTotals)).all()
    revisions = dict(session.exec(select(BoardEntry.name, BoardEntry.revision)).all())
    assert revisions["Baseline"] < revisions["Gain"] <= board.revision


def test_verdicts_that_stay_as_they_are_change_no_entry(client: TestClient, engine: Engine) -> None:
    busy_board(client)
    gain = select(BoardEntry).where(BoardEntry.name == "Gain")
    with write_session(engine) as writer:
        entry = writer.exec(gain).one()
        key, before = entry.comparability_key, entry.revision
        refresh_verdicts(writer, key)
        assert writer.exec(gain).one().revision == before
        writer.get_one(JudgementRow, (entry.experiment_hash, key)).verdict = "worse"
        refresh_verdicts(writer, key)
        entry = writer.exec(gain).one()
        board = writer.get_one(BoardTotals, key)
        assert (entry.verdict, entry.revision) == ("worse", board.revision)
