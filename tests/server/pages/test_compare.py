import pytest
from sqlmodel import Session
from starlette.testclient import TestClient

from core.tracks import load_tracks
from server.pages.compare import compare_page
from tests.server.factories import submit, submit_and_finish


@pytest.mark.parametrize(("a", "b"), [("", ""), ("s_one", ""), ("", "s_two")])
def test_a_missing_side_is_asked_for(session: Session, a: str, b: str) -> None:
    page = compare_page(session, load_tracks(), a, b)
    assert page.comparison is None
    assert (page.asked_a, page.asked_b) == (a, b)


def test_both_sides_bring_their_curves(client: TestClient, session: Session) -> None:
    a = submit_and_finish(client, "Baseline").submission_id
    b = submit(client, "Other", {"model.dropout": 0.1}).submission_id
    page = compare_page(session, load_tracks(), a, b)
    assert page.curves_urls == f"/api/v1/submissions/{a}/curves /api/v1/submissions/{b}/curves"
    assert page.title == "Baseline and Other"
    assert page.is_live


def test_a_withdrawn_side_says_so(client: TestClient) -> None:
    a = submit_and_finish(client, "Baseline").submission_id
    b = submit(client, "Other", {"model.dropout": 0.1}).submission_id
    body = {"author": "ada", "reason": "A typing error."}
    client.post(f"/api/v1/submissions/{b}/withdraw", json=body)
    html = client.get("/compare", params={"a": a, "b": b}).text
    assert html.count("Withdrawn by ada: A typing error.") == 1
