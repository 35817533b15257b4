import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select
from starlette.testclient import TestClient

from server.board import kept_standings
from server.board.kept_standings import read_ahead, standings
from server.board.standings import Standings
from server.board.tables import BoardEntry, BoardTotals
from server.database import read_session, write_session
from tests.server.boards import NORM, RELU, measure_baseline
from tests.server.factories import API, submit_and_finish
from tests.server.statements import sent_statements


def board_key(engine: Engine) -> str:
    with Session(engine) as session:
        return session.exec(select(BoardTotals.comparability_key)).one()


def kept(engine: Engine) -> Standings:
    with read_session(engine) as session:
        return standings(session, board_key(engine))


def read_in_whole(engine: Engine) -> Standings:
    """What is read by one who knows nothing of the board yet."""
    key = board_key(engine)
    with read_session(engine) as session:
        totals = session.get_one(BoardTotals, key)
        return kept_standings._Board().at(session, totals)


def whole_reads(statements: list[str]) -> int:
    """Statements that read every row of a board."""
    return sum("board_entry.search_text" in one and "revision" not in one for one in statements)


def test_standings_that_follow_each_change_are_those_of_all_rows(
    client: TestClient, engine: Engine
) -> None:
    measure_baseline(client)
    first = submit_and_finish(client, "Gain", RELU, 1.5)
    kept(engine)
    with sent_statements(engine) as statements:
        for loss in (1.6, 1.4):
            submit_and_finish(client, "Gain again", RELU, loss)
            assert kept(engine) == read_in_whole(engine)
        submit_and_finish(client, "Other", NORM, 1.7)
        body = {"author": "ada", "reason": "A mistake."}
        withdrawn = client.post(f"{API}/submissions/{first.submission_id}/withdraw", json=body)
        assert withdrawn.status_code == 200
        assert kept(engine) == read_in_whole(engine)
    # Those that compare read it four times.
    assert whole_reads(statements) == 3
    assert [len(kept(engine).ranked), len(kept(engine).withdrawn)] == [2, 0]


def test_an_unchanged_board_is_not_read_again(client: TestClient, engine: Engine) -> None:
    submit_and_finish(client, "Gain", RELU, 1.5)
    before = kept(engine)
    with sent_statements(engine) as statements:
        assert kept(engine) is before
    assert not any("board_entry" in one for one in statements)


def test_a_session_sees_the_board_as_it_was_when_it_began(
    client: TestClient, engine: Engine
) -> None:
    submit_and_finish(client, "Gain", RELU, 1.5)
    key = board_key(engine)
    with read_session(engine) as early:
        before = standings(early, key)
        submit_and_finish(client, "Other", NORM, 1.7)
        assert len(kept(engine).ranked) == 2
        early.expire_all()
        assert standings(early, key) == before
    assert len(kept(engine).ranked) == 2


def test_a_board_is_read_in_whole_when_rows_are_gone(client: TestClient, engine: Engine) -> None:
    submit_and_finish(client, "Gain", RELU, 1.5)
    submit_and_finish(client, "Other", NORM, 1.7)
    assert len(kept(engine).ranked) == 2
    with write_session(engine) as session:
        session.delete(session.exec(select(BoardEntry).where(BoardEntry.name == "Gain")).one())
        totals = session.exec(select(BoardTotals)).one()
        totals.version, totals.num_ranked = "another", totals.num_ranked - 1
        totals.revision += 1
    assert [one.val_loss for one in kept(engine).ranked] == [1.7]


def test_a_board_is_read_in_whole_after_many_changes(
    client: TestClient, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit_and_finish(client, "Gain", RELU, 1.5)
    kept(engine)
    monkeypatch.setattr(kept_standings, "MAX_CHANGES", 0)
    submit_and_finish(client, "Other", NORM, 1.7)
    with sent_statements(engine) as statements:
        assert kept(engine).ranked == read_in_whole(engine).ranked
    assert whole_reads(statements) == 2


def test_boards_are_read_before_anybody_asks(client: TestClient, engine: Engine) -> None:
    submit_and_finish(client, "Gain", RELU, 1.5)
    with read_session(engine) as session:
        read_ahead(session)
    with sent_statements(engine) as statements:
        kept(engine)
    assert whole_reads(statements) == 0
