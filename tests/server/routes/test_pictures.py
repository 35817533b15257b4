"""Badges and cards, as other sites ask for them."""

import io
from xml.etree import ElementTree

import pytest
from PIL import Image
from starlette.testclient import TestClient

from core.schema.result import FailureKind
from tests.server.boards import NORM, RELU, finish_next, measure_baseline
from tests.server.factories import claim_one, send_failure, submit

SVG = "{http://www.w3.org/2000/svg}"


def badge(client: TestClient, address: str) -> tuple[str, str]:
    """What a badge says: its texts, and its title."""
    response = client.get(f"{address}/badge.svg")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("image/svg+xml")
    root = ElementTree.fromstring(response.content)
    title = root.findtext(f"{SVG}title") or ""
    return " | ".join(text.text or "" for text in root.iter(f"{SVG}text")), title


@pytest.fixture
def better(client: TestClient) -> str:
    """A submission that holds the record of the debug track."""
    measure_baseline(client)
    identity = submit(client, "QK-norm", NORM).submission_id
    finish_next(client, 1.5)
    return identity


def test_a_badge_says_rank_verdict_and_difference(client: TestClient, better: str) -> None:
    text, title = badge(client, f"/submissions/{better}")
    assert text == "debug | rank 1 · better · ▼ −0.5000"
    assert title.startswith(
        "QK-norm by ada on debug: rank 1, better, the board's record, ▼ −0.5000"
    )
    assert "99 % interval −" in title


def test_a_badge_of_the_baseline_says_its_loss(client: TestClient) -> None:
    identity = measure_baseline(client)
    text, _ = badge(client, f"/submissions/{identity}")
    assert text == "debug | baseline · 2.0000"


def test_a_badge_without_a_verdict_says_how_far_it_is(client: TestClient) -> None:
    identity = submit(client, "Waits", RELU).submission_id
    address = f"/submissions/{identity}"
    said = [badge(client, address)[0]]
    offer = claim_one(client)
    said.append(badge(client, address)[0])
    send_failure(client, offer, FailureKind.DIVERGED)
    said.append(badge(client, address)[0])
    assert said == ["debug | queued", "debug | running", "debug | failed"]
    other = submit(client, "Done", NORM).submission_id
    finish_next(client, 1.9)
    assert badge(client, f"/submissions/{other}")[0] == "debug | rank 1 · not judged yet"


def test_what_was_withdrawn_says_only_that(client: TestClient, better: str) -> None:
    body = {"author": "ada", "reason": "A mistake."}
    assert client.post(f"/api/v1/submissions/{better}/withdraw", json=body).is_success
    text, title = badge(client, f"/submissions/{better}")
    assert text == "debug | withdrawn"
    assert "rank" not in title


def test_a_withdrawn_submission_of_an_experiment_that_counts_has_no_rank(
    client: TestClient, better: str
) -> None:
    other = submit(client, "Again", NORM, author="bob").submission_id
    finish_next(client, 1.5)
    body = {"author": "ada", "reason": "A mistake."}
    assert client.post(f"/api/v1/submissions/{better}/withdraw", json=body).is_success
    assert badge(client, f"/submissions/{better}")[0] == "debug | withdrawn"
    assert badge(client, f"/submissions/{other}")[0].startswith("debug | rank 1 · better")


def test_a_tracks_badge_says_the_loss_to_beat(client: TestClient) -> None:
    assert badge(client, "/tracks/debug")[0] == "debug | no results"
    measure_baseline(client)
    assert badge(client, "/tracks/debug")[0] == "debug | baseline 2.0000"
    submit(client, "QK-norm", NORM)
    finish_next(client, 1.5)
    text, title = badge(client, "/tracks/debug")
    assert text == "debug | record 1.5000"
    assert title.endswith("record validation loss 1.5000 nats, QK-norm by ada")


def test_a_card_is_a_picture_of_the_size_that_sites_want(client: TestClient, better: str) -> None:
    response = client.get(f"/submissions/{better}/card.png")
    assert response.headers["content-type"] == "image/png"
    image = Image.open(io.BytesIO(response.content))
    assert (image.format, image.size) == ("PNG", (1200, 630))


@pytest.mark.parametrize("picture", ["badge.svg", "card.png"])
def test_pictures_are_kept_for_minutes_and_change_with_the_board(
    client: TestClient, better: str, picture: str
) -> None:
    address = f"/submissions/{better}/{picture}"
    response = client.get(address)
    assert response.headers["cache-control"] == "public, max-age=300"
    tag = {"If-None-Match": response.headers["etag"]}
    assert client.get(address, headers=tag).status_code == 304
    submit(client, "First now", RELU)
    finish_next(client, 1.2)
    assert client.get(address, headers=tag).status_code == 200


@pytest.mark.parametrize(
    "address",
    ["/submissions/s_no/badge.svg", "/submissions/s_no/card.png", "/tracks/nowhere/badge.svg"],
)
def test_pictures_of_nothing_are_404(client: TestClient, address: str) -> None:
    assert client.get(address).status_code == 404
