from sqlmodel import Session
from starlette.testclient import TestClient

from core.tracks import load_tracks
from server.pages.home import home_page
from tests.server.factories import claim_one, submit, submit_and_finish


def test_a_card_counts_and_shows_the_top_three(client: TestClient, session: Session) -> None:
    for index, loss in enumerate((2.4, 2.1, 2.3, 2.2)):
        submit_and_finish(client, f"Loss {loss}", {"model.dropout": 0.1 + index / 10}, loss)
    submit(client, "Going", {"model.dropout": 0.6})
    submit(client, "Waits", {"model.dropout": 0.7})
    claim_one(client)
    card = home_page(session, load_tracks()).cards[0]
    assert card.rules.name == "debug"
    assert [row.name for row in card.top] == ["Loss 2.1", "Loss 2.2", "Loss 2.3"]
    assert (card.num_ranked, card.num_running, card.num_queued) == (4, 1, 1)


def test_every_track_has_a_card(session: Session) -> None:
    tracks = load_tracks()
    page = home_page(session, tracks)
    assert {card.rules.name for card in page.cards} == set(tracks)
    assert not page.is_live
