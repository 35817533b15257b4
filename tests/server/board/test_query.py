from itertools import product

import pytest
from pydantic import ValidationError
from sqlmodel import Session, select
from starlette.testclient import TestClient

from core.schema.track import Track
from core.tracks import load_tracks
from server import leaderboard as leaderboard_module
from server.board.kept_standings import standings
from server.board.query import BoardQuery, SortColumn
from server.board.tables import BoardEntry, BoardTotals, Place
from server.leaderboard import leaderboard
from tests.server.factories import API, submit_and_finish

RELU = {"model.feed_forward.activation": "squared_relu"}
NORM = {"model.attention.qk_norm": "true"}


@pytest.fixture(scope="module")
def track() -> Track:
    return load_tracks()["debug"]


@pytest.fixture
def board(client: TestClient) -> TestClient:
    """Three experiments: alpha has the lowest loss."""
    submit_and_finish(client, "Baseline", val_loss=2.0)
    submit_and_finish(client, "gamma", RELU, 1.9)
    submit_and_finish(client, "Beta", NORM, 2.2)
    submit_and_finish(client, "alpha", {"model.dropout": 0.25}, 1.8, author="grace")
    return client


def names(session: Session, track: Track, **query: object) -> list[str]:
    found = leaderboard(session, track, BoardQuery.model_validate(query))
    return [row.name for row in found.rows]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["alpha", "gamma", "Beta"]),
        ({"order": "worst"}, ["Beta", "gamma", "alpha"]),
        ({"sort": "name"}, ["alpha", "Beta", "gamma"]),
        ({"sort": "age"}, ["alpha", "Beta", "gamma"]),
        ({"q": "ALPH"}, ["alpha"]),
        ({"q": "squared_relu"}, ["gamma"]),
        ({"q": "%"}, []),
        ({"author": "grace"}, ["alpha"]),
        ({"author": "grac"}, []),
        ({"setting": "model.attention.qk_norm"}, ["Beta"]),
        ({"setting": "model.attention"}, []),
        ({"setting": "model.dropout=0.25"}, ["alpha"]),
        ({"setting": "model.dropout=0.2"}, []),
        ({"verdict": "better"}, []),
        ({"max_cost_usd": 0.0}, []),
        ({"verified": "yes"}, ["alpha", "gamma", "Beta"]),
        ({"verified": "no"}, []),
    ],
)
def test_rows_are_those_asked_for_in_that_order(
    board: TestClient, session: Session, track: Track, query: dict[str, object], expected: list[str]
) -> None:
    assert names(session, track, **query) == expected


def test_ranks_and_ties_are_those_of_the_whole_board(
    board: TestClient, session: Session, track: Track
) -> None:
    whole = leaderboard(session, track)
    turned = leaderboard(session, track, BoardQuery(order="worst"))
    assert [row.rank for row in turned.rows] == [3, 2, 1]
    assert {row.name: row.is_tied for row in turned.rows} == {
        row.name: row.is_tied for row in whole.rows
    }
    [one] = leaderboard(session, track, BoardQuery(q="gamma")).rows
    assert one.rank == 2


def test_pages_together_hold_every_row_once(
    board: TestClient, session: Session, track: Track
) -> None:
    pages = [leaderboard(session, track, BoardQuery(page_rows=2, page=n)) for n in (1, 2, 3)]
    assert [[row.name for row in page.rows] for page in pages] == [["alpha", "gamma"], ["Beta"], []]
    assert [(page.num_rows, page.num_pages) for page in pages] == [(3, 2)] * 3
    assert all(page.baseline is not None for page in pages)


def test_withdrawn_rows_come_behind_all_others_and_have_no_rank(
    board: TestClient, session: Session, track: Track
) -> None:
    first = leaderboard(session, track).rows[0]
    session.rollback()
    answer = board.post(
        f"{API}/submissions/{first.submission_id}/withdraw",
        json={"author": "grace", "reason": "A mistake."},
    )
    assert answer.status_code == 200, answer.text
    found = leaderboard(session, track)
    assert [(row.name, row.rank) for row in found.rows] == [
        ("gamma", 1),
        ("Beta", 2),
        ("alpha", None),
    ]
    assert found.rows[-1].withdrawn is not None
    assert (found.num_rows, found.num_ranked) == (3, 2)


def test_a_query_that_means_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match="sort"):
        BoardQuery.model_validate({"sort": "luck"})
    with pytest.raises(ValidationError, match="page"):
        BoardQuery(page=0)


def test_a_wrong_query_is_answered_with_the_field_and_what_is_allowed(client: TestClient) -> None:
    answer = client.get(f"{API}/tracks/debug/leaderboard?sort=luck")
    assert answer.status_code == 422
    assert "sort" in answer.text
    assert "loss" in answer.text
    assert client.get("/tracks/debug?page=none").status_code == 422


def test_many_rows_are_sorted_as_few_are(
    board: TestClient, session: Session, track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = ({}, {"q": "a"}, {"author": "ada"}, {"max_cost_usd": 1.0})
    queries = [
        {"sort": sort, "order": order, "page_rows": 2, "page": page, **asked}
        for sort, order in product(SortColumn, ("best", "worst"))
        for asked, page in product(wanted, (1, 2))
    ]
    few = [names(session, track, **query) for query in queries]
    monkeypatch.setattr(leaderboard_module, "MAX_NAMED", 0)
    assert [names(session, track, **query) for query in queries] == few
    assert few.count([]) < len(few) / 2


def test_rows_in_memory_are_filtered_as_the_database_would(
    board: TestClient, session: Session
) -> None:
    wanted: list[dict[str, object]] = [
        {"q": "ALPH"},
        {"q": "a_p"},
        {"q": "model.dropout=0.25"},
        {"setting": "model.dropout"},
        {"setting": " model.dropout = 0.25 "},
        {"setting": "model.dropout=0.2"},
        {"author": "grace"},
        {"verdict": "better"},
        {"verified": "yes"},
        {"verified": "no"},
        {"max_cost_usd": 0.001},
        {"max_cost_usd": 1.0, "q": "a", "author": "ada"},
    ]
    key = session.exec(select(BoardTotals.comparability_key)).one()
    ranked = select(BoardEntry.experiment_hash).where(BoardEntry.place == Place.RANKED)
    for query in map(BoardQuery.model_validate, wanted):
        found = query.narrowed(standings(session, key).ranked)
        expected = session.exec(ranked.where(*query.filters())).all()
        assert {row.experiment_hash for row in found} == set(expected), query
