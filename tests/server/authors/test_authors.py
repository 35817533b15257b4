from collections.abc import Callable

import pytest
from sqlalchemy import Engine, event
from sqlmodel import Session
from starlette.testclient import TestClient

from core.schema.result import FailureKind
from core.schema.track import Track
from server import memo
from server.authors.author import AuthorView, view_author
from server.authors.listing import SortKey, list_authors
from server.errors import NotFound
from tests.server.boards import NORM, RELU, finish_next, measure_baseline
from tests.server.factories import API, claim_one, send_failure, submit, submit_and_finish

DROPOUT = "model.dropout"
RATE = "optimizer.muon.learning_rate"


@pytest.fixture
def author_of(session: Session, tracks: dict[str, Track]) -> Callable[..., AuthorView]:
    return lambda name, page=1: view_author(session, tracks, name, page)


def submit_as(client: TestClient, author: str, name: str, setting: dict[str, object]) -> str:
    return submit(client, name, setting, author=author).submission_id


def withdraw(client: TestClient, submission: str, author: str) -> None:
    request = {"author": author, "reason": "A typing error."}
    assert client.post(f"{API}/submissions/{submission}/withdraw", json=request).is_success


def test_an_experiment_counts_for_whoever_submitted_it_first(
    client: TestClient, session: Session
) -> None:
    measure_baseline(client)
    submit_as(client, "ada", "First", NORM)
    finish_next(client, 1.5)
    submit_as(client, "grace", "Again", NORM)
    finish_next(client, 1.5)
    submit_as(client, "grace", "Own", RELU)
    finish_next(client, 2.5)
    totals = {author.name: author for author in list_authors(session).authors}
    ada, grace, fan = totals["ada"], totals["grace"], totals["project-fan"]
    assert (ada.num_submissions, ada.num_measured, ada.num_better) == (1, 1, 1)
    assert (ada.num_records, ada.num_standing) == (1, 1)
    assert (grace.num_submissions, grace.num_measured, grace.num_better) == (2, 1, 0)
    assert (grace.num_records, fan.num_submissions) == (0, 5)
    # Both runs of the shared experiment are the first one's.
    assert ada.cost_usd is not None
    assert grace.cost_usd is not None
    assert ada.cost_usd == pytest.approx(2 * grace.cost_usd)


def test_withdrawn_experiments_are_not_counted_as_better_and_not_ranked(
    client: TestClient, author_of: Callable[..., AuthorView]
) -> None:
    measure_baseline(client)
    submission = submit_as(client, "ada", "Gain", NORM)
    finish_next(client, 1.5)
    withdraw(client, submission, "ada")
    found = author_of("ada")
    assert (found.totals.num_measured, found.totals.num_better, found.ranks) == (1, 0, ())
    assert (found.totals.num_records, found.totals.num_standing) == (1, 0)
    [record] = found.records
    assert (record.name, record.lost_reason) == ("Gain", "Withdrawn: A typing error.")
    assert found.submissions[0].is_withdrawn


def test_rank_is_that_of_the_board(
    client: TestClient, author_of: Callable[..., AuthorView]
) -> None:
    submit_and_finish(client, "Baseline", val_loss=1.0)
    for index, (author, loss) in enumerate(
        [("ada", 1.5), ("grace", 1.5), ("grace", 1.25), ("joan", 1.75), ("joan", 2.5)]
    ):
        submit_as(client, author, f"Idea {index}", {DROPOUT: 0.1 + index / 10})
        finish_next(client, loss)
    board = client.get(f"{API}/tracks/debug/leaderboard").json()["rows"]
    best = {
        author: min(row["rank"] for row in board if row["author"] == author)
        for author in ("ada", "grace", "joan")
    }
    assert best == {"ada": 2, "grace": 1, "joan": 4}
    for author, rank in best.items():
        [found] = author_of(author).ranks
        assert (found.track, found.rank, found.num_ranked) == ("debug", rank, 5)
    assert author_of("grace").ranks[0].name == "Idea 2"


