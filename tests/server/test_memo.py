from collections.abc import Iterator
from itertools import count

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError
from sqlmodel import Session
from starlette.testclient import TestClient

from core.schema.ledger import LedgerKind
from server import memo
from server.database import write_session
from server.ledger.entries import record
from server.memo import kept
from server.settlement.tables import UnsettledResult
from tests.server.factories import submit_and_finish


@pytest.fixture
def answers() -> Iterator[int]:
    return count(1)


def test_an_answer_is_kept_until_the_ledger_grows(engine: Engine, answers: Iterator[int]) -> None:
    def ask(name: str = "one") -> int:
        with Session(engine) as session:
            return kept(session, name, lambda _: next(answers))

    assert [ask(), ask(), ask("other"), ask()] == [1, 1, 2, 1]
    with write_session(engine) as session:
        record(session, LedgerKind.VERDICT, "x", {})
    assert [ask(), ask()] == [3, 3]


def test_an_answer_from_before_a_result_is_settled_is_worked_out_anew(
    client: TestClient, engine: Engine, answers: Iterator[int]
) -> None:
    def ask() -> int:
        with Session(engine) as session:
            return kept(session, "one", lambda _: next(answers))

    run_id = submit_and_finish(client).run_id
    note = UnsettledResult.model_validate({"run_id": run_id})
    with write_session(engine) as session:
        session.add(note)
    assert [ask(), ask()] == [1, 1]
    with write_session(engine) as session:
        session.delete(session.get_one(UnsettledResult, run_id))
    assert [ask(), ask()] == [2, 2]


def test_an_answer_is_kept_for_a_minute_at_most(
    session: Session, answers: Iterator[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(memo.time, "monotonic", lambda: now)
    assert kept(session, "one", lambda _: next(answers)) == 1
    now += 59
    assert kept(session, "one", lambda _: next(answers)) == 1
    now += 1
    assert kept(session, "one", lambda _: next(answers)) == 2


def test_a_slow_answer_rests_fifty_times_as_long_as_it_took(
    engine: Engine, answers: Iterator[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(memo.time, "monotonic", lambda: now)

    def work(session: Session) -> int:
        nonlocal now
        now += 0.5
        return next(answers)

    def ask_after(seconds: float) -> int:
        nonlocal now
        now += seconds
        with write_session(engine) as session:
            record(session, LedgerKind.VERDICT, "x", {})
        with Session(engine) as session:
            answer = kept(session, "one", work)
        for place in memo._places[engine.pool].values():
            if place.renewal is not None:
                place.renewal.join()
        return answer

    # At 25 s another is worked out, which the next one to ask gets.
    assert [ask_after(0), ask_after(24.9), ask_after(0.2), ask_after(0)] == [1, 1, 1, 2]
    # So old an answer is good for nobody.
    assert ask_after(601) == 3


def test_an_answer_that_cannot_be_renewed_stays(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 100.0
    monkeypatch.setattr(memo.time, "monotonic", lambda: now)

    def work(session: Session) -> str:
        nonlocal now
        now += 0.5
        if now > 101:
            raise OperationalError("select", {}, Exception("the disk is gone"))
        return "first"

    for _ in range(2):
        with Session(engine) as session:
            assert kept(session, "one", work) == "first"
        now += 100
    [renewal] = (place.renewal for place in memo._places[engine.pool].values())
    assert renewal is not None
    renewal.join()
    assert "could not be renewed" in caplog.text


def test_answers_of_two_databases_are_apart(
    engine: Engine, session: Session, tmp_path: object, answers: Iterator[int]
) -> None:
    from server.database import create_engine, upgrade

    other = create_engine(f"sqlite:///{tmp_path}/other.sqlite")
    upgrade(other)
    assert kept(session, "one", lambda _: next(answers)) == 1
    with Session(other) as elsewhere:
        assert kept(elsewhere, "one", lambda _: next(answers)) == 2
    other.dispose()
    # An engine with other options is the same database.
    with Session(engine.execution_options(writes=False)) as same:
        assert kept(same, "one", lambda _: next(answers)) == 1
