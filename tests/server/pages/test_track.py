from sqlmodel import Session
from starlette.testclient import TestClient

from core.tracks import load_tracks
from server.board.columns import BoardPageQuery
from server.pages.track import track_page
from server.tables import utc_now
from tests.server.factories import submit, submit_and_finish

RELU = {"model.feed_forward.activation": "squared_relu"}


def test_baseline_row_is_the_first(client: TestClient, session: Session) -> None:
    submit_and_finish(client, "Better", RELU, 1.0)
    submit_and_finish(client, "Baseline", val_loss=2.0)
    page = track_page(session, load_tracks()["debug"], utc_now())
    assert [row.name for row in page.rows] == ["Baseline", "Better"]
    assert page.can_compare


def test_one_row_offers_no_comparison(client: TestClient, session: Session) -> None:
    submit_and_finish(client, "Alone", RELU)
    page = track_page(session, load_tracks()["debug"], utc_now())
    assert not page.can_compare


def test_page_is_live_while_anything_is_queued(client: TestClient, session: Session) -> None:
    track = load_tracks()["debug"]
    assert not track_page(session, track, utc_now()).is_live
    session.rollback()
    submit(client)
    assert track_page(session, track, utc_now()).is_live


def test_json_address_names_the_key_that_was_asked_for(
    client: TestClient, session: Session
) -> None:
    submit_and_finish(client, "Baseline")
    track = load_tracks()["debug"]
    default = track_page(session, track, utc_now())
    assert default.json_url == "/api/v1/tracks/debug/leaderboard"
    key = default.board.key
    assert track_page(session, track, utc_now(), BoardPageQuery(key=key)).json_url.endswith(
        f"?key={key}"
    )