def test_submissions_come_newest_first_with_what_became_of_them(
    client: TestClient, author_of: Callable[..., AuthorView]
) -> None:
    measure_baseline(client)
    submit_as(client, "ada", "Worse", NORM)
    finish_next(client, 2.5)
    submit_as(client, "ada", "Fails", RELU)
    send_failure(client, claim_one(client), FailureKind.DIVERGED, "nan")
    submit_as(client, "ada", "Waits", {DROPOUT: 0.1})
    waits, fails, worse = author_of("ada").submissions
    assert (waits.name, waits.state, waits.val_loss, waits.verdict) == (
        "Waits",
        "queued",
        None,
        None,
    )
    assert (fails.name, fails.state) == ("Fails", "failed")
    assert (worse.state, worse.val_loss, worse.verdict) == ("succeeded", 2.5, "worse")
    assert worse.delta == pytest.approx(0.5)


def test_pages_of_an_author_end(
    client: TestClient,
    author_of: Callable[..., AuthorView],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("server.authors.author.PER_PAGE", 2)
    for index in range(3):
        submit_as(client, "ada", f"Idea {index}", {DROPOUT: 0.1 + index / 10})
    pages = [author_of("ada", page) for page in (1, 2)]
    assert [[one.name for one in page.submissions] for page in pages] == [
        ["Idea 2", "Idea 1"],
        ["Idea 0"],
    ]
    assert [page.has_next for page in pages] == [True, False]
    with pytest.raises(NotFound, match="page 3"):
        author_of("ada", 3)
    with pytest.raises(NotFound, match="'Ada'"):
        author_of("Ada")


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("name", ["ada", "Bea", "joan"]),
        ("submissions", ["joan", "ada", "Bea"]),
        ("measured", ["Bea", "ada", "joan"]),
        ("latest", ["joan", "Bea", "ada"]),
    ],
)
def test_list_is_sorted_as_asked(
    client: TestClient, session: Session, sort: SortKey, expected: list[str]
) -> None:
    submit_as(client, "ada", "One", {RATE: 0.01})
    submit_as(client, "Bea", "Two", {RATE: 0.02})
    send_failure(client, claim_one(client), FailureKind.DIVERGED, "nan")
    finish_next(client, 2.0)
    for index in range(3):
        submit_as(client, "joan", f"Idea {index}", {DROPOUT: 0.1 + index / 10})
    assert [author.name for author in list_authors(session, sort).authors] == expected


def test_pages_of_the_list_end(
    client: TestClient, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.authors.listing.PER_PAGE", 2)
    for author in ("ada", "bea", "cleo"):
        submit_as(client, author, "One", NORM)
    first, second = (list_authors(session, "name", page) for page in (1, 2))
    assert [author.name for author in first.authors] == ["ada", "bea"]
    assert (first.has_next, first.num_authors) == (True, 3)
    assert [author.name for author in second.authors] == ["cleo"]
    assert not second.has_next
    with pytest.raises(NotFound, match="page 3"):
        list_authors(session, "name", 3)


@pytest.mark.parametrize("page", ["/authors", "/authors/ada"])
def test_number_of_queries_does_not_grow_with_rows(
    client: TestClient, engine: Engine, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a busy machine a small table may be slow, too.
    monkeypatch.setattr(memo, "SLOW_SECONDS", 60.0)

    def queries() -> int:
        statements: list[str] = []

        def note(*arguments: object) -> None:
            statements.append(str(arguments[2]))

        event.listen(engine, "before_cursor_execute", note)
        assert client.get(page).status_code == 200
        event.remove(engine, "before_cursor_execute", note)
        return len(statements)

    measure_baseline(client)
    submit_and_finish(client, "Gain", NORM, 1.5)
    few = queries()
    for index in range(4):
        submit_and_finish(client, f"More {index}", {DROPOUT: 0.1 + index / 10}, 1.25)
        submit(client, "Else", {RATE: 0.01 + index / 1000}, author=f"author-{index}")
        finish_next(client, 2.5)
    assert queries() == few
